//! What can go wrong while a source is read, always with the path.

use std::io;
use std::path::{Path, PathBuf};

use crate::parse::Malformed;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a figure could not be had. Messages read well after "failed to ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file, directory or file system could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The file was read, but it does not say what it should.
    #[error("understand {}: line {line}: {what}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line that complains, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file is longer than any such file should be.
    #[error("read {}: longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How much would have been read.
        limit: usize,
    },
}

impl Error {
    /// Whether the source does not exist here: an older kernel, a module that is not loaded, a
    /// sandbox that hides it. Asking again is of no use until the host changes.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The file, directory or mount point that the error is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. } | Self::Parse { path, .. } | Self::TooLong { path, .. } => path,
        }
    }

    pub(crate) fn read(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Read {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn parse(path: &Path, malformed: Malformed) -> Self {
        Self::Parse {
            path: path.to_owned(),
            line: malformed.line,
            what: malformed.what,
        }
    }
}
