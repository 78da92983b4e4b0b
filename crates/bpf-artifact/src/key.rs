//! Public keys that may sign, and the texts they come in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature as with;
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};

use crate::der::{Tag, take, take_last};
use crate::{Digest, pem};

/// How many keys one text may hold.
const MAX_KEYS: usize = 64;

const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 over the message itself.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, ASN.1 or (as `jws`) of fixed width.
    EcdsaP256,
    /// RSA of 2048 to 8192 bits with SHA-256: PSS with a salt as long as the digest, or PKCS #1 v1.5.
    Rsa,
}

impl Algorithm {
    /// `ed25519`, `ecdsa-p256` or `rsa`, as it stands in a signature.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::EcdsaP256 => "ecdsa-p256",
            Algorithm::Rsa => "rsa",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Algorithm> {
        [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::Rsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text gave no usable key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no key at all, or a damaged one.
    #[error("not a public key: {0}")]
    Malformed(&'static str),
    /// It is a key, of a kind that is not taken here.
    #[error("{0}")]
    Unsupported(String),
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// As the algorithm writes keys: 32 bytes, an uncompressed point, an `RSAPublicKey`.
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads one key: base64 of the 32 bytes of an Ed25519 key, or PEM (`PUBLIC KEY`) of any supported kind.
    pub fn parse(text: &str) -> Result<PublicKey, KeyError> {
        let mut keys = PublicKey::parse_all(text)?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err(KeyError::Malformed("there are several")),
        }
    }

    /// Reads all keys of a text, at least one: PEM blocks one after the other, or base64 texts with commas or
    /// blanks between them.
    ///
    /// ```
    /// use bpf_artifact::PublicKey;
    ///
    /// let old = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    /// let new = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    /// assert_eq!(PublicKey::parse_all(&format!("{old}, {new}"))?.len(), 2);
    /// assert!(PublicKey::parse_all("").is_err());
    /// # Ok::<(), bpf_artifact::KeyError>(())
    /// ```
    pub fn parse_all(text: &str) -> Result<Vec<PublicKey>, KeyError> {
        let keys: Vec<PublicKey> = if text.contains("-----") {
            let blocks = pem::decode(text).map_err(|error| KeyError::Malformed(error.0))?;
            blocks.iter().map(from_block).collect::<Result<_, _>>()?
        } else {
            text.split([',', ' ', '\t', '\r', '\n'])
                .filter(|word| !word.is_empty())
                .map(PublicKey::from_base64)
                .collect::<Result<_, _>>()?
        };
        match keys.len() {
            0 => Err(KeyError::Malformed("the text is empty")),
            1..=MAX_KEYS => Ok(keys),
            _ => Err(KeyError::Malformed("there are more than 64")),
        }
    }

    /// An Ed25519 key of its 32 bytes.
    pub fn ed25519(bytes: [u8; 32]) -> PublicKey {
        PublicKey {
            algorithm: Algorithm::Ed25519,
            bytes: bytes.to_vec(),
        }
    }

    /// An Ed25519 key of the base64 of its 32 bytes.
    pub(crate) fn from_base64(text: &str) -> Result<PublicKey, KeyError> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| KeyError::Malformed("neither PEM nor base64"))?;
        let bytes = bytes.try_into().map_err(|_| {
            KeyError::Malformed("a key in base64 is the 32 bytes of an Ed25519 key")
        })?;
        Ok(PublicKey::ed25519(bytes))
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SHA-256 of the key as its algorithm writes it: 32 bytes, an uncompressed point, an `RSAPublicKey`.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The first 16 digits of the fingerprint: the key id in `ed25519:<key id>:<base64>`.
    pub fn id(&self) -> String {
        self.fingerprint().to_string().chars().take(16).collect()
    }

    /// The key as one word: base64 for Ed25519; `None` for the others, which only PEM holds.
    pub fn to_base64(&self) -> Option<String> {
        (self.algorithm == Algorithm::Ed25519).then(|| STANDARD.encode(&self.bytes))
    }

    /// The key as its algorithm writes it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A key that was written by [`PublicKey::bytes`].
    pub(crate) fn from_bytes(algorithm: Algorithm, bytes: Vec<u8>) -> Result<PublicKey, KeyError> {
        let key = PublicKey { algorithm, bytes };
        match algorithm {
            Algorithm::Ed25519 if key.bytes.len() != 32 => {
                Err(KeyError::Malformed("an Ed25519 key is not 32 bytes long"))
            }
            Algorithm::Ed25519 => Ok(key),
            Algorithm::EcdsaP256 => check_point(&key.bytes).map(|()| key),
            Algorithm::Rsa => check_modulus(&key.bytes).map(|()| key),
        }
    }

    /// Whether this key made this signature over this message.
    pub(crate) fn made(&self, signature: &[u8], message: &[u8]) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(algorithm, &self.bytes)
                .verify(message, signature)
                .is_ok()
        };
        match self.algorithm {
            Algorithm::Ed25519 => by(&with::ED25519),
            Algorithm::EcdsaP256 if signature.len() == 64 && by(&with::ECDSA_P256_SHA256_FIXED) => {
                true
            }
            Algorithm::EcdsaP256 => by(&with::ECDSA_P256_SHA256_ASN1),
            Algorithm::Rsa => {
                by(&with::RSA_PSS_2048_8192_SHA256) || by(&with::RSA_PKCS1_2048_8192_SHA256)
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm, self.id())
    }
}

