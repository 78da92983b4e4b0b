//! Why a part of a profile is not in force.

use std::io;

/// Why something could not be taken away. Nothing of that part is in force then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This kernel, or this build, cannot do it.
    #[error("{what} is not possible here: {why}")]
    Unsupported {
        /// What was to be done.
        what: &'static str,
        /// What is missing.
        why: String,
    },
    /// The kernel refused.
    #[error("failed to {doing}: {source}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// The kernel's word.
        source: io::Error,
    },
}

impl Error {
    /// Whether another kernel could do it, rather than another caller.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    pub(crate) fn refused(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Refused {
            doing,
            source: errno.into(),
        }
    }
}
