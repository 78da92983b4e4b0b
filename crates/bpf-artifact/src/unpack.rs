//! Takes an archive apart, in memory and within limits.

use std::error::Error;
use std::io::Read;

use ruzstd::decoding::StreamingDecoder;
use tar::{Archive, Entry, EntryType};

use crate::{Limits, Metadata};

/// What unpacking gave.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) object: Vec<u8>,
    pub(crate) metadata: Option<Metadata>,
    /// The names of all entries, in their order.
    pub(crate) entries: Vec<String>,
}

/// Why an archive was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It asks for more than the limits allow.
    #[error("the archive is refused: {what} over {limit}")]
    OverLimit {
        /// What is too much.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// It is damaged, or no tar.zst at all.
    #[error("the archive cannot be read: {0}")]
    Corrupt(String),
    /// It holds an entry that it must not hold.
    #[error("the archive is refused: entry {name:?} {problem}")]
    Entry {
        /// Its name, or what can be shown of it.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its `metadata.json` is missing something, or not what it should be.
    #[error("metadata.json: {0}")]
    Metadata(String),
}

impl UnpackError {
    /// One word for events, labels of metrics and tests. It does not change.
    pub fn code(&self) -> &'static str {
        match self {
            UnpackError::OverLimit { .. } => "over_limit",
            UnpackError::Corrupt(_) => "corrupt",
            UnpackError::Entry { .. } => "bad_entry",
            UnpackError::Metadata(_) => "bad_metadata",
        }
    }
}

pub(crate) fn unpack(archive: &[u8], limits: &Limits) -> Result<Contents, UnpackError> {
    let packed = u64::try_from(archive.len()).unwrap_or(u64::MAX);
    within("its size", packed, limits.max_archive_bytes())?;
    let plain = StreamingDecoder::new_with_max_window_size(archive, limits.max_window_bytes())
        .map_err(corrupt)?;
    let allowed = limits.max_unpacked_bytes(packed);
    // One byte more than is allowed: if it is ever asked for, there is too much.
    let mut capped = plain.take(allowed.saturating_add(1));
    let unpacked = read_entries(&mut capped, limits);
    if capped.limit() == 0 {
        return Err(UnpackError::OverLimit {
            what: "its decompressed size",
            limit: allowed,
        });
    }
    unpacked
}

fn read_entries(tar: impl Read, limits: &Limits) -> Result<Contents, UnpackError> {
    let mut tar = Archive::new(tar);
    let mut names: Vec<String> = Vec::new();
    let (mut object, mut metadata) = (None, None);
    for entry in tar.entries().map_err(corrupt)? {
        if names.len() >= limits.max_entries() {
            let limit = u64::try_from(limits.max_entries()).unwrap_or(u64::MAX);
            return Err(UnpackError::OverLimit {
                what: "its number of entries",
                limit,
            });
        }
        let entry = entry.map_err(corrupt)?;
        let name = allowed_name(&entry)?;
        if names.contains(&name) {
            return refused(name, "is there twice");
        }
        within(
            "the size of an entry",
            entry.size(),
            limits.max_object_bytes(),
        )?;
        match name.as_str() {
            "program.o" => object = Some(read_whole(entry)?),
            "metadata.json" => metadata = Some(Metadata::from_json(&read_whole(entry)?)?),
            _ => {}
        }
        names.push(name);
    }
    match object {
        None => refused("program.o".to_owned(), "is missing"),
        Some(object) if object.is_empty() => refused("program.o".to_owned(), "is empty"),
        Some(object) => Ok(Contents {
            object,
            metadata,
            entries: names,
        }),
    }
}

/// The name of an entry, if such an entry may be there.
fn allowed_name<R: Read>(entry: &Entry<'_, R>) -> Result<String, UnpackError> {
    let bytes = entry.path_bytes();
    let shown = || {
        String::from_utf8_lossy(&bytes)
            .chars()
            .take(100)
            .collect::<String>()
    };
    if entry.header().entry_type() != EntryType::Regular {
        return refused(shown(), "is not a regular file");
    }
    if bytes.len() > 255 {
        return refused(shown(), "has a name of more than 255 bytes");
    }
    let bytes = bytes.strip_prefix(b"./").unwrap_or(&bytes);
    let known = matches!(bytes, b"program.o" | b"program.skel.h" | b"metadata.json");
    let source = || {
        bytes
            .strip_prefix(b"src/")
            .is_some_and(|path| path.split(|b| *b == b'/').all(is_plain))
    };
    match std::str::from_utf8(bytes) {
        Ok(name) if known || source() => Ok(name.to_owned()),
        _ => refused(
            shown(),
            "is none of program.o, program.skel.h, metadata.json, src/...",
        ),
    }
}

fn is_plain(part: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    !part.is_empty() && part != b"." && part != b".." && part.iter().all(plain)
}

/// All of an entry. Its size was compared with the limit; a body that ends before it is an error.
fn read_whole<R: Read>(mut entry: Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = Vec::new();
    let size = entry.size();
    entry.read_to_end(&mut bytes).map_err(corrupt)?;
    if u64::try_from(bytes.len()) != Ok(size) {
        return Err(corrupt("it ends within an entry"));
    }
    Ok(bytes)
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), UnpackError> {
    if found > limit {
        Err(UnpackError::OverLimit { what, limit })
    } else {
        Ok(())
    }
}

fn refused<T>(name: String, problem: &'static str) -> Result<T, UnpackError> {
    Err(UnpackError::Entry { name, problem })
}

fn corrupt(error: impl Into<Box<dyn Error>>) -> UnpackError {
    UnpackError::Corrupt(error.into().to_string())
}
