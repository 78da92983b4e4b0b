//! Which mounts are real file systems, each counted once.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::disk::DiskKind;
use crate::parse::Mount;

/// A real file system and where it is mounted.
#[derive(Debug)]
pub(crate) struct FileSystem<'a> {
    pub(crate) kind: DiskKind,
    /// Best first: that of the whole file system, then the shortest mount point.
    pub(crate) mounts: Vec<&'a Mount>,
    /// Whether asking it can take for ever: it is remote, or below something that is.
    pub(crate) may_hang: bool,
}

/// The real file systems of a mount table, in its order. Mounts of the same device are one file
/// system: bind mounts, subvolumes, a device that is mounted twice.
pub(crate) fn file_systems(mounts: &[Mount]) -> Vec<FileSystem<'_>> {
    let covered: HashSet<(u64, &Path)> = mounts
        .iter()
        .filter(|mount| mount.parent != mount.id)
        .map(|mount| (mount.parent, mount.mount_point.as_path()))
        .collect();
    // What has another mount on top of it cannot be seen: an automount that has happened.
    let is_seen = |mount: &&Mount| !covered.contains(&(mount.id, mount.mount_point.as_path()));
    let remote: HashSet<&Path> = mounts
        .iter()
        .filter(is_seen)
        .filter(|mount| kind_of(mount).is_some_and(is_remote))
        .map(|mount| mount.mount_point.as_path())
        .collect();
    let mut found: Vec<FileSystem<'_>> = Vec::new();
    let mut by_device: HashMap<(u32, u32), usize> = HashMap::new();
    for mount in mounts.iter().filter(is_seen) {
        let Some(kind) = kind_of(mount) else { continue };
        let index = *by_device.entry(mount.device).or_insert(found.len());
        match found.get_mut(index) {
            Some(known) => known.mounts.push(mount),
            None => found.push(FileSystem {
                kind,
                mounts: vec![mount],
                may_hang: is_remote(kind),
            }),
        }
    }
    for file_system in &mut found {
        file_system.mounts.sort_by_key(|mount| preference(mount));
        let is_safe = |mount: &&Mount| !is_below(mount, &remote);
        if file_system.mounts.iter().any(is_safe) {
            file_system.mounts.retain(is_safe);
        } else {
            file_system.may_hang = true;
        }
    }
    found
}

/// What kind of disk a mount is; most mounts are none.
fn kind_of(mount: &Mount) -> Option<DiskKind> {
    let fs_type = mount.fs_type.as_bytes();
    let is = |names: &[&str]| names.iter().any(|name| name.as_bytes() == fs_type);
    if is(&["autofs"]) {
        return Some(DiskKind::Automount);
    }
    if is(NETWORK) {
        return Some(DiskKind::Network);
    }
    if is(&["fuse", "fuseblk"]) || (fs_type.starts_with(b"fuse.") && !is(FUSE_WITHOUT_DATA)) {
        return Some(DiskKind::Fuse);
    }
    if is(LAYERED) {
        return (mount.mount_point == Path::new("/")).then_some(DiskKind::Overlay);
    }
    let has_device = mount.device.0 != 0;
    (is(LOCAL_WITHOUT_DEVICE) || (has_device && !is(IMAGES))).then_some(DiskKind::Local)
}

/// Served by another machine, by the hypervisor, or by a cluster that can lose its quorum.
const NETWORK: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "prl_fs",
    "pvfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];
const FUSE_WITHOUT_DATA: &[&str] = &[
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fuse.squashfuse",
    "fuse.squashfuse_ll",
    "fuse.vmware-vmblock",
];
const LAYERED: &[&str] = &["aufs", "overlay", "overlayfs"];
const LOCAL_WITHOUT_DEVICE: &[&str] = &[
    "bcachefs", "btrfs", "reiser4", "simfs", "ubifs", "vzfs", "zfs",
];
/// Read-only images: always full.
const IMAGES: &[&str] = &["cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf"];

fn is_remote(kind: DiskKind) -> bool {
    match kind {
        DiskKind::Network | DiskKind::Fuse | DiskKind::Automount => true,
        DiskKind::Local | DiskKind::Overlay => false,
    }
}

fn is_below(mount: &Mount, remote: &HashSet<&Path>) -> bool {
    let mut above = mount.mount_point.ancestors().skip(1);
    above.any(|directory| remote.contains(directory))
}

fn preference(mount: &Mount) -> (bool, usize) {
    let is_part = mount.root != Path::new("/");
    (is_part, mount.mount_point.as_os_str().len())
}
