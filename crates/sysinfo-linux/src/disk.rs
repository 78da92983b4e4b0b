//! Disks: each real file system once, with its space, and never waiting for a dead one.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, StatVfs};

use crate::ask::Answer;
use crate::error::{Error, Result};
use crate::file_system::{FileSystem, file_systems};
use crate::host::Host;
use crate::parse::{Mount, as_f64};

/// A file system that holds data.
#[derive(Debug)]
pub struct Disk {
    /// Where it is mounted, as the host itself calls it. Of several places the one that shows the
    /// whole file system, then the shortest.
    pub mount_point: PathBuf,
    /// What is mounted: a device, a pool, an address.
    pub source: OsString,
    /// Type of the file system.
    pub fs_type: OsString,
    /// Device number; major 0 is a file system without a device of its own.
    pub device: (u32, u32),
    /// What kind of thing answers when it is asked.
    pub kind: DiskKind,
    /// Whether nothing can be written here.
    pub is_read_only: bool,
    /// How full it is, if that is known.
    pub usage: Usage,
    may_hang: bool,
}

/// What kind of thing answers for a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskKind {
    /// The kernel of this host, from its own disks.
    Local,
    /// The same, through the layers of a container's root: space is that of the machine's disk
    /// that the container is on.
    Overlay,
    /// Another machine, or the hypervisor.
    Network,
    /// A program.
    Fuse,
    /// Nobody yet: asking would mount it. Never asked.
    Automount,
}

/// How full a file system is, or why that is not known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Usage {
    /// It answered.
    Known(DiskUsage),
    /// It was not asked: not wanted, or the one worker is held up by another file system.
    NotAsked,
    /// It was asked, now or earlier, and the call has not come back.
    Stuck,
    /// Something else lies over it, or it is not mounted below this root.
    Hidden,
    /// It answered with an error.
    Failed(Error),
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// All space.
    pub total_bytes: u64,
    /// Space that nothing is in, that kept for root included.
    pub free_bytes: u64,
    /// Space that ordinary users can still fill.
    pub available_bytes: u64,
    /// All inodes; `None` where the file system makes them as needed (btrfs).
    pub inodes: Option<u64>,
    /// Inodes that are free.
    pub free_inodes: Option<u64>,
}

impl DiskUsage {
    /// Space in use: all less free.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }

    /// Used space as a share of what ordinary users could use, as `df` has it; `0.0..=1.0`.
    #[must_use]
    pub fn used_ratio(&self) -> Option<f64> {
        let used = self.used_bytes();
        let usable = used.saturating_add(self.available_bytes);
        (usable > 0).then(|| as_f64(used) / as_f64(usable))
    }
}

impl FileSystem<'_> {
    fn disk(&self, mount: &Mount, usage: Usage) -> Disk {
        Disk {
            mount_point: mount.mount_point.clone(),
            source: mount.source.clone(),
            fs_type: mount.fs_type.clone(),
            device: mount.device,
            kind: self.kind,
            is_read_only: mount.is_read_only(),
            usage,
            may_hang: self.may_hang,
        }
    }
}

impl Disk {
    /// How full it is, if that is known.
    #[must_use]
    pub fn known_usage(&self) -> Option<DiskUsage> {
        match self.usage {
            Usage::Known(usage) => Some(usage),
            _ => None,
        }
    }
}

impl Host {
    /// How full the file system of the root directory is.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or does not tell its size.
    pub fn root_disk(&self) -> Result<DiskUsage> {
        let path = self.root().rootfs();
        usage_of(path).map_err(|e| Error::read(path, e))
    }

    /// Every real file system once. Local ones are asked how full they are; network, FUSE and
    /// automounted ones are only listed, and so is what lies below them.
    ///
    /// # Errors
    ///
    /// When the mount table cannot be read, or none of its lines be understood.
    pub fn disks(&self) -> Result<Vec<Disk>> {
        let mounts = self.mount_table()?;
        let verify = self.is_live();
        Ok(file_systems(&mounts)
            .iter()
            .filter_map(|found| self.disk(found, verify))
            .collect())
    }

