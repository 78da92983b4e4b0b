//! Cgroups by their path below the cgroup2 root.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Below the root, without a way out of it.
fn below(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let path = path.strip_prefix(root).unwrap_or(path);
    let mut whole = root.to_owned();
    for part in path.components() {
        match part {
            Component::Normal(part) => whole.push(part),
            Component::RootDir | Component::CurDir => {}
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the path leads out of the cgroups",
                ));
            }
        }
    }
    Ok(whole)
}

/// The number that `bpf_get_current_cgroup_id()` returns: the inode of the directory.
pub(crate) fn id(root: &Path, path: &Path) -> io::Result<u64> {
    Ok(open(root, path)?.metadata()?.ino())
}

/// Opens a cgroup to attach to it.
pub(crate) fn open(root: &Path, path: &Path) -> io::Result<File> {
    const CGROUP2: u64 = 0x6367_7270;
    let directory = File::open(below(root, path)?)?;
    let kind = rustix::fs::fstatfs(&directory)?.f_type;
    if u64::try_from(kind).ok() != Some(CGROUP2) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not in a cgroup2 file system",
        ));
    }
    Ok(directory)
}

/// Whether a cgroup is the root, by whatever path it was opened.
pub(crate) fn is_root(root: &Path, directory: &File) -> io::Result<bool> {
    let (root, directory) = (root.metadata()?, directory.metadata()?);
    Ok((root.dev(), root.ino()) == (directory.dev(), directory.ino()))
}
