//! What a `proc` directory tells of one process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat, readlinkat, readlinkat_raw};

use crate::{Cgroup, Process};

const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A process and its number for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) pid: u32,
    pub(super) fd: u32,
}

/// An open `proc` directory.
#[derive(Debug)]
pub(super) struct ProcDir {
    dir: OwnedFd,
    /// Whether it numbers processes as this process's own system calls do.
    pub(super) same_pids: bool,
}

impl ProcDir {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())?;
        let own = readlinkat(&dir, "self", Vec::new()).ok();
        let same_pids =
            own.is_some_and(|own| own.to_bytes() == std::process::id().to_string().as_bytes());
        Ok(Self { dir, same_pids })
    }

    pub(super) fn open_dir(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        openat(
            &self.dir,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    pub(super) fn holds(&self, holding: Holding, inode: NonZeroU32) -> bool {
        self.socket(holding) == Some(inode)
    }

    /// The socket behind a file, if it is one and may be seen.
    pub(super) fn socket(&self, holding: Holding) -> Option<NonZeroU32> {
        let mut buffer = [0; 64];
        let path = format!("{}/fd/{}", holding.pid, holding.fd);
        let length = readlinkat_raw(&self.dir, path, &mut buffer[..]).ok()?;
        socket_inode(buffer.get(..length)?)
    }

    pub(super) fn parent(&self, pid: u32) -> Option<u32> {
        self.stat_field(pid, 1)
            .and_then(|parent| u32::try_from(parent).ok())
            .filter(|parent| *parent != 0)
    }

    /// Clock ticks after boot at which the process started.
    pub(super) fn start_time(&self, pid: u32) -> Option<u64> {
        self.stat_field(pid, 19)
    }

    /// A field of `stat` after the name, which is in parentheses and may hold anything.
    fn stat_field(&self, pid: u32, index: usize) -> Option<u64> {
        let stat = self.read(pid, "stat").ok()?;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        fields.split_ascii_whitespace().nth(index)?.parse().ok()
    }

    pub(super) fn describe(&self, pid: u32) -> Option<Process> {
        let comm = self.comm(pid)?;
        let cgroup = self
            .read(pid, "cgroup")
            .map(|text| Cgroup::parse(&text))
            .unwrap_or_default();
        Some(Process {
            pid,
            comm,
            exe: self.exe(pid),
            cgroup,
        })
    }

    pub(super) fn comm(&self, pid: u32) -> Option<OsString> {
        let mut comm = self.read(pid, "comm").ok()?;
        if comm.last() == Some(&b'\n') {
            comm.pop();
        }
        Some(OsString::from_vec(comm))
    }

    /// The program, also when its file was replaced since it started.
    fn exe(&self, pid: u32) -> Option<PathBuf> {
        let link = readlinkat(&self.dir, format!("{pid}/exe"), Vec::new()).ok()?;
        let path = link.to_bytes();
        Some(OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path)).into())
    }

    fn read(&self, pid: u32, name: &str) -> io::Result<Vec<u8>> {
        read_at(self.dir.as_fd(), &format!("{pid}/{name}"))
    }
}

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Reads a small file below an open directory.
pub(super) fn read_at(dir: BorrowedFd<'_>, path: &str) -> io::Result<Vec<u8>> {
    let file = File::from(openat(
        dir,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `socket:[123]` → 123.
pub(super) fn socket_inode(link: &[u8]) -> Option<NonZeroU32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
