//! Files that a tool reads.

use std::path::{Path, PathBuf};

use bpf_artifact::{Limits, PublicKey};
use serde_json::{Map, Value};

use crate::cli::programs_command::Json;
use crate::keyfile;

/// No text beside an archive is longer: manifests are the longest.
const MAX_TEXT: u64 = 128 << 10;

/// Reads an archive, as far as an agent would.
pub(super) fn archive(path: &Path) -> Result<Vec<u8>, String> {
    bytes(path, Limits::default().max_archive_bytes())
}

/// Reads a file of at most `most` bytes.
pub(super) fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    keyfile::bytes(path, most).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a short file.
pub(super) fn short(path: &Path) -> Result<Vec<u8>, String> {
    bytes(path, MAX_TEXT)
}

/// Reads a short text.
pub(super) fn text(path: &Path) -> Result<String, String> {
    String::from_utf8(short(path)?).map_err(|_| format!("{}: not text", path.display()))
}

/// The JSON object that was given, or that is in the file that was named.
pub(super) fn json(json: &Json) -> Result<Map<String, Value>, String> {
    match json {
        Json::Given(object) => Ok(object.clone()),
        Json::File(path) => serde_json::from_slice(&short(path)?)
            .map_err(|error| format!("{}: not a JSON object: {error}", path.display())),
    }
}

/// The keys of a text, or of the file it names.
pub(super) fn public_keys(text: &str) -> Result<Vec<PublicKey>, String> {
    let path = Path::new(text);
    let (from, keys) = if path.is_file() {
        (text, PublicKey::parse_all(&self::text(path)?))
    } else {
        ("--public-key", PublicKey::parse_all(text))
    };
    keys.map_err(|error| format!("{from}: {error}"))
}

/// `NAME.manifest.json` or `NAME.manifest.sig` beside `NAME.tar.zst`.
pub(super) fn beside(archive: &Path, end: &str) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".tar.zst").unwrap_or(&name);
    archive.with_file_name(format!("{name}.{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_an_archive() {
        for (archive, manifest) in [
            ("a/guard.tar.zst", "a/guard.manifest.json"),
            ("guard", "guard.manifest.json"),
            ("a.b/guard.zst", "a.b/guard.zst.manifest.json"),
        ] {
            assert_eq!(
                beside(Path::new(archive), "manifest.json"),
                Path::new(manifest)
            );
        }
    }
}