fn from_block(block: &pem::Block) -> Result<PublicKey, KeyError> {
    if block.label.contains("PRIVATE") {
        return Err(KeyError::Unsupported(
            "this is a private key: it belongs to the signer, take its public half".to_owned(),
        ));
    }
    if block.label != "PUBLIC KEY" {
        return Err(KeyError::Unsupported(format!(
            "a PEM block `{}` is not taken, only `PUBLIC KEY`",
            block.label.escape_debug()
        )));
    }
    from_spki(&block.bytes)
}

/// Reads a SubjectPublicKeyInfo: SEQ { SEQ { OID, parameters }, BIT STRING }.
fn from_spki(der: &[u8]) -> Result<PublicKey, KeyError> {
    let parts = || {
        let mut info = take_last(der, Tag::Sequence)?;
        let mut algorithm = take(&mut info, Tag::Sequence)?;
        let oid = take(&mut algorithm, Tag::ObjectId)?;
        let (unused_bits, key) = take_last(info, Tag::BitString)?.split_first()?;
        (*unused_bits == 0).then_some((oid, algorithm, key))
    };
    let (oid, parameters, key) =
        parts().ok_or(KeyError::Malformed("its DER is not that of a public key"))?;
    let algorithm = match oid {
        OID_ED25519 => Algorithm::Ed25519,
        OID_EC if take_last(parameters, Tag::ObjectId) == Some(OID_P256) => Algorithm::EcdsaP256,
        OID_EC => return unsupported("of the elliptic curves only P-256 is taken"),
        OID_RSA => Algorithm::Rsa,
        _ => return unsupported("only Ed25519, ECDSA P-256 and RSA keys are taken"),
    };
    PublicKey::from_bytes(algorithm, key.to_vec())
}

fn unsupported(text: &str) -> Result<PublicKey, KeyError> {
    Err(KeyError::Unsupported(text.to_owned()))
}

fn check_point(point: &[u8]) -> Result<(), KeyError> {
    match (point.first(), point.len()) {
        (Some(4), 65) => Ok(()),
        (Some(2 | 3), 33) => Err(KeyError::Unsupported(
            "the point of the key is compressed: write the key uncompressed".to_owned(),
        )),
        _ => Err(KeyError::Malformed("it holds no point of P-256")),
    }
}

fn check_modulus(key: &[u8]) -> Result<(), KeyError> {
    let modulus = || {
        let mut parts = take_last(key, Tag::Sequence)?;
        let modulus = take(&mut parts, Tag::Integer)?;
        take_last(parts, Tag::Integer)?;
        Some(modulus)
    };
    let modulus = modulus().ok_or(KeyError::Malformed("it holds no RSA key"))?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    match modulus.len() * 8 {
        2048..=8192 => Ok(()),
        bits => Err(KeyError::Unsupported(format!(
            "an RSA key of {bits} bits is not taken, only 2048 to 8192"
        ))),
    }
}
