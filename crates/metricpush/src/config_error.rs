//! What is refused before anything is sent.

/// A setting that cannot work. The text never repeats the setting, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL of the server.
    #[error("the server URL {0}")]
    ServerUrl(&'static str),
    /// The API key.
    #[error("the API key {0}")]
    Key(&'static str),
    /// The version that the user agent names.
    #[error("the version for the user agent {0}")]
    Version(&'static str),
}
