//! The folder of pins: what outlives this process, in a form in which every crash leaves either the old or the new version whole.
//!
//! `live_7_SLOT/{links,progs,maps,meta}` is version 7 of a slot. It is built as `tmp_7_SLOT` and
//! renamed when it is whole; it is renamed to `dead_7_SLOT` before it is taken apart.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode};

use crate::error::{Error, Refusal, Result};
use crate::{kernel_info, syscall};

const BPF_FS: u64 = 0xcafe_4a11;
/// More entries in a folder than this are not ours.
const MAX_ENTRIES: usize = 10_000;
/// In this order links go first: nothing runs without what it needs.
const PARTS: [&str; 3] = ["links", "progs", "maps"];

/// The folder, locked against other processes for as long as this lives.
#[derive(Debug)]
pub(crate) struct PinFolder {
    path: PathBuf,
    lock: File,
}

/// One version of one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) slot: String,
    pub(crate) generation: u64,
}

/// A version that is being built. Dropped without [`commit`](Staging::commit), it goes away.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    folder: &'a PinFolder,
    version: Version,
    done: bool,
}

fn failed(doing: &str, path: &Path, source: impl Into<io::Error>) -> Error {
    Error::kernel(format!("{doing} {}", path.display()), source)
}

impl PinFolder {
    /// Opens or makes the folder, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            rustix::fs::mkdir(path, Mode::RWXU).map_err(|source| failed("make", path, source))?;
        }
        let lock = File::open(path).map_err(|source| failed("open", path, source))?;
        let kind = rustix::fs::fstatfs(&lock)
            .map_err(|source| failed("look at", path, source))?
            .f_type;
        if u64::try_from(kind).ok() != Some(BPF_FS) {
            return Err(Error::request(format!(
                "{} is not in a bpffs; mount one (mount -t bpf bpf /sys/fs/bpf), or keep nothing",
                path.display()
            )));
        }
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(Refusal::Busy(path.display().to_string()).into())
            }
            Err(source) => Err(failed("lock", path, source)),
        }
    }

    /// Takes apart what crashes left behind: unfinished versions, and old ones that have a
    /// successor. What remains are whole versions, one per slot.
    pub(crate) fn recover(&self) -> Result<(Vec<Version>, Vec<String>)> {
        let names = names_in(&self.path).map_err(|source| failed("list", &self.path, source))?;
        let unfinished = |name: &&String| name.starts_with("tmp_") || name.starts_with("dead_");
        let mut removed: Vec<String> = names.iter().filter(unfinished).cloned().collect();
        let mut live: Vec<Version> = names
            .iter()
            .filter_map(|name| Version::from_name(name.strip_prefix("live_")?))
            .collect();
        live.sort();
        let mut newest: Vec<Version> = Vec::new();
        let mut older: Vec<Version> = Vec::new();
        for version in live {
            older.extend(newest.pop_if(|last| last.slot == version.slot));
            newest.push(version);
        }
        // An unfinished version can share links with the one that it was to replace.
        let in_use = newest
            .iter()
            .flat_map(|version| self.link_ids(version))
            .collect();
        for name in &removed {
            self.take_apart(name, Some(&in_use))?;
        }
        for version in &older {
            self.retire(version, &in_use)?;
            removed.push(version.name("live"));
        }
        Ok((newest, removed))
    }

    fn link_ids(&self, version: &Version) -> Vec<u32> {
        let links = self.open_all(version, "links").unwrap_or_default();
        links
            .iter()
            .filter_map(|(_, link)| kernel_info::link(link.as_fd()).ok())
            .map(|info| info.id)
            .collect()
    }

    pub(crate) fn stage(&self, version: Version) -> Result<Staging<'_>> {
        let path = self.path.join(version.name("tmp"));
        for folder in std::iter::once(path.clone()).chain(PARTS.iter().map(|part| path.join(part)))
        {
            if let Err(source) = rustix::fs::mkdir(&folder, Mode::RWXU) {
                let _ = self.take_apart(&version.name("tmp"), None);
                return Err(failed("make", &folder, source));
            }
        }
        Ok(Staging {
            folder: self,
            version,
            done: false,
        })
    }

    /// Lets go of a version. From the rename on, no crash brings it back. Its links are detached,
    /// but for those that another version uses.
    pub(crate) fn retire(&self, version: &Version, in_use: &BTreeSet<u32>) -> Result<()> {
        let (from, to) = (self.path.join(version.name("live")), version.name("dead"));
        match fs::rename(&from, self.path.join(&to)) {
            // An earlier try came this far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|source| failed("rename", &from, source))?,
        }
        self.take_apart(&to, Some(in_use))
    }

    /// Removes the pins of a folder. Without `in_use` the links stay as they are.
    fn take_apart(&self, name: &str, in_use: Option<&BTreeSet<u32>>) -> Result<()> {
        let folder = self.path.join(name);
        let cleared = PARTS
            .iter()
            .try_for_each(|part| clear(&folder.join(part), in_use));
        let cleared = cleared.and_then(|()| clear(&folder, None));
        cleared.map_err(|source| failed("take apart", &folder, source))
    }

    pub(crate) fn open_meta(&self, version: &Version) -> io::Result<OwnedFd> {
        syscall::open_pin(&self.path.join(version.name("live")).join("meta"))
    }

    /// All pins of a part (`links`, `progs`, `maps`) by name.
    pub(crate) fn open_all(
        &self,
        version: &Version,
        part: &str,
    ) -> io::Result<Vec<(String, OwnedFd)>> {
        let folder = self.path.join(version.name("live")).join(part);
        let open =
            |name: String| syscall::open_pin(&folder.join(&name)).map(|fd| (decoded(&name), fd));
        names_in(&folder)?.into_iter().map(open).collect()
    }
}

