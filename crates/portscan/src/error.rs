//! Why a scan or an allocation could not be made.

use std::io;
use std::path::PathBuf;

/// A failure: never "all free", never "all used".
///
/// Messages read well after "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused to list sockets over netlink.
    #[error("list sockets over netlink: {0}")]
    Netlink(io::Error),
    /// Netlink refused, and the files of `proc` could not be read either.
    #[error("list sockets from {path}: {source} (netlink: {netlink})")]
    Files {
        /// The directory read.
        path: PathBuf,
        /// What netlink said.
        netlink: String,
        /// What reading said.
        source: io::Error,
    },
    /// A port could be neither bound nor found taken: too many open files, for instance.
    #[error("test port {port}: {source}")]
    Test {
        /// The port.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel gave no random numbers.
    #[error("draw random numbers: {0}")]
    Random(io::Error),
}

impl Error {
    /// Whether trying again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let source = match self {
            Self::Files { source, .. } | Self::Test { source, .. } => source,
            Self::Netlink(source) | Self::Random(source) => source,
        };
        matches!(
            source.raw_os_error(),
            Some(
                libc::EMFILE
                    | libc::ENFILE
                    | libc::ENOBUFS
                    | libc::ENOMEM
                    | libc::EAGAIN
                    | libc::EINTR
            )
        )
    }
}
