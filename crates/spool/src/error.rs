//! Why a spool could not do what it was asked.

use std::io;
use std::path::PathBuf;

/// A failure. The spool can be used on: what failed was not done, and may be tried again.
///
/// Messages read well after "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("{action} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Another owner has the spool open.
    #[error("lock {}: another process uses this spool", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The folder was written by another version of this crate. Nothing was changed.
    #[error("open {}: it has format {found}, and this program knows format {known}", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The format of this crate.
        known: u32,
    },
    /// The record is longer than `max_record_bytes`.
    #[error("append a record of {bytes} bytes: at most {limit} are allowed")]
    TooLarge {
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The caller asked for what cannot be.
    #[error("use the spool: {0}")]
    Refused(&'static str),
}

impl Error {
    /// Whether the disk or the quota is full. Later, when there is room, the same call works.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self.kind(),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    }

    /// Whether the file system is mounted read-only, as some are after an error of the disk.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.kind() == Some(io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Whether another process has the spool open.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Whether the folder was written by another version of this crate.
    #[must_use]
    pub fn is_other_version(&self) -> bool {
        matches!(self, Self::Version { .. })
    }

    /// Whether the record is longer than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// Whether the same call can work later, without anybody changing the program or the folder's rights.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_locked()
            || self.kind().is_some_and(|kind| {
                !matches!(
                    kind,
                    io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
                )
            })
    }

    fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Disk { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
