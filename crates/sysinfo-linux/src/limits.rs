//! What control groups (v1 and v2) allow.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file::read_whole;
use crate::host::Host;
use crate::parse::{self, Membership, Mount, as_f64};

/// Whose limits are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The calling process: what it may use itself, its own service's limits included.
    Process,
    /// Process 1: what the container that the host is may use. A plain host has no such limits.
    Container,
}

/// What a control group and all above it that can be seen allow; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Processor time, in processors.
    pub cpu_quota: Option<f64>,
    /// Processors that may be used at all.
    pub cpuset: Option<u64>,
    /// Memory.
    pub memory: Option<MemoryLimit>,
}

/// How much memory a control group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The lowest limit of the group and those above it.
    pub limit_bytes: u64,
    /// What is in use there, without cached files that are not in active use.
    pub used_bytes: Option<u64>,
    /// What is left until the first limit of any of these groups is reached.
    pub available_bytes: Option<u64>,
}

impl Host {
    /// The limits of the control groups that a process is in.
    ///
    /// Files that cannot be read set no limit.
    ///
    /// # Errors
    ///
    /// When the process's groups or the mount table cannot be read or understood.
    pub fn limits(&self, scope: Scope) -> Result<Limits> {
        let memberships = self.memberships(scope)?;
        let mounts = self.mount_table()?;
        let groups = |controller| self.groups(&memberships, &mounts, controller);
        Ok(Limits {
            cpu_quota: groups("cpu").and_then(|groups| groups.cpu_quota()),
            cpuset: groups("cpuset").and_then(|groups| groups.cpuset()),
            memory: groups("memory").and_then(|groups| groups.memory()),
        })
    }

    /// How many processors' worth of time the calling process may use, if its control groups
    /// allow it less than all there are.
    ///
    /// # Errors
    ///
    /// As for [`Host::limits`].
    pub fn cpu_limit(&mut self) -> Result<Option<f64>> {
        let limits = self.limits(Scope::Process)?;
        let online = self
            .cpu_count()
            .ok()
            .and_then(|count| u64::try_from(count).ok());
        let cpuset = limits
            .cpuset
            .filter(|allowed| online.is_none_or(|online| *allowed < online))
            .map(as_f64);
        Ok([limits.cpu_quota, cpuset]
            .into_iter()
            .flatten()
            .reduce(f64::min))
    }

    /// How much memory the calling process may use, if its control groups limit it.
    ///
    /// # Errors
    ///
    /// As for [`Host::limits`].
    pub fn memory_limit(&self) -> Result<Option<MemoryLimit>> {
        Ok(self.limits(Scope::Process)?.memory)
    }

    fn memberships(&self, scope: Scope) -> Result<Vec<Membership>> {
        let own = self.root().proc().join("self/cgroup");
        let init = self.root().proc().join("1/cgroup");
        let asked = match scope {
            Scope::Process if self.root().owns_proc() || !init.exists() => own,
            Scope::Container if !init.exists() => own,
            _ => init,
        };
        parse::cgroup(&read_whole(&asked)?).map_err(|e| Error::parse(&asked, e))
    }

    /// The directories of the groups that a controller limits, the process's own first.
    fn groups(
        &self,
        memberships: &[Membership],
        mounts: &[Mount],
        controller: &str,
    ) -> Option<Groups> {
        let v1 = memberships.iter().find(|found| found.has(controller));
        let membership = v1.or_else(|| memberships.iter().find(|found| found.is_v2()))?;
        let of_hierarchy = |mount: &&Mount| match v1 {
            Some(_) => mount.fs_type == "cgroup" && mount.has_super_option(controller),
            None => mount.fs_type == "cgroup2",
        };
        let (top, below) = mounts.iter().filter(of_hierarchy).find_map(|mount| {
            let below = below_mount(&membership.path, &mount.root)?;
            Some((self.root().path_of(&mount.mount_point), below))
        })?;
        let directories = below
            .ancestors()
            .take(MOST_LEVELS)
            .map(|level| top.join(level))
            .collect();
        Some(Groups {
            is_v1: v1.is_some(),
            directories,
        })
    }
}

