//! A token: trimmed, checked, and never shown.

use std::fmt;

use reqwest::header::HeaderValue;

/// A token of a registry or of Vault. Neither `Debug` nor any error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The text cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token: empty, or with a blank or control character inside")]
pub struct BadSecret;

impl Secret {
    /// Takes a token as it stands in a file or an option: blanks and line ends around it are cut off.
    pub fn parse(text: &str) -> Result<Secret, BadSecret> {
        let text = text.trim();
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good {
            Ok(Secret(text.to_owned()))
        } else {
            Err(BadSecret)
        }
    }

    /// As the value of a header, after these words.
    pub(crate) fn header(&self, words: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{words}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The text with every occurrence of the token replaced.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, "[token]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
