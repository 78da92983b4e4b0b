//! A host that can be asked: every method reads now.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::ask::Asker;
use crate::error::{Error, Result};
use crate::file::{KeptFile, ServedBy, Shape, is_live_proc, read_whole};
use crate::mounts::MountTable;
use crate::parse::{self, Cpu, Interface, Load, Malformed, Meminfo, Mount, OpenFiles, Vmstat};
use crate::root::Root;

/// A host below a [`Root`].
///
/// Making one reads nothing. Files that are read again and again stay open, and so does the
/// buffer they are read into; a `Host` is cheap to keep and meant to be kept.
#[derive(Debug)]
pub struct Host {
    root: Root,
    pub(crate) asker: Asker,
    buffer: Vec<u8>,
    stat: KeptFile,
    meminfo: KeptFile,
    loadavg: KeptFile,
    uptime: KeptFile,
    net_dev: KeptFile,
    arcstats: KeptFile,
    diskstats: KeptFile,
    vmstat: KeptFile,
    mounts: MountTable,
}

/// For how long a host has been up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptime {
    /// Since the start, time asleep included.
    pub since_boot: Duration,
    /// Whether the figure is the container's own, told by lxcfs, and not that of the kernel.
    pub is_virtualized: bool,
}

impl Host {
    /// A host below `root`. Nothing is read yet.
    #[must_use]
    pub fn new(root: Root) -> Self {
        let kept = |name: &str, shape| KeptFile::new(root.proc().join(name), shape);
        Self {
            asker: Asker::default(),
            buffer: Vec::new(),
            stat: kept("stat", Shape::OnePiece),
            meminfo: kept("meminfo", Shape::OnePiece),
            loadavg: kept("loadavg", Shape::OnePiece),
            uptime: kept("uptime", Shape::OnePiece),
            net_dev: net_dev_of(&root),
            arcstats: kept("spl/kstat/zfs/arcstats", Shape::Records),
            diskstats: kept("diskstats", Shape::Records),
            vmstat: kept("vmstat", Shape::Records),
            mounts: MountTable::default(),
            root,
        }
    }

    /// Where the host is.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The processors' times and the counters that stand beside them.
    ///
    /// # Errors
    ///
    /// When `stat` cannot be read or has no line of all processors.
    pub fn cpu(&mut self) -> Result<Cpu> {
        parsed(&mut self.stat, &mut self.buffer, parse::stat)
    }