/// Control groups are rarely nested ten deep; the kernel's own limit is far above.
const MOST_LEVELS: usize = 64;

/// A group and those above it.
struct Groups {
    is_v1: bool,
    directories: Vec<PathBuf>,
}

impl Groups {
    fn cpu_quota(&self) -> Option<f64> {
        self.lowest(|directory| {
            let (quota, period) = if self.is_v1 {
                let period = file(directory, "cpu.cfs_period_us", parse::limit)?;
                (file(directory, "cpu.cfs_quota_us", parse::limit)?, period)
            } else {
                file(directory, "cpu.max", parse::cpu_max)?
            };
            (period > 0).then(|| as_f64(quota) / as_f64(period))
        })
    }

    /// What the lowest group may use; the kernel has applied those above to it already.
    fn cpuset(&self) -> Option<u64> {
        let names = if self.is_v1 {
            ["cpuset.effective_cpus", "cpuset.cpus"]
        } else {
            ["cpuset.cpus.effective", "cpuset.cpus"]
        };
        self.directories.iter().find_map(|directory| {
            let mut lists = names.iter();
            lists.find_map(|name| file(directory, name, parse::processors))
        })
    }

    fn memory(&self) -> Option<MemoryLimit> {
        let mut tightest: Option<MemoryLimit> = None;
        for directory in &self.directories {
            let Some(level) = self.memory_at(directory) else {
                continue;
            };
            tightest = Some(match tightest {
                Some(below) => below.and(level),
                None => level,
            });
        }
        tightest
    }

    fn memory_at(&self, directory: &Path) -> Option<MemoryLimit> {
        let stat = read_whole(&directory.join("memory.stat")).unwrap_or_default();
        let (limit_bytes, usage, inactive) = if self.is_v1 {
            let above = parse::named(&stat, "hierarchical_memory_limit");
            let own = file(directory, "memory.limit_in_bytes", parse::limit);
            let limit = [own, above].into_iter().flatten().min()?;
            (limit, "memory.usage_in_bytes", "total_inactive_file")
        } else {
            let limit = file(directory, "memory.max", parse::limit)?;
            (limit, "memory.current", "inactive_file")
        };
        if limit_bytes >= V1_UNLIMITED {
            return None;
        }
        let used_bytes = file(directory, usage, parse::limit)
            .map(|usage| usage.saturating_sub(parse::named(&stat, inactive).unwrap_or(0)));
        Some(MemoryLimit {
            limit_bytes,
            used_bytes,
            available_bytes: used_bytes.map(|used| limit_bytes.saturating_sub(used)),
        })
    }

    fn lowest(&self, limit: impl Fn(&Path) -> Option<f64>) -> Option<f64> {
        let limits = self.directories.iter().filter_map(|found| limit(found));
        limits.reduce(f64::min)
    }
}

/// v1 writes "no limit" as the largest number of whole pages; no machine has half of that.
const V1_UNLIMITED: u64 = 1 << 62;

impl MemoryLimit {
    fn and(self, above: Self) -> Self {
        let tighter = if above.limit_bytes < self.limit_bytes {
            above
        } else {
            self
        };
        let available = [self.available_bytes, above.available_bytes];
        Self {
            available_bytes: available.into_iter().flatten().min(),
            ..tighter
        }
    }
}

fn file<T>(directory: &Path, name: &str, parse: fn(&[u8]) -> Option<T>) -> Option<T> {
    parse(&read_whole(&directory.join(name)).ok()?)
}

/// The path of a group below what is mounted; `None` when it is outside (another namespace's).
fn below_mount(group: &Path, mounted: &Path) -> Option<PathBuf> {
    let below = group.strip_prefix(mounted).ok()?;
    let goes_up = below
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    (!goes_up).then(|| below.to_owned())
}
