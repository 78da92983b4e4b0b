//! Disk I/O: what each block device read and wrote, and which of them count.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::error::Result;
use crate::host::Host;
use crate::parse::BlockDevice;

/// A block device and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskIo {
    /// What it did.
    pub device: BlockDevice,
    /// What it is.
    pub kind: BlockKind,
}

/// What a block device is. Sums are right over [`BlockKind::Disk`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockKind {
    /// A whole disk, real or the hypervisor's.
    Disk,
    /// A part of a disk.
    Partition,
    /// Made of other block devices: device mapper, RAID, bcache.
    Stacked,
    /// Made of memory or a file: loop, zram, a RAM disk.
    Virtual,
}

impl Host {
    /// What each block device did since the start.
    ///
    /// # Errors
    ///
    /// When `diskstats` cannot be read, or none of its lines be understood.
    pub fn disk_io(&mut self) -> Result<Vec<DiskIo>> {
        let devices = self.block_devices()?;
        Ok(devices
            .into_iter()
            .map(|device| DiskIo {
                kind: self.block_kind(&device.name),
                device,
            })
            .collect())
    }

    fn block_kind(&self, name: &OsStr) -> BlockKind {
        // A slash in a device's name is an exclamation mark in sys and in diskstats alike.
        let device = self.root().sys().join("class/block").join(name);
        let has = |what: &str| device.join(what).exists();
        if !device.exists() {
            return kind_by_name(name.as_bytes());
        }
        let stacked = || has("dm") || has("md") || has("bcache");
        if has("partition") {
            BlockKind::Partition
        } else if stacked() {
            BlockKind::Stacked
        } else if has("device") {
            BlockKind::Disk
        } else {
            BlockKind::Virtual
        }
    }
}

/// Without sys, the names that the kernel gives must do.
fn kind_by_name(name: &[u8]) -> BlockKind {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|it| name.starts_with(it.as_bytes()));
    let ends_in_digit = name.last().is_some_and(u8::is_ascii_digit);
    if starts(&["loop", "ram", "zram", "sr", "fd", "nbd"]) {
        BlockKind::Virtual
    } else if starts(&["dm-", "md", "bcache", "drbd"]) {
        BlockKind::Stacked
    } else if starts(&["nvme", "mmcblk"]) {
        // nvme0n1p1 and mmcblk0p1 are parts of nvme0n1 and mmcblk0.
        let has_part = name
            .iter()
            .rposition(|byte| *byte == b'p')
            .is_some_and(|at| {
                let (before, after) = (name.get(..at), name.get(at + 1..));
                before
                    .and_then(<[u8]>::last)
                    .is_some_and(u8::is_ascii_digit)
                    && after.is_some_and(|part| part.iter().all(u8::is_ascii_digit))
            });
        if has_part {
            BlockKind::Partition
        } else {
            BlockKind::Disk
        }
    } else if ends_in_digit {
        BlockKind::Partition
    } else {
        BlockKind::Disk
    }
}
