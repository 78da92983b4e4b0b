//! Everything this process has attached, and what it found attached.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::artifact::{Recovery, Status};
use crate::error::{Error, Result};
use crate::local_policy::LocalPolicy;
use crate::pin_folder::PinFolder;
use crate::places::Places;
use crate::running::Running;
use crate::scanned_object::ScannedObject;
use crate::{kernel_info, syscall};

/// Everything this process has attached, and what it found attached.
#[derive(Debug)]
pub struct Host {
    pub(crate) places: Places,
    pub(crate) policy: LocalPolicy,
    pub(crate) possible_cpus: usize,
    pub(crate) pins: Option<PinFolder>,
    pub(crate) running: BTreeMap<String, Running>,
    recovery: Recovery,
    pub(crate) leftovers: Vec<String>,
    pub(crate) statistics: Option<OwnedFd>,
}

impl Host {
    /// Takes over the folder of pins, if there is one: removes what is unfinished and mends what a
    /// crash left half-done. What remains is attached, as [`status`](Self::status) tells, and waits to be
    /// [adopted](Self::adopt), replaced or unloaded.
    pub fn open(places: Places, policy: LocalPolicy) -> Result<Self> {
        let pins = places.pins.as_deref().map(PinFolder::open).transpose()?;
        let mut host = Self {
            possible_cpus: places.possible_cpus()?,
            places,
            policy,
            pins: None,
            running: BTreeMap::new(),
            recovery: Recovery::default(),
            leftovers: Vec::new(),
            statistics: None,
        };
        if let Some(pins) = pins {
            host.recover(&pins)?;
            host.pins = Some(pins);
        }
        Ok(host)
    }

    fn recover(&mut self, pins: &PinFolder) -> Result<()> {
        let (versions, removed) = pins.recover()?;
        self.recovery.removed = removed;
        for version in versions {
            let opened = Running::open(pins, version.clone());
            let opened = opened.and_then(|running| {
                running
                    .repair()
                    .map(|repaired| (running, repaired))
                    .map_err(|error| error.to_string())
            });
            match opened {
                Ok((running, repaired)) => {
                    if repaired > 0 {
                        self.recovery.repaired.push(version.slot.clone());
                    }
                    self.running.insert(version.slot, running);
                }
                Err(why) => {
                    pins.retire(&version, &BTreeSet::new())?;
                    self.recovery
                        .removed
                        .push(format!("{}: {why}", version.slot));
                }
            }
        }
        Ok(())
    }

    /// What [`open`](Self::open) found and mended.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Old versions whose pins could not be removed, with the reason. They are not attached any more
    /// where the kernel can detach by name; the next start tries again.
    #[must_use]
    pub fn leftovers(&self) -> &[String] {
        &self.leftovers
    }

    /// The places it was opened with.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// All that is attached.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.running
            .iter()
            .map(|(slot, running)| Status::of(slot, running))
            .collect()
    }

    /// Gives the object to an artifact that a start found attached, so that its parameters can be
    /// changed and its counters read. The digest must be the one that it was loaded with.
    pub fn adopt(&mut self, slot: &str, digest: &str, object: &[u8]) -> Result<()> {
        let running = self.running.get_mut(slot).ok_or_else(|| nothing_in(slot))?;
        if running.digest != digest {
            return Err(Error::request(format!(
                "slot {slot} holds version {}, not {digest}",
                running.digest
            )));
        }
        let mut scanned = ScannedObject::read(object)?;
        let same = scanned
            .programs()
            .iter()
            .map(|program| &program.name)
            .eq(running.programs.keys());
        if !same {
            return Err(Error::request(format!(
                "slot {slot} holds other programs than the object"
            )));
        }
        for map in scanned.maps().iter().filter(|map| map.takes_entries()) {
            running.check_shape(map).map_err(|source| {
                Error::kernel(format!("recognise map `{}` of {slot}", map.name), source)
            })?;
        }
        scanned.bytes = Vec::new();
        running.object = Some(scanned);
        Ok(())
    }

    /// Detaches and unloads. Whether it was adopted or not makes no difference. After an error it is
    /// still listed, and can be unloaded again.
    pub fn unload(&mut self, slot: &str) -> Result<()> {
        let running = self.running(slot)?;
        self.let_go(running, &BTreeSet::new())?;
        self.running.remove(slot);
        Ok(())
    }

    /// Unloads everything for which `expired` says so; returns the slots.
    pub fn reap(&mut self, expired: impl Fn(&Status) -> bool) -> Result<Vec<String>> {
        let due: Vec<String> = self
            .status()
            .into_iter()
            .filter(expired)
            .map(|status| status.slot)
            .collect();
        let mut first_error = None;
        for slot in &due {
            // One that fails must not keep the others.
            first_error = self.unload(slot).err().or(first_error);
        }
        first_error.map_or(Ok(due), Err)
    }

    /// Changes the deadline that is kept beside the pins.
    pub fn set_deadline(&mut self, slot: &str, deadline: Option<Duration>) -> Result<()> {
        let running = self.running.get_mut(slot).ok_or_else(|| nothing_in(slot))?;
        let before = std::mem::replace(&mut running.deadline, deadline);
        running.write_meta().map_err(|source| {
            running.deadline = before;
            Error::kernel(format!("write the record of {slot}"), source)
        })
    }

    /// Detaches what a version held, but for the links that are in use elsewhere. Its pins go first,
    /// so that a crash does not bring it back.
    pub(crate) fn let_go(&self, old: &Running, in_use: &BTreeSet<u32>) -> Result<()> {
        let unpinned = match (&old.pinned, &self.pins) {
            (Some(version), Some(pins)) => pins.retire(version, in_use),
            _ => Ok(()),
        };
        for link in old.links.iter().rev() {
            if kernel_info::link(link.fd.as_fd()).is_ok_and(|info| !in_use.contains(&info.id)) {
                // Kinds without this call are detached when the last descriptor and pin are gone.
                let _ = syscall::detach_link(link.fd.as_fd());
            }
        }
        unpinned
    }

    pub(crate) fn running(&self, slot: &str) -> Result<&Running> {
        self.running.get(slot).ok_or_else(|| nothing_in(slot))
    }
}

fn nothing_in(slot: &str) -> Error {
    Error::request(format!("nothing is loaded in slot {slot}"))
}