    /// The same, and network and FUSE file systems are asked as well, by one worker thread that
    /// is started for it. Returns after about `patience` even if one of them is dead.
    ///
    /// One whose call has not come back is [`Usage::Stuck`] and is not asked again until it does;
    /// those behind it are [`Usage::NotAsked`] meanwhile.
    ///
    /// # Errors
    ///
    /// When the mount table cannot be read, or none of its lines be understood.
    pub fn disks_within(&mut self, patience: Duration) -> Result<Vec<Disk>> {
        let mut disks = self.disks()?;
        let (mut left, paths): (Vec<&mut Disk>, Vec<PathBuf>) = disks
            .iter_mut()
            .filter(|disk| disk.may_hang && disk.kind != DiskKind::Automount)
            .map(|disk| {
                let path = self.root().path_of(&disk.mount_point);
                (disk, path)
            })
            .unzip();
        let unasked = left.iter_mut().zip(&paths);
        match self.asker.ask(&paths, patience) {
            Ok(answers) => {
                for ((disk, path), answer) in unasked.zip(answers) {
                    disk.usage = usage_told(path, answer);
                }
            }
            // The worker could not be started.
            Err(error) => {
                for (disk, path) in unasked {
                    disk.usage = Usage::Failed(Error::read(path, error.kind()));
                }
            }
        }
        Ok(disks)
    }

    /// The first of a file system's mounts that can be seen; none if all are single files.
    fn disk(&self, found: &FileSystem<'_>, verify: bool) -> Option<Disk> {
        let first = found.mounts.first()?;
        if found.may_hang {
            return Some(found.disk(first, Usage::NotAsked));
        }
        let mut only_files = true;
        for mount in found.mounts.iter().take(MOST_PLACES) {
            let path = self.root().path_of(&mount.mount_point);
            match seen(mount, &path, verify) {
                Seen::Directory => {
                    let usage = usage_of(&path)
                        .map_or_else(|e| Usage::Failed(Error::read(&path, e)), Usage::Known);
                    return Some(found.disk(mount, usage));
                }
                Seen::File => {}
                Seen::Nothing => only_files = false,
            }
        }
        (!only_files).then(|| found.disk(first, Usage::Hidden))
    }
}

/// In how many places a file system is looked for; a build server can bind one to thousands.
const MOST_PLACES: usize = 64;

/// Asks a file system how full it is. The call may never return.
pub(crate) fn usage_of(path: &Path) -> io::Result<DiskUsage> {
    let told = rustix::fs::statvfs(path)?;
    usage_from(&told).ok_or_else(|| io::Error::other("the file system tells no size"))
}

fn usage_from(told: &StatVfs) -> Option<DiskUsage> {
    let bytes = |blocks: u64| blocks.checked_mul(told.f_frsize);
    let inodes = (told.f_files > 0).then_some(told.f_files);
    (told.f_blocks > 0).then_some(())?;
    Some(DiskUsage {
        total_bytes: bytes(told.f_blocks)?,
        free_bytes: bytes(told.f_bfree)?,
        available_bytes: bytes(told.f_bavail)?,
        inodes,
        free_inodes: inodes.map(|_| told.f_ffree),
    })
}

fn usage_told(path: &Path, answer: Answer) -> Usage {
    match answer {
        Answer::Came(Ok(usage)) => Usage::Known(usage),
        Answer::Came(Err(error)) => Usage::Failed(Error::read(path, error)),
        Answer::Stuck => Usage::Stuck,
        Answer::NotReached => Usage::NotAsked,
    }
}

/// What there is at a mount point.
enum Seen {
    /// The file system's directory.
    Directory,
    /// A single file of it: a container's `etc/hosts`.
    File,
    /// Nothing, or another file system that lies over it.
    Nothing,
}

fn seen(mount: &Mount, path: &Path, verify: bool) -> Seen {
    let Ok(stat) = rustix::fs::stat(path) else {
        return Seen::Nothing;
    };
    let device = (
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
    );
    // File systems without a device of their own may give files other numbers (btrfs, simfs).
    let comparable = verify && mount.device.0 != 0;
    if comparable && device != mount.device {
        return Seen::Nothing;
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Seen::Directory,
        _ => Seen::File,
    }
}
