//! Control group ids → the processes in those groups.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatfs};

use super::procfs::read_at;

const MAX_GROUPS: usize = 64;
/// A group with more processes is no hint.
const MAX_PROCESSES: usize = 256;
/// Type of the file system of control groups, version 2.
const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Type and size of its file handles.
const HANDLE_TYPE: i32 = 0xfe;
const HANDLE_BYTES: u32 = 8;

/// Processes of the groups in `ids`, below `mount` or the `unified` directory of a mixed host.
///
/// Empty without `CAP_DAC_READ_SEARCH`, for version 1 and for groups that are gone: it is only a hint.
pub(super) fn processes_of(mount: &Path, ids: impl Iterator<Item = u64>) -> Vec<u32> {
    let ids: BTreeSet<u64> = ids.collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let Some(mount) = open_cgroup2(mount).or_else(|| open_cgroup2(&mount.join("unified"))) else {
        return Vec::new();
    };
    ids.into_iter()
        .take(MAX_GROUPS)
        .filter_map(|id| processes(mount.as_fd(), id))
        .flatten()
        .collect()
}

fn open_cgroup2(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let kind = fstatfs(&dir).ok()?.f_type;
    (i128::from(kind) == i128::from(CGROUP2_MAGIC)).then_some(dir)
}

fn processes(mount: BorrowedFd<'_>, id: u64) -> Option<Vec<u32>> {
    let group = open_group(mount, id)?;
    let text = read_at(group.as_fd(), "cgroup.procs").ok()?;
    let pids: Vec<u32> = std::str::from_utf8(&text)
        .ok()?
        .lines()
        .take(MAX_PROCESSES + 1)
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid != 0)
        .collect();
    (pids.len() <= MAX_PROCESSES).then_some(pids)
}

#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: u64,
}

/// The directory of the group with this id.
#[allow(unsafe_code, reason = "no safe crate offers open_by_handle_at")]
fn open_group(mount: BorrowedFd<'_>, id: u64) -> Option<OwnedFd> {
    let mut handle = Handle {
        bytes: HANDLE_BYTES,
        kind: HANDLE_TYPE,
        id,
    };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: `handle` has the layout of `file_handle` followed by the eight bytes that its first field announces, and lives
    // through the call; the kernel only reads it.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the kernel has just opened `fd`, and nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
