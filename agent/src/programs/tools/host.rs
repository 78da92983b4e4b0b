//! Where the kernel's files are on this host, for the tools that need a kernel.

use std::path::{Path, PathBuf};

use crate::cli::HostPlace;

/// More mounts than this are not looked at.
const MAX_MOUNTS: usize = 10_000;

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) place: PathBuf,
    pub(super) kind: String,
}

/// Where procfs is.
pub(super) fn proc(place: &HostPlace) -> PathBuf {
    let below = || place.root.join("proc");
    place.proc.clone().unwrap_or_else(below)
}

/// What is mounted where this process can see it.
pub(super) fn mounts(place: &HostPlace) -> Vec<Mount> {
    let text = std::fs::read_to_string(proc(place).join("self/mounts")).unwrap_or_default();
    text.lines().take(MAX_MOUNTS).filter_map(mount).collect()
}

/// `SOURCE PLACE KIND OPTIONS 0 0`.
fn mount(line: &str) -> Option<Mount> {
    let mut words = line.split(' ').skip(1);
    Some(Mount {
        place: words.next()?.replace("\\040", " ").into(),
        kind: words.next()?.to_owned(),
    })
}

/// The places for the part that loads programs; `pins` only where they are to be taken over.
pub(super) fn places(host: &HostPlace, pins: Option<&Path>) -> bpf_host::Places {
    let mounts = mounts(host);
    let first = |kind: &str| {
        let found = mounts.iter().find(|mount| mount.kind == kind);
        found.map(|mount| mount.place.clone())
    };
    let sys_root = host.root.join("sys");
    bpf_host::Places {
        proc_root: proc(host),
        tracefs: first("tracefs"),
        cgroup_root: first("cgroup2").unwrap_or_else(|| sys_root.join("fs/cgroup")),
        sys_root,
        pins: pins.map(Path::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_its_place_and_its_kind() {
        let expected = Mount {
            place: "/sys/fs/my group".into(),
            kind: "cgroup2".to_owned(),
        };
        let line = "cgroup2 /sys/fs/my\\040group cgroup2 rw,nosuid 0 0";
        assert_eq!(mount(line), Some(expected));
        assert_eq!(mount("nonsense"), None);
    }
}
