//! A folder of this host, held by one owner: private, locked, and without following links.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, open, openat, renameat,
    unlinkat,
};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use crate::Error;
use crate::disk::{File, Folder};

const LOCK: &str = "lock";
/// A folder with more in it is not a spool's.
const MOST_NAMES: usize = 100_000;
/// Nothing that is in the folder is waited for, followed or given to other programs.
const CAREFUL: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// The folder. The lock is held until this is dropped.
pub(crate) struct Host {
    folder: OwnedFd,
    _lock: OwnedFd,
}

impl Host {
    /// Opens the folder, or creates it with its parents, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let refused = |action, path: &Path, source| Error::Disk {
            action,
            path: path.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| refused("create", path, source))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| open(path, flags, Mode::empty()))
            .map_err(|errno| refused("open", path, errno.into()))?;
        let lock_path = path.join(LOCK);
        let lock = retry_on_intr(|| {
            openat(
                &folder,
                LOCK,
                OFlags::RDWR | OFlags::CREATE | CAREFUL,
                mode(),
            )
        })
        .map_err(|errno| refused("open", &lock_path, errno.into()))?;
        match retry_on_intr(|| flock(&lock, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Self {
                folder,
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: lock_path }),
            Err(errno) => Err(refused("lock", &lock_path, errno.into())),
        }
    }
}

/// The folder as somebody sees it who does not own it: nothing is created, changed or locked.
pub(crate) struct Reader(OwnedFd);

impl Reader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(retry_on_intr(|| open(path, flags, Mode::empty()))?))
    }

    /// The names of all that is in the folder.
    pub(crate) fn list(&mut self) -> io::Result<Vec<String>> {
        list(&self.0)
    }

    /// The content of a regular file of at most `most` bytes; anything else is as good as not there.
    pub(crate) fn read(&mut self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | CAREFUL;
        let file = careful(retry_on_intr(|| {
            openat(&self.0, name, flags, Mode::empty())
        }))?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut bytes = Vec::new();
        let limit = most.saturating_add(1);
        std::fs::File::from(file)
            .take(limit)
            .read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err(io::Error::other("larger than the spool may be"));
        }
        Ok(bytes)
    }
}

/// Of new files: for the owner alone.
fn mode() -> Mode {
    Mode::RUSR | Mode::WUSR
}

impl Folder for Host {
    fn list(&mut self) -> io::Result<Vec<String>> {
        list(&self.folder)
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        let flags = OFlags::RDWR | CAREFUL;
        regular(careful(retry_on_intr(|| {
            openat(&self.folder, name, flags, Mode::empty())
        }))?)
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | CAREFUL;
        regular(retry_on_intr(|| openat(&self.folder, name, flags, mode()))?)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.folder, from, &self.folder, to)?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fsync(&self.folder))?)
    }
}

fn list(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if names.len() == MOST_NAMES {
            return Err(io::Error::other("too many files for a spool"));
        }
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Links, sockets, folders and devices without a driver are as good as not there.
fn careful(opened: rustix::io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    opened.map_err(|errno| match errno {
        Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::NODEV => io::ErrorKind::NotFound.into(),
        other => other.into(),
    })
}

fn regular(file: OwnedFd) -> io::Result<Box<dyn File>> {
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(Box::new(HostFile(file))),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

struct HostFile(OwnedFd);

impl File for HostFile {
    fn length(&mut self) -> io::Result<u64> {
        Ok(u64::try_from(fstat(&self.0)?.st_size).unwrap_or(0))
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| pread(&self.0, &mut *bytes, offset))?)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| pwrite(&self.0, bytes, offset))?)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.0, length))?)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length belongs to what fdatasync(2) writes, the times do not.
        Ok(retry_on_intr(|| rustix::fs::fdatasync(&self.0))?)
    }
}
