//! `sys/fs/file-nr`: how many files are open.

use super::fields::{Malformed, number, words};

/// Open files of the whole kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Open now.
    pub open: u64,
    /// May be open.
    pub limit: u64,
}

/// Parses `file-nr`.
///
/// # Errors
///
/// When it is not three numbers.
pub fn file_nr(bytes: &[u8]) -> Result<OpenFiles, Malformed> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let mut words = words(line).map(number);
    let mut next = || words.next().flatten();
    let (Some(allocated), Some(unused), Some(limit)) = (next(), next(), next()) else {
        return Err(Malformed::at(1, "three numbers are needed"));
    };
    Ok(OpenFiles {
        open: allocated.saturating_sub(unused),
        limit,
    })
}
