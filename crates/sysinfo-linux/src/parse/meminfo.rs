//! `meminfo`: where the memory is.

use super::fields::{Malformed, lines, number, words};

/// The file `meminfo`, in bytes. What a kernel does not print is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meminfo {
    /// Memory that the kernel manages.
    pub total_bytes: u64,
    /// Memory that nothing is in.
    pub free_bytes: Option<u64>,
    /// What programs could still get without swapping, by the kernel's own estimate (3.14).
    pub available_bytes: Option<u64>,
    /// Cached blocks of devices.
    pub buffers_bytes: Option<u64>,
    /// Cached files, shared memory included.
    pub cached_bytes: Option<u64>,
    /// Shared memory and tmpfs.
    pub shmem_bytes: Option<u64>,
    /// Kernel objects.
    pub slab_bytes: Option<u64>,
    /// Kernel objects that can be dropped.
    pub slab_reclaimable_bytes: Option<u64>,
    /// Recently used.
    pub active_bytes: Option<u64>,
    /// Not used recently.
    pub inactive_bytes: Option<u64>,
    /// Not swappable: locked.
    pub unevictable_bytes: Option<u64>,
    /// Waits to be written to disk.
    pub dirty_bytes: Option<u64>,
    /// Is being written to disk.
    pub writeback_bytes: Option<u64>,
    /// Memory of programs that no file backs.
    pub anonymous_bytes: Option<u64>,
    /// Files that programs have mapped.
    pub mapped_bytes: Option<u64>,
    /// Page tables.
    pub page_tables_bytes: Option<u64>,
    /// Stacks of the kernel.
    pub kernel_stack_bytes: Option<u64>,
    /// What could be promised under strict overcommit.
    pub commit_limit_bytes: Option<u64>,
    /// What is promised.
    pub committed_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: Option<u64>,
    /// Swap space that nothing is in.
    pub swap_free_bytes: Option<u64>,
    /// Memory that is in swap as well.
    pub swap_cached_bytes: Option<u64>,
}

impl Meminfo {
    /// What programs could still get: the kernel's estimate, or on kernels without one
    /// free + buffers + cached + reclaimable slab - shared memory. Never more than the total.
    #[must_use]
    pub fn available_or_estimate(&self) -> Option<u64> {
        let available = match self.available_bytes {
            Some(available) => available,
            None => self.estimate()?,
        };
        Some(available.min(self.total_bytes))
    }

    fn estimate(&self) -> Option<u64> {
        let droppable = [
            self.buffers_bytes?,
            self.cached_bytes?,
            self.slab_reclaimable_bytes.unwrap_or(0),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
        .saturating_sub(self.shmem_bytes.unwrap_or(0));
        Some(self.free_bytes?.saturating_add(droppable))
    }
}

/// Parses `meminfo`.
///
/// # Errors
///
/// When there is no total.
pub fn meminfo(bytes: &[u8]) -> Result<Meminfo, Malformed> {
    let mut found = Meminfo::default();
    let mut total = None;
    for line in lines(bytes) {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        let field = match name {
            b"MemTotal:" => &mut total,
            b"MemFree:" => &mut found.free_bytes,
            b"MemAvailable:" => &mut found.available_bytes,
            b"Buffers:" => &mut found.buffers_bytes,
            b"Cached:" => &mut found.cached_bytes,
            b"Shmem:" => &mut found.shmem_bytes,
            b"Slab:" => &mut found.slab_bytes,
            b"SReclaimable:" => &mut found.slab_reclaimable_bytes,
            b"Active:" => &mut found.active_bytes,
            b"Inactive:" => &mut found.inactive_bytes,
            b"Unevictable:" => &mut found.unevictable_bytes,
            b"Dirty:" => &mut found.dirty_bytes,
            b"Writeback:" => &mut found.writeback_bytes,
            b"AnonPages:" => &mut found.anonymous_bytes,
            b"Mapped:" => &mut found.mapped_bytes,
            b"PageTables:" => &mut found.page_tables_bytes,
            b"KernelStack:" => &mut found.kernel_stack_bytes,
            b"CommitLimit:" => &mut found.commit_limit_bytes,
            b"Committed_AS:" => &mut found.committed_bytes,
            b"SwapTotal:" => &mut found.swap_total_bytes,
            b"SwapFree:" => &mut found.swap_free_bytes,
            b"SwapCached:" => &mut found.swap_cached_bytes,
            _ => continue,
        };
        *field = kibibytes(words);
    }
    found.total_bytes = total.ok_or(Malformed::at(1, "no MemTotal"))?;
    Ok(found)
}

/// A number followed by `kB`, in bytes.
fn kibibytes<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let value = number(words.next()?)?;
    (words.next()? == b"kB").then_some(())?;
    value.checked_mul(1024)
}
