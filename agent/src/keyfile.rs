//! The file with the API key: read at start, on SIGHUP and when the API says 401.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sigma_client::ApiKey;

/// No key is longer; a longer file is some other file.
const MAX_BYTES: u64 = 4096;

/// Reads the key; an empty file is an error, since somebody meant to give one.
pub(crate) fn read(path: &Path) -> Result<ApiKey, String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(fail(&"larger than 4 KiB, so this is no key file"));
    }
    ApiKey::parse(&text)
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&"the file is empty"))
}

/// Whether users other than owner and group may read the file.
pub(crate) fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o004 != 0)
}
