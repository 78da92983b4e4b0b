//! Keys for servers, and the certificates on the way to them.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::keyfile;

/// No file of certificates is longer.
const MAX_PEM: u64 = 1 << 20;

/// A key for a server, trimmed; it shows itself to nobody who does not ask by name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// `None` for blanks alone.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Reads a key; an empty file is an error, since somebody meant to give one.
pub(crate) fn read(path: &Path) -> Result<Secret, String> {
    Secret::new(&keyfile::text(path)?)
        .ok_or_else(|| format!("{}: the file is empty", path.display()))
}

/// Reads certificates or a private key.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    keyfile::bytes(path, MAX_PEM).map_err(|why| format!("{}: {why}", path.display()))
}

/// Whether users other than owner and group may read the file.
pub(crate) fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o004 != 0)
}
