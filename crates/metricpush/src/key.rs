//! The API key: trimmed, checked, and never shown.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ConfigError;

/// The longest key that is accepted. Those of the known server have 44 characters.
const MAX_LENGTH: usize = 512;

/// The key of a machine. `Debug` hides it, and no error of this crate shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key as it stands in a file or a credential. Blanks and line ends around it are cut off.
    ///
    /// ```
    /// use metricpush::ApiKey;
    ///
    /// let key = ApiKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")?;
    /// assert_eq!(key.hash(), "905f28de");
    /// assert_eq!(format!("{key:?}"), "ApiKey(905f28de)");
    /// assert!(ApiKey::parse(" \n").is_err());
    /// # Ok::<(), metricpush::ConfigError>(())
    /// ```
    pub fn parse(text: &str) -> Result<ApiKey, ConfigError> {
        let text = text.trim();
        let refuse = |why| Err(ConfigError::Key(why));
        if text.is_empty() {
            return refuse("is empty");
        }
        if text.len() > MAX_LENGTH {
            return refuse("is longer than 512 characters: is it the right file?");
        }
        if text.contains([' ', '\t', '\r', '\n']) {
            return refuse("has a blank or a line end inside: only the key itself is wanted");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("has a control or non-ASCII character inside");
        }
        Ok(ApiKey(text.to_owned()))
    }

    /// What may be logged: the first 8 hex digits of the key's SHA-256.
    ///
    /// The owner of a machine sees the same digits on the server, as the beginning of the stored hash.
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The key itself, for those who send it by other means than this crate.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.hash())
    }
}
