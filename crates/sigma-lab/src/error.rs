//! What can go wrong besides requests: the database, the kernel's random numbers, a wrong id.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a lab could not be opened or used. The messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another lab, in this process or another one, has the file open.
    #[error("open database {}: another process holds it", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is a database, but not one that this release may touch.
    #[error("open database {}: {why}", path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// What was found there.
        why: String,
    },
    /// SQLite or the file system refused.
    #[error("use database {}: {source}", path.display())]
    Database {
        /// The database file, or `:memory:`.
        path: PathBuf,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No machine of the LunaSentri endpoint has this id.
    #[error("find machine {0}: there is none of that id")]
    UnknownMachine(i64),
    /// The kernel gave no random numbers, so no key could be made.
    #[error("read random bytes from the kernel: {0}")]
    Random(Box<dyn std::error::Error + Send + Sync>),
}
