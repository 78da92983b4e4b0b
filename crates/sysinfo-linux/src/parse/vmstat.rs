//! `vmstat`: paging since the start.

use super::fields::{Malformed, lines, number, words};

/// Paging since the start. What a kernel does not count is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vmstat {
    /// Pages swapped in.
    pub swapped_in_pages: Option<u64>,
    /// Pages swapped out.
    pub swapped_out_pages: Option<u64>,
    /// Kibibytes read from block devices.
    pub paged_in_kib: Option<u64>,
    /// Kibibytes written to block devices.
    pub paged_out_kib: Option<u64>,
    /// Page faults.
    pub faults: Option<u64>,
    /// Page faults that had to wait for a disk.
    pub major_faults: Option<u64>,
    /// Processes that were killed because memory ran out (4.13).
    pub oom_kills: Option<u64>,
}

/// Parses `vmstat`.
///
/// # Errors
///
/// When none of the counters is there.
pub fn vmstat(bytes: &[u8]) -> Result<Vmstat, Malformed> {
    let mut found = Vmstat::default();
    for line in lines(bytes) {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        let field = match name {
            b"pswpin" => &mut found.swapped_in_pages,
            b"pswpout" => &mut found.swapped_out_pages,
            b"pgpgin" => &mut found.paged_in_kib,
            b"pgpgout" => &mut found.paged_out_kib,
            b"pgfault" => &mut found.faults,
            b"pgmajfault" => &mut found.major_faults,
            b"oom_kill" => &mut found.oom_kills,
            _ => continue,
        };
        *field = words.next().and_then(number);
    }
    if found == Vmstat::default() {
        return Err(Malformed::at(1, "no counter of paging"));
    }
    Ok(found)
}