    /// How many processors are online.
    ///
    /// # Errors
    ///
    /// When neither `stat` nor sys names one.
    pub fn cpu_count(&mut self) -> Result<usize> {
        let counted = self.cpu().map(|cpu| cpu.cores.len());
        if let Ok(1..) = counted {
            return counted;
        }
        let path = self.root.sys().join("devices/system/cpu/online");
        parse::processors(&read_whole(&path)?)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| Error::parse(&path, NO_LIST_OF_PROCESSORS))
    }

    /// Memory as `meminfo` has it; [`Host::memory`] adds what containers and ZFS change about it.
    ///
    /// # Errors
    ///
    /// When `meminfo` cannot be read or has no total.
    pub fn meminfo(&mut self) -> Result<Meminfo> {
        parsed(&mut self.meminfo, &mut self.buffer, parse::meminfo)
    }

    /// Load averages and the number of tasks.
    ///
    /// # Errors
    ///
    /// When `loadavg` cannot be read or understood.
    pub fn load(&mut self) -> Result<Load> {
        parsed(&mut self.loadavg, &mut self.buffer, parse::loadavg)
    }

    /// For how long the host has been up.
    ///
    /// In a container that is the container's own time where lxcfs stands in for `uptime` (LXC,
    /// Incus) or a time namespace does, and the time of the kernel, thus of the machine, elsewhere
    /// (Docker). [`Host::init_age`] is the container's own time everywhere.
    ///
    /// # Errors
    ///
    /// When `uptime` cannot be read or understood.
    pub fn uptime(&mut self) -> Result<Uptime> {
        let since_boot = parsed(&mut self.uptime, &mut self.buffer, parse::uptime)?;
        Ok(Uptime {
            since_boot,
            is_virtualized: self.is_virtualized(self.uptime.served_by(), "uptime"),
        })
    }

    /// For how long process 1 has been running: the age of a container.
    ///
    /// # Errors
    ///
    /// When its `stat` or `uptime` cannot be read or understood.
    pub fn init_age(&self) -> Result<Duration> {
        let read = |name: &str, parse: fn(&[u8]) -> std::result::Result<Duration, Malformed>| {
            let path = self.root.proc().join(name);
            parse(&read_whole(&path)?).map_err(|e| Error::parse(&path, e))
        };
        let start = read("1/stat", parse::process_start)?;
        Ok(read("uptime", parse::uptime)?.saturating_sub(start))
    }

    /// When the host was started: now less the uptime where lxcfs stands in for `uptime`, else
    /// what the kernel says.
    ///
    /// # Errors
    ///
    /// When `uptime` or `stat` cannot be read or understood.
    pub fn boot_time(&mut self) -> Result<SystemTime> {
        if let Ok(uptime) = self.uptime()
            && uptime.is_virtualized
            && let Some(start) = SystemTime::now().checked_sub(uptime.since_boot)
        {
            return Ok(start);
        }
        self.cpu()?
            .boot_time
            .ok_or_else(|| Error::parse(self.stat.path(), NO_BOOT_TIME))
    }

    /// Every interface and what it carried; [`Host::networks`] adds which of them are physical.
    ///
    /// # Errors
    ///
    /// When `net/dev` cannot be read, or none of its lines be understood.
    pub fn interfaces(&mut self) -> Result<Vec<Interface>> {
        parsed(&mut self.net_dev, &mut self.buffer, parse::net_dev)
    }

    /// Paging since the start.
    ///
    /// # Errors
    ///
    /// When `vmstat` cannot be read or has none of the counters.
    pub fn vmstat(&mut self) -> Result<Vmstat> {
        parsed(&mut self.vmstat, &mut self.buffer, parse::vmstat)
    }

    /// Open files of the whole kernel.
    ///
    /// # Errors
    ///
    /// When `sys/fs/file-nr` cannot be read or understood.
    pub fn open_files(&self) -> Result<OpenFiles> {
        let path = self.root.proc().join("sys/fs/file-nr");
        parse::file_nr(&read_whole(&path)?).map_err(|e| Error::parse(&path, e))
    }

    /// What each block device did since the start, without a look at what it is: see
    /// [`disk_io`](Self::disk_io) for that.
    ///
    /// # Errors
    ///
    /// When `diskstats` cannot be read, or none of its lines be understood.
    pub fn block_devices(&mut self) -> Result<Vec<parse::BlockDevice>> {
        parsed(&mut self.diskstats, &mut self.buffer, parse::diskstats)
    }

    pub(crate) fn zfs_arc(&mut self) -> Result<parse::ZfsArc> {
        parsed(&mut self.arcstats, &mut self.buffer, parse::arcstats)
    }

    /// `meminfo`, and whether lxcfs stands in for it.
    pub(crate) fn meminfo_and_origin(&mut self) -> Result<(Meminfo, bool)> {
        let meminfo = self.meminfo()?;
        Ok((
            meminfo,
            self.is_virtualized(self.meminfo.served_by(), "meminfo"),
        ))
    }

    /// The mount table of the host, with mount points as the host itself calls them.
    pub(crate) fn mount_table(&self) -> Result<Arc<[Mount]>> {
        let read = |name: &str| self.mounts.read(&self.root.proc().join(name));
        if self.root.owns_rootfs() {
            return read("self/mountinfo");
        }
        match read("1/mountinfo") {
            Ok(mounts) => Ok(mounts),
            Err(_) if self.is_live() => {
                let mounts = read("self/mountinfo")?;
                Ok(below(self.root.rootfs(), &mounts).into())
            }
            Err(_) => read("self/mountinfo"),
        }
    }

    /// Whether proc is that of a running kernel, not a copy of its files.
    pub(crate) fn is_live(&self) -> bool {
        is_live_proc(self.root.proc())
    }

    /// Whether lxcfs stands in for a file of proc: it does when FUSE serves the file, or, in a
    /// copy, when the mount table says that it did.
    fn is_virtualized(&self, served_by: ServedBy, name: &str) -> bool {
        match served_by {
            ServedBy::Proc => false,
            ServedBy::Fuse => true,
            ServedBy::Other => self.mount_table().is_ok_and(|mounts| {
                let point = Path::new("/").join("proc").join(name);
                mounts
                    .iter()
                    .any(|mount| mount.mount_point == point && is_fuse(mount))
            }),
        }
    }
}

const NO_LIST_OF_PROCESSORS: Malformed = Malformed {
    line: 1,
    what: "not a list of processors",
};
const NO_BOOT_TIME: Malformed = Malformed {
    line: 1,
    what: "no btime",
};

/// Reads a kept file and parses it.
fn parsed<T>(
    file: &mut KeptFile,
    buffer: &mut Vec<u8>,
    parse: fn(&[u8]) -> std::result::Result<T, Malformed>,
) -> Result<T> {
    let result = parse(file.read(buffer)?);
    result.map_err(|malformed| Error::parse(file.path(), malformed))
}

/// `net` is the reader's own network namespace: another host's is that of its process 1.
fn net_dev_of(root: &Root) -> KeptFile {
    let own = root.proc().join("net/dev");
    if root.owns_proc() {
        return KeptFile::new(own, Shape::Records);
    }
    KeptFile::new(root.proc().join("1/net/dev"), Shape::Records).or(own)
}

/// The mounts below a directory of the caller, as seen from that directory.
fn below(rootfs: &Path, mounts: &[Mount]) -> Vec<Mount> {
    let inside = |mount: &Mount| {
        let inside = mount.mount_point.strip_prefix(rootfs).ok()?;
        let mount_point = Path::new("/").join(inside);
        Some(Mount {
            mount_point,
            ..mount.clone()
        })
    };
    mounts.iter().filter_map(inside).collect()
}

fn is_fuse(mount: &Mount) -> bool {
    mount.fs_type.to_string_lossy().starts_with("fuse")
}