/// Removes a folder of pins, if it is there.
fn clear(folder: &Path, in_use: Option<&BTreeSet<u32>>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for name in names_in(folder)? {
        let pin = folder.join(name);
        if let (Some(in_use), true) = (in_use, folder.ends_with("links")) {
            detach_unless(in_use, &pin);
        }
        fs::remove_file(pin)?;
    }
    fs::remove_dir(folder)
}

/// Removing a pin detaches later, or not at all if somebody else holds the link: this does it now.
/// Where it is not possible, removing the pin has to do.
fn detach_unless(in_use: &BTreeSet<u32>, pin: &Path) {
    let Ok(link) = syscall::open_pin(pin) else {
        return;
    };
    if kernel_info::link(link.as_fd()).is_ok_and(|info| !in_use.contains(&info.id)) {
        let _ = syscall::detach_link(link.as_fd());
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(MAX_ENTRIES) {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

impl Version {
    fn name(&self, state: &str) -> String {
        format!("{state}_{}_{}", self.generation, self.slot)
    }

    fn from_name(rest: &str) -> Option<Self> {
        let (generation, slot) = rest.split_once('_')?;
        Some(Self {
            slot: slot.to_owned(),
            generation: generation.parse().ok()?,
        })
    }
}

impl Staging<'_> {
    /// Pins into a part (`links`, `progs`, `maps`).
    pub(crate) fn pin(&self, part: &str, name: &str, fd: BorrowedFd<'_>) -> Result<()> {
        let path = self.path().join(part).join(encoded(name));
        syscall::pin(fd, &path).map_err(|source| failed("pin", &path, source))
    }

    pub(crate) fn pin_meta(&self, meta: &OwnedFd) -> Result<()> {
        let path = self.path().join("meta");
        syscall::pin(meta.as_fd(), &path).map_err(|source| failed("pin", &path, source))
    }

    /// From here on a restart finds this version.
    pub(crate) fn commit(mut self) -> Result<Version> {
        let to = self.folder.path.join(self.version.name("live"));
        fs::rename(self.path(), &to).map_err(|source| failed("rename to", &to, source))?;
        self.done = true;
        Ok(self.version.clone())
    }

    fn path(&self) -> PathBuf {
        self.folder.path.join(self.version.name("tmp"))
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        // A process that is being started at this moment can hold a copy of the descriptor for a while.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is removed at the next start.
            let _ = self.folder.take_apart(&self.version.name("tmp"), None);
        }
    }
}

/// A bpffs takes no dots; names in C have no dashes.
fn encoded(name: &str) -> String {
    name.replace('.', "-")
}

fn decoded(name: &str) -> String {
    name.replace('-', ".")
}
