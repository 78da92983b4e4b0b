//! The signer's side: key pairs and signatures.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::listing::{MANIFEST_KEY, MANIFEST_SIGNATURE_KEY};
use crate::signature::manifest_message;
use crate::{KeyError, Manifest, ManifestError, PublicKey, SignedManifest, pem};

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8 (version 1, which every reader takes).
const PKCS8_START: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// An Ed25519 key that signs. It does not show itself; only [`SigningKey::generate`] gives its text away.
pub struct SigningKey(Ed25519KeyPair);

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

impl SigningKey {
    /// Makes a key. Returns it with its text: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it,
    /// to be kept where only the signer reads.
    pub fn generate() -> Result<(SigningKey, String), NoRandomness> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| NoRandomness)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NoRandomness)?;
        let pem = pem::encode("PRIVATE KEY", &[&PKCS8_START[..], &seed[..]].concat());
        Ok((SigningKey(pair), pem))
    }

    /// Reads a key from PEM.
    pub fn from_pem(text: &str) -> Result<SigningKey, KeyError> {
        let blocks = pem::decode(text).map_err(|error| KeyError::Malformed(error.0))?;
        let block = match blocks.as_slice() {
            [block] if block.label == "PRIVATE KEY" => block,
            _ => {
                return Err(KeyError::Malformed(
                    "there is not one block `PRIVATE KEY` in it",
                ));
            }
        };
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&block.bytes)
            .map(SigningKey)
            .map_err(|_| KeyError::Unsupported("not an Ed25519 key in PKCS #8".to_owned()))
    }

    /// The public half, which agents get.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey::ed25519(bytes)
    }

    /// Signs a manifest: `ed25519:<key id>:<base64>` over [`manifest_message`].
    pub fn sign_manifest(&self, manifest: &Manifest) -> Result<SignedManifest, ManifestError> {
        let manifest = manifest.to_json()?;
        let signature = self.0.sign(&manifest_message(&manifest));
        let signature = format!(
            "ed25519:{}:{}",
            self.public_key().id(),
            STANDARD.encode(signature)
        );
        Ok(SignedManifest {
            manifest,
            signature,
        })
    }

    /// Signs an archive for the policy that takes the registry's form: plain base64 over its bytes.
    pub fn sign_archive(&self, archive: &[u8]) -> String {
        STANDARD.encode(self.0.sign(archive))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().id())
    }
}

impl SignedManifest {
    /// The two entries of a registry's `metadata` that carry it.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let manifest = STANDARD.encode(&self.manifest);
        BTreeMap::from([
            (MANIFEST_KEY.to_owned(), manifest),
            (MANIFEST_SIGNATURE_KEY.to_owned(), self.signature.clone()),
        ])
    }
}
