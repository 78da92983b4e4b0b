//! Memory, with what containers and ZFS change about it.

use crate::error::{Error, Result};
use crate::file::read_whole;
use crate::host::Host;
use crate::limits::{MemoryLimit, Scope};
use crate::parse::{self, Beancounters, Meminfo, ZfsArc, as_f64};

/// Memory of a host and what limits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What `meminfo` says.
    pub meminfo: Meminfo,
    /// Whether `meminfo` is the container's own, told by lxcfs.
    pub is_virtualized: bool,
    /// The limit of the container's control group (that of process 1).
    pub cgroup: Option<MemoryLimit>,
    /// The limits of an OpenVZ container.
    pub openvz: Option<Beancounters>,
    /// The cache of ZFS. Never counted where lxcfs stands in for `meminfo`: it is the machine's.
    pub zfs_arc: Option<ZfsArc>,
}

impl Memory {
    /// What the kernel manages, or less if the container may use less.
    #[must_use]
    pub fn effective_total_bytes(&self) -> u64 {
        let limits = [
            self.cgroup.map(|group| group.limit_bytes),
            self.openvz.and_then(|ovz| ovz.memory()?.limit_bytes),
        ];
        let lowest = limits.into_iter().flatten().min();
        lowest.map_or(self.meminfo.total_bytes, |limit| {
            limit.min(self.meminfo.total_bytes)
        })
    }

    /// What programs could still get: the kernel's figure or estimate, plus what ZFS would give
    /// back, but not more than what the container's limits leave.
    #[must_use]
    pub fn effective_available_bytes(&self) -> Option<u64> {
        let evictable = self.zfs_arc.map_or(0, |arc| arc.evictable_bytes());
        let host = self.meminfo.available_or_estimate()?;
        let left_by_openvz = self.openvz.and_then(|ovz| {
            let counter = ovz.memory()?;
            Some(counter.limit_bytes?.saturating_sub(counter.held_bytes?))
        });
        let left_by_cgroup = self.cgroup.and_then(|group| group.available_bytes);
        [left_by_cgroup, left_by_openvz]
            .into_iter()
            .flatten()
            .chain([host.saturating_add(evictable), self.effective_total_bytes()])
            .min()
    }

    /// Effective total less effective available.
    #[must_use]
    pub fn used_bytes(&self) -> Option<u64> {
        let total = self.effective_total_bytes();
        Some(total.saturating_sub(self.effective_available_bytes()?))
    }

    /// What share of the effective total is used, `0.0..=1.0`.
    #[must_use]
    pub fn used_ratio(&self) -> Option<f64> {
        let total = self.effective_total_bytes();
        let used = self.used_bytes()?;
        (total > 0).then(|| as_f64(used) / as_f64(total))
    }

    /// Swap space in use.
    #[must_use]
    pub fn swap_used_bytes(&self) -> Option<u64> {
        let Meminfo {
            swap_total_bytes,
            swap_free_bytes,
            ..
        } = self.meminfo;
        Some(swap_total_bytes?.saturating_sub(swap_free_bytes?))
    }
}

impl Host {
    /// Memory and what limits it. Limits that cannot be read are `None`.
    ///
    /// # Errors
    ///
    /// When `meminfo` cannot be read or has no total.
    pub fn memory(&mut self) -> Result<Memory> {
        let (meminfo, is_virtualized) = self.meminfo_and_origin()?;
        Ok(Memory {
            meminfo,
            is_virtualized,
            cgroup: self.limits(Scope::Container).ok().and_then(|it| it.memory),
            openvz: self.beancounters().ok(),
            zfs_arc: if is_virtualized {
                None
            } else {
                self.zfs_arc().ok()
            },
        })
    }

    fn beancounters(&self) -> Result<Beancounters> {
        let path = self.root().proc().join("user_beancounters");
        parse::user_beancounters(&read_whole(&path)?).map_err(|e| Error::parse(&path, e))
    }
}
