//! The host's proc and sys, read file by file, each within a limit.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::snapshot::Place;

/// No file that is read here is longer on a sane host: 100,000 UDP sockets make 15 MB.
const FILE_LIMIT: u64 = 16 << 20;

/// Attributes of sys are a word or a line.
const ATTRIBUTE_LIMIT: usize = 256;

/// A host has fewer interfaces, processors or sensors than this, or their figures help nobody.
const FOLDER_LIMIT: usize = 4096;

/// Where sources read.
pub(super) struct Tree<'a> {
    pub(super) place: &'a Place,
    root: sysinfo_linux::Root,
}

impl<'a> Tree<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        let root = place.host().root().clone();
        Self { place, root }
    }

    pub(super) fn rootfs(&self) -> &Path {
        self.root.rootfs()
    }

    /// A text file below proc.
    pub(super) fn proc(&self, name: &str) -> io::Result<String> {
        Ok(text(&self.proc_bytes(name)?))
    }

    pub(super) fn proc_bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        read(&self.root.proc().join(name))
    }

    /// A text file about the host's network.
    pub(super) fn net(&self, name: &str) -> io::Result<String> {
        Ok(text(&read(&self.place.net().join(name))?))
    }

    pub(super) fn sys(&self, name: &str) -> PathBuf {
        self.root.sys().join(name)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::Error::other(format!(
            "{} is longer than {FILE_LIMIT} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Names may be any bytes; what is not UTF-8 would not stay on the page anyway.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What an attribute of sys says; `None` where it does not exist or does not answer, such as the speed of a link that is down.
pub(super) fn attribute(path: &Path) -> Option<String> {
    let mut bytes = [0; ATTRIBUTE_LIMIT];
    // One read: some drivers answer each one anew, and some never stop.
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    Some(text(bytes.get(..length)?).trim_ascii().to_owned())
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
