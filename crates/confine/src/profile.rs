//! What a process goes on needing: everything else is to be taken away.

use std::path::{Path, PathBuf};

use crate::Capability;

/// What is to be left. Each part is off by itself; `Profile::default()` takes nothing away but new privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The capabilities that stay, as far as they are there; `None`: all of them.
    pub capabilities: Option<Vec<Capability>>,
    /// Whether programs that this process starts may have the capabilities that stay.
    pub inherited: bool,
    /// No core dumps, and no look into the process for others of the same user.
    pub undumpable: bool,
    /// What may be opened, made and removed; `None`: whatever the file modes allow. Nothing may be executed unless a rule says so.
    pub files: Option<Vec<FileRule>>,
    /// The TCP ports that may be bound; `None`: any.
    pub tcp_bind: Option<Vec<u16>>,
    /// The TCP ports to which connections may be opened; `None`: any.
    pub tcp_connect: Option<Vec<u16>>,
    /// No connections to abstract UNIX sockets of processes outside.
    pub no_abstract_sockets: bool,
    /// No signals to processes outside.
    pub no_signals: bool,
    /// Which system calls are left; `None`: all.
    pub calls: Option<Calls>,
}

impl Profile {
    /// Whether anything is asked of Landlock.
    pub(crate) fn asks_landlock(&self) -> bool {
        self.files.is_some()
            || self.tcp_bind.is_some()
            || self.tcp_connect.is_some()
            || self.no_abstract_sockets
            || self.no_signals
    }
}

/// What may be done with a file, or with all that is in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRule {
    /// Where it is. A rule is about what stands there when it comes into force: another file that takes the name later is not meant. A rule
    /// about a folder is about what comes into it later, too.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
}

impl FileRule {
    /// Files may be read, folders listed.
    pub fn read(path: impl AsRef<Path>) -> Self {
        Self::new(path, Access::Read)
    }

    /// The same, and files and folders may be written, made, renamed and removed.
    pub fn write(path: impl AsRef<Path>) -> Self {
        Self::new(path, Access::Write)
    }

    /// Files may be written, made, renamed and removed, but not read.
    pub fn write_only(path: impl AsRef<Path>) -> Self {
        Self::new(path, Access::WriteOnly)
    }

    fn new(path: impl AsRef<Path>, access: Access) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            access,
        }
    }
}

/// What a rule allows. What no rule allows is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Access {
    /// Read files, list folders.
    Read,
    /// Read, and write, make, rename and remove files and folders.
    Write,
    /// Write, make, rename and remove files; for logs.
    WriteOnly,
}

/// Which of the dangerous system calls are left, and which sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Whether other programs may be started: fork, exec, and pages of memory that can be executed.
    pub programs: bool,
    /// Whether eBPF programs may be loaded and perf events opened.
    pub bpf: bool,
    /// The address families of new sockets (`libc::AF_INET` …); `None`: any.
    pub families: Option<Vec<i32>>,
}
