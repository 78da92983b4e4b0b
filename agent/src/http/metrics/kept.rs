//! What is read less often than every scrape: what devices are, and what limits memory. Their figures are always read anew.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

#[cfg(feature = "sigma")]
use super::node;
use sysinfo_linux::{BlockDevice, BlockKind, Host, Interface, Memory, NetworkKind, Result};

/// How long it is kept; a device that was not there before is looked at earlier.
const AGE: Duration = Duration::from_secs(30);

/// The kept knowledge, with the moment it was read.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    networks: Table<(NetworkKind, bool)>,
    disks: Table<BlockKind>,
    memory: Option<(Instant, Memory)>,
    #[cfg(feature = "sigma")]
    pub(super) node: node::Kept,
}

/// What is known of devices by name.
#[derive(Debug)]
struct Table<T> {
    read: Option<Instant>,
    known: HashMap<OsString, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            read: None,
            known: HashMap::new(),
        }
    }
}

impl<T> Table<T> {
    fn serves<'a>(&self, mut names: impl Iterator<Item = &'a OsString>) -> bool {
        self.read.is_some_and(|read| read.elapsed() < AGE)
            && names.all(|name| self.known.contains_key(name))
    }

    fn replace(&mut self, known: impl Iterator<Item = (OsString, T)>) {
        self.known = known.collect();
        self.read = Some(Instant::now());
    }
}

impl Kept {
    /// Every interface with what it is, and whether it counts as the host's own connection.
    pub(super) fn networks(
        &mut self,
        host: &mut Host,
    ) -> Result<Vec<(Interface, NetworkKind, bool)>> {
        let interfaces = host.interfaces()?;
        if !self.networks.serves(interfaces.iter().map(|one| &one.name)) {
            let networks = host.networks()?.into_iter();
            self.networks
                .replace(networks.map(|one| (one.name, (one.kind, one.physical))));
        }
        let known = |interface: Interface| {
            let (kind, physical) = *self.networks.known.get(&interface.name)?;
            Some((interface, kind, physical))
        };
        Ok(interfaces.into_iter().filter_map(known).collect())
    }

    /// Every block device with what it is.
    pub(super) fn disks(&mut self, host: &mut Host) -> Result<Vec<(BlockDevice, BlockKind)>> {
        let devices = host.block_devices()?;
        if !self.disks.serves(devices.iter().map(|one| &one.name)) {
            let disks = host.disk_io()?.into_iter();
            self.disks
                .replace(disks.map(|one| (one.device.name, one.kind)));
        }
        let known = |device: BlockDevice| {
            let kind = *self.disks.known.get(&device.name)?;
            Some((device, kind))
        };
        Ok(devices.into_iter().filter_map(known).collect())
    }

    /// Memory now, under limits that may be half a minute old.
    pub(super) fn memory(&mut self, host: &mut Host) -> Result<Memory> {
        match &mut self.memory {
            Some((read, memory)) if read.elapsed() < AGE => {
                memory.meminfo = host.meminfo()?;
                Ok(*memory)
            }
            other => {
                let memory = host.memory()?;
                // A group's use of its memory changes as fast as the host's: no limit, nothing to keep.
                if memory.cgroup.is_none() && memory.openvz.is_none() && memory.zfs_arc.is_none() {
                    *other = Some((Instant::now(), memory));
                }
                Ok(memory)
            }
        }
    }
}
