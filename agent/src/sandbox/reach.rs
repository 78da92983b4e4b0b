//! Which files of other users root reaches by nothing but its capabilities.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether root without capabilities could not write in this folder, which is another user's.
pub(super) fn needs_override(folder: &Path) -> bool {
    bars(folder, 0o002)
}

/// Whether root without capabilities could not read this file, which is another user's.
pub(super) fn needs_search(file: &Path) -> bool {
    bars(file, 0o004)
}

/// Whether the file or a folder above it is another user's and not open to all. Group root has no members worth a look.
fn bars(path: &Path, bit: u32) -> bool {
    let Ok(real) = path.canonicalize() else {
        return false;
    };
    let closed = |at: &Path, bit: u32| {
        std::fs::metadata(at).is_ok_and(|meta| meta.uid() != 0 && meta.mode() & bit == 0)
    };
    closed(&real, bit) || real.ancestors().skip(1).any(|above| closed(above, 0o001))
}

/// The path as it was given, and where it leads.
pub(super) fn both(path: &Path) -> Vec<PathBuf> {
    let given = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = given.canonicalize().ok().filter(|real| *real != given);
    [Some(given), real].into_iter().flatten().collect()
}
