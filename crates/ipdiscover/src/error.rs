//! What can go wrong with one table of the host.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with one table. The addresses of the others are still good,
/// but the list may lack some, or say too little about them.
///
/// The messages read well after "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table cannot be opened or read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Some lines are not as the kernel prints them; all others were used.
    #[error("understand {lines} line(s) of {}, the first is line {first}: {text:?}", path.display())]
    Lines {
        /// The table.
        path: PathBuf,
        /// How many lines were skipped.
        lines: u64,
        /// The number of the first of them, from 1.
        first: u64,
        /// Its beginning.
        text: String,
    },
    /// The table was left before its end, at one of the caller's [`Limits`](crate::Limits).
    #[error("read {} to its end: {limit} reached", path.display())]
    Limit {
        /// The table.
        path: PathBuf,
        /// Which limit, in words.
        limit: String,
    },
}

impl Error {
    /// The table that is concerned.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. } | Self::Lines { path, .. } | Self::Limit { path, .. } => path,
        }
    }
}
