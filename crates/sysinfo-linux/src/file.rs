//! Reads files whole, within a limit, and keeps those open that are read again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, PROC_SUPER_MAGIC, fstatfs};

use crate::error::{Error, Result};
use crate::root::Root;

/// No file that this crate reads is longer on a sane host: 10,000 mounts make 2 MB.
const LIMIT: usize = 16 << 20;
const FIRST_BUFFER: usize = 4096;
const FUSE_SUPER_MAGIC: FsWord = 0x6573_5546;

/// What a file is served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServedBy {
    /// The kernel's procfs.
    Proc,
    /// A FUSE file system mounted over it: lxcfs.
    Fuse,
    /// Anything else: a fixture tree, a copy.
    Other,
}

/// How the kernel hands a file out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In one piece: a read that does not fill the buffer was the last one.
    OnePiece,
    /// Record by record: only an empty read is the end.
    Records,
}

/// A file that is opened at the first read and stays open while it is on procfs.
///
/// Elsewhere it is opened for every read: a fixture may be replaced, and lxcfs restarted.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    /// Asked when `path` is missing.
    fallback: Option<PathBuf>,
    fell_back: bool,
    shape: Shape,
    open: Option<File>,
    served_by: ServedBy,
}

impl KeptFile {
    pub(crate) fn new(path: PathBuf, shape: Shape) -> Self {
        Self {
            path,
            fallback: None,
            fell_back: false,
            shape,
            open: None,
            served_by: ServedBy::Other,
        }
    }

    pub(crate) fn or(mut self, fallback: PathBuf) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// The file that the last read came from.
    pub(crate) fn path(&self) -> &Path {
        match &self.fallback {
            Some(fallback) if self.fell_back => fallback,
            _ => &self.path,
        }
    }

    /// What the last successful read came from.
    pub(crate) fn served_by(&self) -> ServedBy {
        self.served_by
    }

    /// Reads the file from its start into `buffer` and returns what it holds now.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        if let Some(file) = &self.open {
            if let Ok(length) = read_at_start(file, self.shape, buffer) {
                return Ok(buffer.get(..length).unwrap_or_default());
            }
            self.open = None;
        }
        let file = self.reopened()?;
        let length =
            read_at_start(&file, self.shape, buffer).map_err(|e| failed(self.path(), e))?;
        self.served_by = served_by(&file);
        if self.served_by == ServedBy::Proc {
            self.open = Some(file);
        }
        Ok(buffer.get(..length).unwrap_or_default())
    }

    /// Opens the file; what was missing under the first name is looked for under the second.
    fn reopened(&mut self) -> Result<File> {
        let first = match File::open(&self.path) {
            Ok(file) => {
                self.fell_back = false;
                return Ok(file);
            }
            Err(error) => error,
        };
        if let Some(fallback) = self.fallback.as_deref()
            && first.kind() == io::ErrorKind::NotFound
            && let Ok(file) = File::open(fallback)
        {
            self.fell_back = true;
            return Ok(file);
        }
        Err(Error::read(&self.path, first))
    }
}

/// Reads a file once, whole.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    read_open(path, &file)
}

/// Reads a file of the host's own root directory; links in it stay below that root.
pub(crate) fn read_below(root: &Root, relative: &str) -> Result<Vec<u8>> {
    let path = root.rootfs().join(relative);
    if root.owns_rootfs() {
        return read_whole(&path);
    }
    match open_in_root(root.rootfs(), relative) {
        Ok(file) => read_open(&path, &file),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => read_whole(&path),
        Err(error) => Err(Error::read(&path, error)),
    }
}

/// Reads a file that says something in its first line; an empty line is none.
pub(crate) fn read_first_line(path: &Path) -> Result<Option<String>> {
    Ok(first_line(&read_whole(path)?))
}

/// The first line, without the white space around it, unless it is empty or no text.
pub(crate) fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether `directory` is a procfs of a running kernel, not a copy of one.
pub(crate) fn is_live_proc(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

fn open_in_root(rootfs: &Path, relative: &str) -> rustix::io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
    let directory = openat(
        CWD,
        rootfs,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT;
    openat2(directory, relative, flags, Mode::empty(), inside).map(File::from)
}

/// Reads an open file, whole; `path` is for errors.
pub(crate) fn read_open(path: &Path, file: &File) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    let length = read_at_start(file, Shape::Records, &mut buffer).map_err(|e| failed(path, e))?;
    buffer.truncate(length);
    Ok(buffer)
}

pub(crate) fn served_by(file: &File) -> ServedBy {
    match fstatfs(file).map(|found| found.f_type) {
        Ok(PROC_SUPER_MAGIC) => ServedBy::Proc,
        Ok(FUSE_SUPER_MAGIC) => ServedBy::Fuse,
        _ => ServedBy::Other,
    }
}

/// Fills `buffer` from the start of the file and returns how much of it is filled.
/// The buffer only grows, so that a second reading allocates nothing.
fn read_at_start(file: &File, shape: Shape, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        if buffer.len() - filled < FIRST_BUFFER / 4 {
            grow(buffer)?;
        }
        let room = buffer.get_mut(filled..).unwrap_or_default();
        let offset = u64::try_from(filled).unwrap_or(u64::MAX);
        let got = match file.read_at(room, offset) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let had_room = got < room.len();
        filled += got;
        if got == 0 || (had_room && shape == Shape::OnePiece) {
            return Ok(filled);
        }
    }
}

fn grow(buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() >= LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    buffer.resize((buffer.len() * 2).clamp(FIRST_BUFFER, LIMIT), 0);
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Error::TooLong {
            path: path.to_owned(),
            limit: LIMIT,
        };
    }
    Error::read(path, error)
}
