//! What the kernel says about a program, a map or a link that is held.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use crate::bytes::{array_at, text_at, u32_at, u64_at};
use crate::syscall;

/// About a program.
#[derive(Clone, Debug)]
pub(crate) struct ProgramInfo {
    pub(crate) id: u32,
    pub(crate) tag: [u8; 8],
    pub(crate) name: String,
    pub(crate) run_time_ns: u64,
    pub(crate) run_count: u64,
    /// Since kernel 5.12.
    pub(crate) recursion_misses: Option<u64>,
    /// Since kernel 5.16.
    pub(crate) verified_instructions: Option<u32>,
}

/// About a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapInfo {
    pub(crate) map_type: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) max_entries: u32,
}

/// About a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkInfo {
    pub(crate) id: u32,
    pub(crate) program_id: u32,
    /// Of XDP and TCX links; 0 once the interface is gone.
    pub(crate) interface: Option<u32>,
    /// Of cgroup links; 0 once the cgroup is gone.
    pub(crate) cgroup: Option<u64>,
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut off")
}

pub(crate) fn program(fd: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let (all, length) = syscall::info(fd)?;
    let bytes = all.get(..length).unwrap_or(&all);
    let read = || {
        Some(ProgramInfo {
            id: u32_at(bytes, 4)?,
            tag: array_at(bytes, 8)?,
            name: text_at(bytes, 64)
                .unwrap_or_default()
                .chars()
                .take(15)
                .collect(),
            run_time_ns: u64_at(bytes, 192)?,
            run_count: u64_at(bytes, 200)?,
            recursion_misses: u64_at(bytes, 208),
            verified_instructions: u32_at(bytes, 216),
        })
    };
    read().ok_or_else(cut)
}

pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<MapInfo> {
    let (bytes, _) = syscall::info(fd)?;
    let field = |at| u32_at(&bytes, at).ok_or_else(cut);
    Ok(MapInfo {
        map_type: field(0)?,
        key_bytes: field(8)?,
        value_bytes: field(12)?,
        max_entries: field(16)?,
    })
}

pub(crate) fn link(fd: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    const CGROUP: u32 = 3;
    const XDP: u32 = 6;
    const TCX: u32 = 11;
    let (bytes, _) = syscall::info(fd)?;
    let field = |at| u32_at(&bytes, at).ok_or_else(cut);
    let kind = field(0)?;
    let interface = if matches!(kind, XDP | TCX) {
        Some(field(16)?)
    } else {
        None
    };
    let cgroup = if kind == CGROUP {
        u64_at(&bytes, 16)
    } else {
        None
    };
    Ok(LinkInfo {
        id: field(4)?,
        program_id: field(8)?,
        interface,
        cgroup,
    })
}

impl LinkInfo {
    /// Whether the thing it was attached to is still there; `None` where the kernel does not say.
    pub(crate) fn is_attached(&self) -> Option<bool> {
        match (self.interface, self.cgroup) {
            (Some(interface), _) => Some(interface != 0),
            (_, Some(cgroup)) => Some(cgroup != 0),
            _ => None,
        }
    }
}

/// Bytes of kernel memory that a held program or map has locked.
pub(crate) fn locked_bytes(proc_root: &Path, fd: BorrowedFd<'_>) -> Option<u64> {
    let text =
        fs::read_to_string(proc_root.join(format!("self/fdinfo/{}", fd.as_raw_fd()))).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))?;
    line.trim().parse().ok()
}

/// Names a program by its id, as well as this process may look.
pub(crate) fn describe_program(id: u32) -> String {
    let name = syscall::program_by_id(id).and_then(|fd| program(std::os::fd::AsFd::as_fd(&fd)));
    match name {
        Ok(info) if !info.name.is_empty() => format!("program `{}` (id {id})", info.name),
        _ => format!("program id {id}"),
    }
}
