//! Where a host is: its file system root, its proc and its sys.

use std::path::{Path, PathBuf};

/// Where a host is.
///
/// `Root::below("/")` is the host (or container) that the caller runs in, `Root::below("/host")`
/// one whose root is mounted there, and any directory with the right files in it is a host too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    rootfs: PathBuf,
    proc: PathBuf,
    sys: PathBuf,
}

impl Root {
    /// The host whose root directory is `rootfs`, with its `proc` and `sys` in it.
    #[must_use]
    pub fn below(rootfs: impl Into<PathBuf>) -> Self {
        let rootfs = rootfs.into();
        Self {
            proc: rootfs.join("proc"),
            sys: rootfs.join("sys"),
            rootfs,
        }
    }

    /// The same host with its proc file system elsewhere.
    #[must_use]
    pub fn with_proc(mut self, proc: impl Into<PathBuf>) -> Self {
        self.proc = proc.into();
        self
    }

    /// The same host with its sys file system elsewhere.
    #[must_use]
    pub fn with_sys(mut self, sys: impl Into<PathBuf>) -> Self {
        self.sys = sys.into();
        self
    }

    /// The root directory.
    #[must_use]
    pub fn rootfs(&self) -> &Path {
        &self.rootfs
    }

    /// Where proc is.
    #[must_use]
    pub fn proc(&self) -> &Path {
        &self.proc
    }

    /// Where sys is.
    #[must_use]
    pub fn sys(&self) -> &Path {
        &self.sys
    }

    /// Whether the root directory is the caller's own, so that its mount table is the caller's.
    pub(crate) fn owns_rootfs(&self) -> bool {
        self.rootfs == Path::new("/")
    }

    /// Whether proc is the caller's own, so that `self` there means the host that is asked about.
    pub(crate) fn owns_proc(&self) -> bool {
        self.owns_rootfs() && self.proc == self.rootfs.join("proc")
    }

    /// Where a path of the host, as the host itself writes it, is for the caller.
    pub(crate) fn path_of(&self, host_path: &Path) -> PathBuf {
        let relative = host_path.strip_prefix("/").unwrap_or(host_path);
        if let Ok(rest) = relative.strip_prefix("proc") {
            return joined(&self.proc, rest);
        }
        if let Ok(rest) = relative.strip_prefix("sys") {
            return joined(&self.sys, rest);
        }
        joined(&self.rootfs, relative)
    }
}

/// `Path::join` that adds no trailing slash for an empty rest.
fn joined(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        return base.to_owned();
    }
    base.join(rest)
}
