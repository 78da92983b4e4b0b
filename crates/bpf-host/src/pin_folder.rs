//! The folder of pins: what outlives this process, in a form in which every crash leaves either the old or the new version whole.
//!
//! `live_7_SLOT/{links,progs,maps,meta}` is version 7 of a slot. It is built as `tmp_7_SLOT` and
//! renamed when it is whole; it is renamed to `dead_7_SLOT` before it is taken apart.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode};

use crate::error::{Error, Refusal, Result};
use crate::syscall;

const BPF_FS: u64 = 0xcafe_4a11;
/// More entries in a folder than this are not ours.
const MAX_ENTRIES: usize = 10_000;
/// In this order links go first: nothing runs without what it needs.
const PARTS: [&str; 3] = ["links", "progs", "maps"];

/// The folder, locked against other processes for as long as this lives.
#[derive(Debug)]
pub(crate) struct PinFolder {
    path: PathBuf,
    _lock: File,
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
                _lock: lock,
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
        let mut removed = Vec::new();
        let mut live: Vec<Version> = Vec::new();
        for name in names_in(&self.path).map_err(|source| failed("list", &self.path, source))? {
            match name.split_once('_') {
                Some(("tmp" | "dead", _)) => {
                    self.take_apart(&name)?;
                    removed.push(name);
                }
                Some(("live", rest)) => live.extend(Version::from_name(rest)),
                _ => {}
            }
        }
        live.sort();
        let mut newest: Vec<Version> = Vec::new();
        for version in live {
            if let Some(older) = newest.pop_if(|last| last.slot == version.slot) {
                removed.push(older.name("live"));
                self.retire(&older)?;
            }
            newest.push(version);
        }
        Ok((newest, removed))
    }

    pub(crate) fn stage(&self, version: Version) -> Result<Staging<'_>> {
        let path = self.path.join(version.name("tmp"));
        for folder in std::iter::once(path.clone()).chain(PARTS.iter().map(|part| path.join(part)))
        {
            if let Err(source) = rustix::fs::mkdir(&folder, Mode::RWXU) {
                let _ = self.take_apart(&version.name("tmp"));
                return Err(failed("make", &folder, source));
            }
        }
        Ok(Staging {
            folder: self,
            version,
            done: false,
        })
    }

    /// Lets go of a version. From the rename on, no crash brings it back.
    pub(crate) fn retire(&self, version: &Version) -> Result<()> {
        let (from, to) = (self.path.join(version.name("live")), version.name("dead"));
        fs::rename(&from, self.path.join(&to)).map_err(|source| failed("rename", &from, source))?;
        self.take_apart(&to)
    }

    fn take_apart(&self, name: &str) -> Result<()> {
        let folder = self.path.join(name);
        let clear = || -> io::Result<()> {
            for part in PARTS {
                let part = folder.join(part);
                if part.is_dir() {
                    for name in names_in(&part)? {
                        fs::remove_file(part.join(name))?;
                    }
                    fs::remove_dir(part)?;
                }
            }
            for name in names_in(&folder)? {
                fs::remove_file(folder.join(name))?;
            }
            fs::remove_dir(&folder)
        };
        clear().map_err(|source| failed("take apart", &folder, source))
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

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is removed at the next start.
            let _ = self.folder.take_apart(&self.version.name("tmp"));
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
