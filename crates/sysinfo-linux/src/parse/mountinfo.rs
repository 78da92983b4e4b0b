//! `mountinfo`: what is mounted where.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::fields::{Malformed, good_lines, number};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it is mounted in.
    pub parent: u64,
    /// Device number of the file system; major 0 is a file system without a device of its own.
    pub device: (u32, u32),
    /// Which directory (or file) of the file system is mounted: `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Options of the mount, separated by commas.
    pub options: OsString,
    /// Type of the file system.
    pub fs_type: OsString,
    /// What is mounted: a device, an address, or a mere word.
    pub source: OsString,
    /// Options of the file system, separated by commas.
    pub super_options: OsString,
}

impl Mount {
    /// Whether nothing can be written here.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        has_option(&self.options, b"ro") || has_option(&self.super_options, b"ro")
    }

    /// Whether the file system has this option.
    pub(crate) fn has_super_option(&self, option: &str) -> bool {
        has_option(&self.super_options, option.as_bytes())
    }
}

fn has_option(options: &OsString, option: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    options
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|found| found == option)
}

/// Parses `mountinfo`, with the octal escapes of names undone.
///
/// # Errors
///
/// When there are lines, but none can be understood.
pub fn mountinfo(bytes: &[u8]) -> Result<Vec<Mount>, Malformed> {
    good_lines(bytes, 0, "not a mount", mount)
}

/// Fields are separated by single spaces; a name can be empty (a source can).
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = device(fields.next()?)?;
    let root = text(fields.next()?);
    let mount_point = text(fields.next()?);
    let options = text(fields.next()?);
    fields.by_ref().find(|field| *field == b"-")?;
    let fs_type = text(fields.next()?);
    let source = text(fields.next()?);
    let super_options = fields.next().map(text).unwrap_or_default();
    Some(Mount {
        id,
        parent,
        device,
        root: PathBuf::from(root),
        mount_point: PathBuf::from(mount_point),
        options,
        fs_type,
        source,
        super_options,
    })
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = field.splitn(2, |byte| *byte == b':').map(number);
    let mut next = || u32::try_from(numbers.next()??).ok();
    Some((next()?, next()?))
}

fn text(field: &[u8]) -> OsString {
    OsString::from_vec(unescaped(field))
}

/// Undoes `\040` and the like, which the kernel writes for space, tab, newline, `\` and `#`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match after {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                later @ ..,
            ] if *first == b'\\' => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = later;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}
