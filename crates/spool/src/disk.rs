//! The few calls that a spool makes on its folder, so that tests can put a disk that fails in their place.

use std::io;

/// A folder of files. Names are plain: no slashes, no dots alone.
pub trait Folder: Send {
    /// The names of all that is in the folder. Those that are not UTF-8 may be left out.
    ///
    /// # Errors
    /// What the file system answers.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing. Something that is no regular file is as good as not there.
    ///
    /// # Errors
    /// What the file system answers; `NotFound` if there is no such file.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens a new, empty file for reading and writing. One that has this name loses it, but keeps its content: after a power cut
    /// it may be known by another name, too.
    ///
    /// # Errors
    /// What the file system answers.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn File>>;

    /// Gives a file another name.
    ///
    /// # Errors
    /// What the file system answers.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the file system answers.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Returns when the names in the folder would survive a power cut.
    ///
    /// # Errors
    /// What the disk answers.
    fn sync(&mut self) -> io::Result<()>;
}

/// An open file.
pub trait File: Send {
    /// How long it is.
    ///
    /// # Errors
    /// What the file system answers.
    fn length(&mut self) -> io::Result<u64>;

    /// Reads some bytes from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// What the file system answers.
    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes at `offset`, and says how many.
    ///
    /// # Errors
    /// What the file system answers.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file off at `length`.
    ///
    /// # Errors
    /// What the file system answers.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Returns when the content would survive a power cut.
    ///
    /// # Errors
    /// What the disk answers.
    fn sync(&mut self) -> io::Result<()>;
}

/// Writes all bytes, in as many steps as it takes.
pub(crate) fn write_all(file: &mut dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = file.write_at(bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset = offset.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// A part of a file that was read.
pub(crate) struct Part {
    /// As many as there were, up to what was asked for. Zeros stand where the disk could not read.
    pub(crate) bytes: Vec<u8>,
    /// Whether there are such zeros.
    pub(crate) unreadable: bool,
}

/// What is not readable is lost in pieces of this size in the file, the one in which disks fail.
const PIECE: usize = 4096;

/// Reads what there is from `from` to `to`. With `insist`, pieces that cannot be read become zeros.
pub(crate) fn read_part(
    file: &mut dyn File,
    (from, to): (u64, u64),
    insist: bool,
) -> io::Result<Part> {
    let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; wanted];
    let mut unreadable = false;
    let mut careful = false;
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let offset = from.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        let piece = PIECE - usize::try_from(offset).unwrap_or(0) % PIECE;
        let length = if careful { piece } else { wanted }.min(rest.len());
        match file.read_at(rest.get_mut(..length).unwrap_or_default(), offset) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if !insist || !is_damage(&error) => return Err(error),
            Err(_) if !careful => careful = true,
            Err(_) => {
                unreadable = true;
                done += length;
            }
        }
    }
    bytes.truncate(done);
    Ok(Part { bytes, unreadable })
}

/// Whether the disk has lost the content, as opposed to a read that was not tried.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
