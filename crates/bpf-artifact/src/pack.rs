//! Packs an object into an archive.

use std::io;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use crate::unpack::unpack;
use crate::{Limits, Metadata};

/// Packs an object and its metadata into a `tar.zst`, in memory.
///
/// The same input gives the same bytes, and what it gives can be unpacked within the default [`Limits`]: anything
/// else is an error here already. It is larger than `zstd -3` would make it, by some 30 % for small objects: the
/// compressor is the simple one of a pure-Rust library.
pub fn pack(object: &[u8], metadata: &Metadata) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, "program.o", object)?;
    append(&mut tar, "metadata.json", metadata.to_json().as_bytes())?;
    let tar = tar.into_inner()?;
    let archive = compress_to_vec(tar.as_slice(), CompressionLevel::Fastest);
    unpack(&archive, &Limits::default()).map_err(io::Error::other)?;
    Ok(archive)
}

fn append(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(u64::try_from(bytes.len()).map_err(io::Error::other)?);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, bytes)
}
