//! The host's proc and sys, read file by file, each within a limit.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

use super::kept::Kept;
use crate::place::Place;

/// No file that is read here is longer on a sane host: 100,000 UDP sockets make 15 MB.
const FILE_LIMIT: usize = 16 << 20;

/// Room for most files in one reading.
const CHUNK: usize = 8192;

/// Attributes of sys are a word or a line.
const ATTRIBUTE_LIMIT: usize = 256;

/// A host has fewer interfaces, processors or sensors than this, or their figures help nobody.
const FOLDER_LIMIT: usize = 4096;

/// Where sources read.
pub(super) struct Tree<'a> {
    pub(super) place: &'a Place,
    pub(super) kept: &'a mut Kept,
    root: sysinfo_linux::Root,
}

impl<'a> Tree<'a> {
    pub(super) fn new(place: &'a Place, kept: &'a mut Kept) -> Self {
        let root = place.host().root().clone();
        Self { place, kept, root }
    }

    pub(super) fn rootfs(&self) -> &Path {
        self.root.rootfs()
    }

    /// A text file below proc.
    pub(super) fn proc(&mut self, name: &str) -> io::Result<String> {
        self.proc_bytes(name).map(text)
    }

    pub(super) fn proc_bytes(&mut self, name: &str) -> io::Result<Vec<u8>> {
        read(&mut self.kept.files, self.root.proc().join(name))
    }

    /// A text file about the host's network.
    pub(super) fn net(&mut self, name: &str) -> io::Result<String> {
        read(&mut self.kept.files, self.place.net().join(name)).map(text)
    }

    pub(super) fn sys(&self, name: &str) -> PathBuf {
        self.root.sys().join(name)
    }
}

/// Reads a file whole. One of procfs stays open for the next time; a copy may be replaced, so it is opened anew.
fn read(files: &mut HashMap<PathBuf, File>, path: PathBuf) -> io::Result<Vec<u8>> {
    if let Some(file) = files.get(&path) {
        let bytes = read_whole(file);
        if bytes.is_err() {
            files.remove(&path);
        }
        return bytes;
    }
    let file = File::open(&path)?;
    let bytes = read_whole(&file)?;
    if fstatfs(&file).is_ok_and(|told| told.f_type == PROC_SUPER_MAGIC) {
        files.insert(path, file);
    }
    Ok(bytes)
}

fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut filled = 0;
    loop {
        bytes.resize(filled + CHUNK, 0);
        let room = bytes.get_mut(filled..).unwrap_or_default();
        match file.read_at(room, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled > FILE_LIMIT {
            let problem = format!("a file is longer than {FILE_LIMIT} bytes");
            return Err(io::Error::other(problem));
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Names may be any bytes; what is not UTF-8 would not stay on the page anyway.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// What an attribute of sys says; `None` where it does not exist or does not answer, such as the speed of a link that is down.
pub(super) fn attribute(path: &Path) -> Option<String> {
    let mut bytes = [0; ATTRIBUTE_LIMIT];
    // One read: some drivers answer each one anew, and some never stop.
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    let told = bytes.get(..length)?.trim_ascii();
    Some(String::from_utf8_lossy(told).into_owned())
}

/// An attribute that is a decimal number.
pub(super) fn number(path: &Path) -> Option<f64> {
    attribute(path)?.parse().ok()
}

/// The names in a folder.
pub(super) fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names: Vec<OsString> = std::fs::read_dir(folder)?
        .take(FOLDER_LIMIT)
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    names.sort();
    Ok(names)
}

/// The entries of a folder whose name is `prefix` and a number: the number and the path.
pub(super) fn numbered(folder: &Path, prefix: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found: Vec<(u32, PathBuf)> = names(folder)?
        .into_iter()
        .filter_map(|name| {
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, folder.join(name)))
        })
        .collect();
    found.sort();
    Ok(found)
}
