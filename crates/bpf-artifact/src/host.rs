//! The id a host goes by.

use std::fmt;

/// The id that a host goes by at the registry and in manifests.
///
/// Any text will do that can stand in a URL (it is percent-encoded) and in a log: 1 to 253 bytes, no control
/// characters, no blanks around it, neither `.` nor `..`; and not `*`, which in a manifest means every host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(String);

/// The text cannot be the id of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a host id: 1 to 253 bytes, no control characters, no blanks around it, not `.`, `..` or `*`"
)]
pub struct BadHostId;

impl HostId {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<HostId, BadHostId> {
        let bad = text.is_empty()
            || text.len() > 253
            || text.chars().any(char::is_control)
            || text.trim() != text
            || matches!(text, "." | ".." | "*");
        if bad {
            Err(BadHostId)
        } else {
            Ok(HostId(text.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
