//! How much an archive may ask for.

/// How much an archive may ask for. The defaults are the most there is: every limit can only be lowered.
///
/// ```
/// use bpf_artifact::Limits;
///
/// assert_eq!(Limits::default().object_bytes(1 << 20).max_object_bytes(), 1 << 20);
/// assert_eq!(Limits::default().object_bytes(1 << 40), Limits::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    archive_bytes: u64,
    object_bytes: u64,
    unpacked_bytes: u64,
    ratio: u64,
    window_bytes: u64,
    entries: usize,
}

/// Up to here the ratio does not matter: small archives of zeros harm nobody.
const FREE_OF_RATIO_BYTES: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            archive_bytes: 16 << 20,
            object_bytes: 4 << 20,
            unpacked_bytes: 32 << 20,
            ratio: 100,
            window_bytes: 8 << 20,
            entries: 64,
        }
    }
}

impl Limits {
    /// Lowers the size of a compressed archive, while it is downloaded too. Default 16 MiB.
    #[must_use]
    pub fn archive_bytes(self, bytes: u64) -> Limits {
        Limits {
            archive_bytes: self.archive_bytes.min(bytes),
            ..self
        }
    }

    /// Lowers the size of one entry, and so of the object. Default 4 MiB.
    #[must_use]
    pub fn object_bytes(self, bytes: u64) -> Limits {
        Limits {
            object_bytes: self.object_bytes.min(bytes),
            ..self
        }
    }

    /// Lowers the size of the decompressed archive. Default 32 MiB.
    #[must_use]
    pub fn unpacked_bytes(self, bytes: u64) -> Limits {
        Limits {
            unpacked_bytes: self.unpacked_bytes.min(bytes),
            ..self
        }
    }

    /// Lowers how many times its own size an archive may decompress to, beyond the first MiB. Default 100.
    #[must_use]
    pub fn ratio(self, ratio: u64) -> Limits {
        Limits {
            ratio: self.ratio.min(ratio),
            ..self
        }
    }

    /// Lowers the window of the decompressor, which is memory. Default 8 MiB.
    #[must_use]
    pub fn window_bytes(self, bytes: u64) -> Limits {
        Limits {
            window_bytes: self.window_bytes.min(bytes),
            ..self
        }
    }

    /// Lowers the number of entries. Default 64.
    #[must_use]
    pub fn entries(self, entries: usize) -> Limits {
        Limits {
            entries: self.entries.min(entries),
            ..self
        }
    }

    /// The largest archive.
    pub fn max_archive_bytes(&self) -> u64 {
        self.archive_bytes
    }

    /// The largest entry.
    pub fn max_object_bytes(&self) -> u64 {
        self.object_bytes
    }

    /// The largest window.
    pub fn max_window_bytes(&self) -> u64 {
        self.window_bytes
    }

    /// The highest number of entries.
    pub fn max_entries(&self) -> usize {
        self.entries
    }

    /// What an archive of this size may decompress to.
    pub fn max_unpacked_bytes(&self, archive_bytes: u64) -> u64 {
        let by_ratio = archive_bytes
            .saturating_mul(self.ratio)
            .max(FREE_OF_RATIO_BYTES);
        self.unpacked_bytes.min(by_ratio)
    }
}
