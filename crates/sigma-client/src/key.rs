//! The API key: trimmed, checked, and never shown.

use std::fmt;

use reqwest::header::HeaderValue;

use crate::ConfigError;

/// The value of the header `X-Api-Key`.
///
/// Neither `Debug` nor any error of this crate shows it, and it travels as a header marked sensitive.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// Takes a key as it stands in a file or an option.
    ///
    /// Blanks and line ends around it are cut off. An empty text means "no key": the API answers 401 to an
    /// empty header even where it lets requests without one pass.
    ///
    /// ```
    /// use sigma_client::ApiKey;
    ///
    /// assert!(ApiKey::parse("sk_sigma_0123\n")?.is_some());
    /// assert!(ApiKey::parse("  ")?.is_none());
    /// assert!(ApiKey::parse("two\nlines").is_err());
    /// # Ok::<(), sigma_client::ConfigError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Option<ApiKey>, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        {
            return Err(ConfigError::Key(
                "has a control or non-ASCII character inside",
            ));
        }
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| ConfigError::Key("does not fit into a header"))?;
        value.set_sensitive(true);
        Ok(Some(ApiKey(value)))
    }

    /// The text with every occurrence of the key replaced.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        match self.0.to_str() {
            Ok(key) => text.replace(key, "[key]"),
            Err(_) => text.to_owned(),
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}
