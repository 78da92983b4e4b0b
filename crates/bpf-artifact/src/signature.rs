//! Signatures as they stand in a listing or a file, and what they are over.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::{Algorithm, Digest, PublicKey};

/// What every signed manifest's message begins with, so that no other signature of the same key can be taken for one.
pub const MANIFEST_DOMAIN: &[u8] = b"aegis.artifact.v1\0";

/// The longest text that is looked at: an RSA signature of 8192 bits has 1,368 digits.
const MAX_TEXT_BYTES: usize = 2048;

/// A signature of fixed width in the digits of JWS: 64 bytes without padding.
const JWS_DIGITS: usize = 86;

/// The bytes a manifest's signature is over: `"aegis.artifact.v1\0"` and the SHA-256 of the manifest.
///
/// Whoever signs elsewhere (Vault's `transit/sign`, a token, `openssl pkeyutl`) signs these 50 bytes.
pub fn manifest_message(manifest: &[u8]) -> Vec<u8> {
    [MANIFEST_DOMAIN, Digest::of(manifest).as_bytes()].concat()
}

/// A signature, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) by: SaysBy,
    bytes: Vec<u8>,
}

/// Whose signature it says it is. It only chooses the keys to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SaysBy {
    /// `vault:v3:…`: version 3 of a key.
    Version(u32),
    /// `ed25519:0123456789abcdef:…`: the key with this id.
    Key(Algorithm, String),
    /// Plain base64: nobody in particular.
    Nobody,
}

impl fmt::Display for SaysBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaysBy::Version(version) => write!(f, "version {version} of a key"),
            SaysBy::Key(algorithm, id) => {
                write!(
                    f,
                    "the {algorithm} key {:.40}",
                    id.escape_debug().to_string()
                )
            }
            SaysBy::Nobody => f.write_str("nobody in particular"),
        }
    }
}

/// What is wrong with the text of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSignatureText {
    /// It is none of the forms.
    #[error("none of `vault:v<N>:<base64>`, `<algorithm>:<key id>:<base64>` and plain base64")]
    UnknownForm,
    /// It is base64 of 32 bytes: a digest, as registries in development mode write one. No key is in it.
    #[error("a bare digest, as a registry in development mode writes it: nobody signed it")]
    BareDigest,
    /// It is longer than any signature.
    #[error("longer than any signature")]
    TooLong,
}

impl Signature {
    pub(crate) fn parse(text: &str) -> Result<Signature, BadSignatureText> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(BadSignatureText::TooLong);
        }
        let text = text.trim_ascii();
        let (by, digits) = match text.split_once(':') {
            None => (SaysBy::Nobody, text),
            Some(("vault", rest)) => version(rest).ok_or(BadSignatureText::UnknownForm)?,
            Some((name, rest)) => named(name, rest).ok_or(BadSignatureText::UnknownForm)?,
        };
        let bytes = decode(digits).ok_or(BadSignatureText::UnknownForm)?;
        match bytes.len() {
            0 => Err(BadSignatureText::UnknownForm),
            32 => Err(BadSignatureText::BareDigest),
            _ => Ok(Signature { by, bytes }),
        }
    }

    /// Whether it may be by this key, of this version where the key has one.
    pub(crate) fn may_be_by(&self, key: &PublicKey, version: Option<u32>) -> bool {
        match &self.by {
            SaysBy::Version(said) => version.is_none_or(|version| version == *said),
            SaysBy::Key(algorithm, id) => key.algorithm() == *algorithm && key.id() == *id,
            SaysBy::Nobody => true,
        }
    }

    pub(crate) fn is_by(&self, key: &PublicKey, message: &[u8]) -> bool {
        key.made(&self.bytes, message)
    }
}

fn version(rest: &str) -> Option<(SaysBy, &str)> {
    let (version, digits) = rest.strip_prefix('v')?.split_once(':')?;
    let plain = version.bytes().all(|digit| digit.is_ascii_digit()) && !version.starts_with('0');
    let version = plain.then(|| version.parse().ok())??;
    Some((SaysBy::Version(version), digits))
}

fn named<'a>(name: &str, rest: &'a str) -> Option<(SaysBy, &'a str)> {
    let (id, digits) = rest.split_once(':')?;
    Some((
        SaysBy::Key(Algorithm::from_name(name)?, id.to_owned()),
        digits,
    ))
}

/// One signature has one text: padded standard base64, or the JWS form, which only signatures of 64 bytes have.
fn decode(digits: &str) -> Option<Vec<u8>> {
    if digits.len() == JWS_DIGITS {
        URL_SAFE_NO_PAD.decode(digits).ok()
    } else {
        STANDARD.decode(digits).ok()
    }
}
