//! Loading, replacing and unloading: all of an artifact or nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::attachment;
use crate::error::{Error, ParameterError, Result};
use crate::events::Events;
use crate::kernel_info;
use crate::loader::{self, InKernel};
use crate::local_policy::LocalPolicy;
use crate::meter::{Counters, ProgramReading, Reading, Statistics};
use crate::parameters::{self, Prepared};
use crate::pin_folder::{PinFolder, Version};
use crate::places::Places;
use crate::running::{HeldLink, HeldProgram, LinkPlace, Running, link_pin};
use crate::scanned_object::{ScannedObject, ScannedProgram};
use crate::syscall;
use crate::typed_value::{Encoder, listed};
use crate::{ProgramKind, Target};

const MAX_NAME_BYTES: usize = 64;
const MAX_LINKS: usize = 1_000;

/// Everything this process has attached, and what it found attached.
#[derive(Debug)]
pub struct Host {
    places: Places,
    policy: LocalPolicy,
    possible_cpus: usize,
    pins: Option<PinFolder>,
    running: BTreeMap<String, Running>,
    recovery: Recovery,
    statistics: Option<OwnedFd>,
}

/// A verified object and what is to be done with it. Who fills this in has verified the object,
/// the targets and the parameters.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    /// The name under which its versions replace each other: letters, digits, `_`, `-`.
    pub slot: &'a str,
    /// What tells this version from others, such as a hash in hex; kept beside the pins.
    pub digest: &'a str,
    /// The ELF object.
    pub object: &'a [u8],
    /// Where each program goes, by its name. A program that is left out goes where its section name says.
    pub targets: BTreeMap<String, Vec<Target>>,
    /// Global variables and maps, by name; `Value::Null` for none.
    pub parameters: Value,
    /// What happens to it when this process ends.
    pub on_exit: OnExit,
    /// When it is to be unloaded, in time since the host was started; kept for [`Host::reap`].
    pub deadline: Option<Duration>,
}

/// What happens to a program when this process ends, in whatever way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// The kernel detaches it at once.
    Detach,
    /// It goes on, held by pins, until somebody unloads it or the host is restarted.
    Persist,
}

/// What a start found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Folders of versions that were unfinished, old, or not understood, and are gone now.
    pub removed: Vec<String>,
    /// Slots whose links had the programs of an unfinished version, and have their own again.
    pub repaired: Vec<String>,
}

/// One attached artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its slot.
    pub slot: String,
    /// The digest it was loaded with.
    pub digest: String,
    /// When it is to be unloaded, in time since the host was started.
    pub deadline: Option<Duration>,
    /// What happens to it when this process ends.
    pub on_exit: OnExit,
    /// Whether its object is known: loaded by this process, or adopted.
    pub adopted: bool,
    /// Where its programs are attached.
    pub links: Vec<LinkStatus>,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The program.
    pub program: String,
    /// Its kind.
    pub kind: ProgramKind,
    /// Where it is attached.
    pub target: String,
    /// The kernel's number for the link.
    pub id: Option<u32>,
    /// Whether what it was attached to is still there; `None` where the kernel does not say.
    pub attached: Option<bool>,
}

/// A checked artifact, before anything of it is in the kernel.
struct Plan {
    object: ScannedObject,
    targets: Vec<(ScannedProgram, Vec<Target>)>,
    prepared: Prepared,
}

impl Plan {
    /// The targets that must be known when programs are loaded.
    fn bound(&self) -> BTreeMap<String, Target> {
        let bound = self
            .targets
            .iter()
            .filter(|(program, _)| program.kind.is_bound_at_load());
        bound
            .filter_map(|(program, targets)| Some((program.name.clone(), targets.first()?.clone())))
            .collect()
    }
}

/// How to take back one step of attaching.
enum Undo {
    Detach,
    PutBack { program: OwnedFd },
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
            .map(|(slot, running)| status(slot, running))
            .collect()
    }

    /// Checks everything that can be checked without attaching: the object, the rules, the targets,
    /// the parameters, and with a real load the verifier's opinion. Nothing remains in the kernel.
    pub fn rehearse(&self, artifact: &Artifact<'_>) -> Result<()> {
        let plan = self.plan(artifact)?;
        let in_kernel = loader::load(
            &plan.object,
            &plan.prepared.constants,
            &plan.bound(),
            &self.places.kernel_types(),
        )?;
        self.hold(artifact, &plan, in_kernel).map(drop)
    }

    /// Loads an artifact and attaches all its programs, or leaves everything as it was. If the slot
    /// is taken, the new version takes the place of the old one without a moment between them.
    pub fn load(&mut self, artifact: &Artifact<'_>) -> Result<()> {
        let plan = self.plan(artifact)?;
        let in_kernel = loader::load(
            &plan.object,
            &plan.prepared.constants,
            &plan.bound(),
            &self.places.kernel_types(),
        )?;
        let mut next = self.hold(artifact, &plan, in_kernel)?;
        let old = self.running.get(artifact.slot);
        let mut undo = Vec::new();
        let attached = self
            .attach_all(&plan, old, &mut next, &mut undo)
            .and_then(|()| self.make_persistent(artifact, old, &mut next));
        if let Err(error) = attached {
            return Err(take_back(&next, undo, error));
        }
        let mut object = plan.object;
        object.bytes = Vec::new();
        next.object = Some(object);
        match self.running.insert(artifact.slot.to_owned(), next) {
            Some(old) => self.let_go(&old, artifact.slot),
            None => Ok(()),
        }
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

    /// Detaches and unloads. Whether it was adopted or not makes no difference.
    pub fn unload(&mut self, slot: &str) -> Result<()> {
        let running = self.running.remove(slot).ok_or_else(|| nothing_in(slot))?;
        self.let_go(&running, slot)
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

    /// Changes parameters while the programs run. Constants cannot change: the error says so with
    /// `needs_reload`, and nothing has changed then. A map given here holds exactly these entries afterwards.
    pub fn set_parameters(&mut self, slot: &str, parameters: &Value) -> Result<()> {
        let running = self.running.get(slot).ok_or_else(|| nothing_in(slot))?;
        let object = running.object.as_ref().ok_or_else(|| {
            Error::request(format!("slot {slot} is not adopted: its types are unknown"))
        })?;
        let prepared =
            parameters::prepare(object, parameters, self.encoder(object), self.possible_cpus)?;
        let failed =
            |source: io::Error| Error::kernel(format!("change parameters of {slot}"), source);
        for constant in &prepared.constants {
            let section = running
                .map(&constant.section, self.possible_cpus)
                .map_err(failed)?;
            if !parameters::holds(section, constant).map_err(failed)? {
                let problem =
                    "a constant of the loaded program; a new value needs a reload".to_owned();
                return Err(ParameterError {
                    at: constant.name.clone(),
                    problem,
                    needs_reload: true,
                }
                .into());
            }
        }
        let before = self.remember(running, &prepared).map_err(failed)?;
        self.write(running, &prepared)
            .map_err(|source| match self.write(running, &before) {
                Ok(()) => failed(source),
                Err(again) => Error::kernel(
                    format!("change parameters of {slot}, and to put the old ones back ({again})"),
                    source,
                ),
            })
    }

    /// Asks the kernel to count runs for as long as this lives. Needs CAP_SYS_ADMIN; the setting
    /// `kernel.bpf_stats_enabled` does the same for all.
    pub fn enable_statistics(&mut self) -> Result<()> {
        if self.statistics.is_none() {
            self.statistics = Some(syscall::enable_statistics().map_err(|source| {
                Error::kernel(
                    "enable run statistics (needs CAP_SYS_ADMIN, or kernel.bpf_stats_enabled=1)",
                    source,
                )
            })?);
        }
        Ok(())
    }

    /// Stops asking for it.
    pub fn disable_statistics(&mut self) {
        self.statistics = None;
    }

    /// Whether the kernel counts runs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let setting =
            std::fs::read_to_string(self.places.proc_root.join("sys/kernel/bpf_stats_enabled"));
        match (&self.statistics, setting) {
            (Some(_), _) => Statistics::Held,
            (None, Ok(text)) if text.trim() == "1" => Statistics::Setting,
            _ => Statistics::Off,
        }
    }

    /// Reads all figures of an artifact.
    pub fn measure(&self, slot: &str) -> Result<Reading> {
        let running = self.running.get(slot).ok_or_else(|| nothing_in(slot))?;
        let statistics = self.statistics();
        let mut programs = Vec::new();
        for (name, program) in &running.programs {
            let info = kernel_info::program(program.fd.as_fd())
                .map_err(|source| Error::kernel(format!("read figures of `{name}`"), source))?;
            let on = statistics != Statistics::Off;
            programs.push(ProgramReading {
                name: name.clone(),
                kind: program.kind,
                id: info.id,
                tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
                run_time: on.then(|| Duration::from_nanos(info.run_time_ns)),
                run_count: on.then_some(info.run_count),
                recursion_misses: info.recursion_misses,
                verified_instructions: info.verified_instructions,
                memory_bytes: kernel_info::locked_bytes(&self.places.proc_root, program.fd.as_fd()),
            });
        }
        let at = clock_gettime(ClockId::Monotonic);
        let at = Duration::new(
            u64::try_from(at.tv_sec).unwrap_or(0),
            u32::try_from(at.tv_nsec).unwrap_or(0),
        );
        Ok(Reading {
            at,
            statistics,
            memory_bytes: self.memory(running, &programs),
            programs,
            counters: self.counters(running),
        })
    }

    /// The events of an artifact, if it has a ring buffer named `aegis_events`. Two readers would
    /// take each other's events: open it once.
    pub fn events(&self, slot: &str) -> Result<Option<Events>> {
        let running = self.running.get(slot).ok_or_else(|| nothing_in(slot))?;
        let Some(map) = running.maps.get("aegis_events") else {
            return Ok(None);
        };
        let map = map
            .try_clone()
            .map_err(|source| Error::kernel("keep the ring buffer", source))?;
        Events::open(map).map(Some)
    }

    fn memory(&self, running: &Running, programs: &[ProgramReading]) -> Option<u64> {
        let of_programs = programs.iter().map(|program| program.memory_bytes);
        let of_maps = running
            .maps
            .values()
            .map(|fd| kernel_info::locked_bytes(&self.places.proc_root, fd.as_fd()));
        of_programs.chain(of_maps).sum()
    }

    fn counters(&self, running: &Running) -> Counters {
        let read = |name: &str| {
            let object = running.object.as_ref()?;
            let map = object.map(name).filter(|map| map.is_array())?;
            let value = running
                .map(name, self.possible_cpus)
                .ok()?
                .lookup(&[0; 4])
                .ok()?;
            let one = crate::bytes::length(map.value_bytes);
            let each = if map.is_per_cpu() {
                one.next_multiple_of(8)
            } else {
                one
            };
            Some(Counters::of(
                name,
                object
                    .btf
                    .sum_of_counters(map.value?, value.chunks_exact(each))?,
            ))
        };
        read("aegis_stats")
            .or_else(|| read("stats"))
            .unwrap_or_default()
    }

    fn encoder<'a>(&'a self, object: &'a ScannedObject) -> Encoder<'a> {
        Encoder {
            btf: &object.btf,
            cgroup_root: &self.places.cgroup_root,
        }
    }

    fn remember(&self, running: &Running, prepared: &Prepared) -> io::Result<Prepared> {
        let mut before = prepared.clone();
        for variable in &mut before.variables {
            let content = running
                .map(&variable.section, self.possible_cpus)?
                .lookup(&[0; 4])?;
            let end = variable.offset.saturating_add(variable.bytes.len());
            variable.bytes = content
                .get(variable.offset..end)
                .ok_or(io::ErrorKind::InvalidInput)?
                .to_vec();
        }
        for content in &mut before.maps {
            *content =
                parameters::remember(running.map(&content.map, self.possible_cpus)?, content)?;
        }
        Ok(before)
    }

    fn write(&self, running: &Running, prepared: &Prepared) -> io::Result<()> {
        let sections: BTreeSet<&str> = prepared
            .variables
            .iter()
            .map(|variable| variable.section.as_str())
            .collect();
        for section in sections {
            let here = prepared
                .variables
                .iter()
                .filter(|variable| variable.section == section);
            parameters::write_variables(running.map(section, self.possible_cpus)?, here)?;
        }
        for content in &prepared.maps {
            parameters::write_map(running.map(&content.map, self.possible_cpus)?, content)?;
        }
        Ok(())
    }

    fn plan(&self, artifact: &Artifact<'_>) -> Result<Plan> {
        check_name("slot", artifact.slot)?;
        check_name("digest", artifact.digest)?;
        if artifact.on_exit == OnExit::Persist && self.pins.is_none() {
            return Err(Error::request(
                "nothing can persist without a folder for pins",
            ));
        }
        let object = ScannedObject::read(artifact.object)?;
        self.policy.check_object(&object)?;
        if let Some(unknown) = artifact
            .targets
            .keys()
            .find(|name| object.program(name).is_none())
        {
            return Err(Error::request(format!(
                "there is no program `{unknown}`; there are {}",
                listed(
                    object
                        .programs()
                        .iter()
                        .map(|program| program.name.as_str())
                )
            )));
        }
        let mut targets = Vec::new();
        for program in object.programs() {
            let own = program.target.as_slice();
            let wanted = artifact
                .targets
                .get(&program.name)
                .map_or(own, Vec::as_slice);
            self.check_targets(program, wanted)?;
            targets.push((program.clone(), wanted.to_vec()));
        }
        let prepared = parameters::prepare(
            &object,
            &artifact.parameters,
            self.encoder(&object),
            self.possible_cpus,
        )?;
        Ok(Plan {
            object,
            targets,
            prepared,
        })
    }

    fn check_targets(&self, program: &ScannedProgram, targets: &[Target]) -> Result<()> {
        let name = &program.name;
        if targets.is_empty() {
            return Err(Error::request(format!(
                "program `{name}` ({}) needs a target",
                program.kind
            )));
        }
        if targets.len() > MAX_LINKS || (program.kind.is_bound_at_load() && targets.len() > 1) {
            return Err(Error::request(format!(
                "program `{name}` has more targets than its kind takes"
            )));
        }
        for target in targets {
            if !target.fits(program.kind) {
                return Err(Error::request(format!(
                    "program `{name}` is of the kind {}, and cannot go to {target}",
                    program.kind
                )));
            }
            if let (Target::Tc { direction, .. }, attach_type @ 1..) = (target, program.attach_type)
                && direction.attach_type() != attach_type
            {
                return Err(Error::request(format!(
                    "program `{name}` is for the other direction than {target}"
                )));
            }
            self.policy.check_target(target, &self.places.cgroup_root)?;
        }
        Ok(())
    }

    /// Takes what was loaded and writes its parameters. Nothing is attached yet.
    fn hold(&self, artifact: &Artifact<'_>, plan: &Plan, in_kernel: InKernel) -> Result<Running> {
        let mut programs = BTreeMap::new();
        for (name, fd) in in_kernel.programs {
            let kind = plan.object.program(&name).map(|program| program.kind);
            let kind = kind.ok_or_else(|| {
                Error::Object(format!(
                    "the loader found a program `{name}` that the scan did not"
                ))
            })?;
            programs.insert(name, HeldProgram { kind, fd });
        }
        let running = Running {
            digest: artifact.digest.to_owned(),
            deadline: artifact.deadline,
            object: None,
            programs,
            maps: in_kernel.maps,
            links: Vec::new(),
            pinned: None,
            meta: None,
        };
        self.write(&running, &plan.prepared)
            .map_err(|source| Error::kernel("write parameters", source))?;
        Ok(running)
    }

    fn attach_all(
        &self,
        plan: &Plan,
        old: Option<&Running>,
        next: &mut Running,
        undo: &mut Vec<Undo>,
    ) -> Result<()> {
        let mut reusable: Vec<&HeldLink> = old
            .map(|old| {
                old.links
                    .iter()
                    .filter(|link| link.place.kind.link_is_updatable())
                    .collect()
            })
            .unwrap_or_default();
        for (program, targets) in &plan.targets {
            let held = next.programs.get(&program.name).ok_or_else(|| {
                Error::Object(format!("the loader lost program `{}`", program.name))
            })?;
            for target in targets {
                let place = LinkPlace::new(program.kind, program.attach_type, target);
                let mut same = reusable
                    .iter()
                    .enumerate()
                    .filter(|(_, link)| link.place == place);
                let (by_place, by_name) = (
                    same.clone().next(),
                    same.find(|(_, link)| link.program == program.name),
                );
                if let Some(link) = by_name
                    .or(by_place)
                    .map(|(at, _)| at)
                    .map(|at| reusable.remove(at))
                {
                    let fd = self.take_over(link, old, held, undo).map_err(|source| {
                        Error::kernel(format!("replace what is attached to {target}"), source)
                    })?;
                    next.links.push(HeldLink {
                        program: program.name.clone(),
                        place,
                        fd,
                    });
                    continue;
                }
                for fd in attachment::attach(
                    held.fd.as_fd(),
                    program.kind,
                    program.attach_type,
                    target,
                    &self.places,
                )? {
                    undo.push(Undo::Detach);
                    next.links.push(HeldLink {
                        program: program.name.clone(),
                        place: place.clone(),
                        fd,
                    });
                }
            }
        }
        Ok(())
    }

    /// Puts the new program behind a link of the old version.
    fn take_over(
        &self,
        link: &HeldLink,
        old: Option<&Running>,
        new: &HeldProgram,
        undo: &mut Vec<Undo>,
    ) -> io::Result<OwnedFd> {
        let before = old
            .and_then(|old| old.programs.get(&link.program))
            .ok_or(io::ErrorKind::NotFound)?;
        let (fd, program) = (link.fd.try_clone()?, before.fd.try_clone()?);
        syscall::update_link(fd.as_fd(), new.fd.as_fd())?;
        undo.push(Undo::PutBack { program });
        Ok(fd)
    }

    /// Pins everything, if it is to persist. Until the end of this a restart finds the old version.
    fn make_persistent(
        &self,
        artifact: &Artifact<'_>,
        old: Option<&Running>,
        next: &mut Running,
    ) -> Result<()> {
        let (OnExit::Persist, Some(pins)) = (artifact.on_exit, &self.pins) else {
            return Ok(());
        };
        let generation = old
            .and_then(|old| old.pinned.as_ref())
            .map_or(1, |version| version.generation.saturating_add(1));
        let staging = pins.stage(Version {
            slot: artifact.slot.to_owned(),
            generation,
        })?;
        for (name, program) in &next.programs {
            staging.pin("progs", name, program.fd.as_fd())?;
        }
        for (name, fd) in &next.maps {
            staging.pin("maps", name, fd.as_fd())?;
        }
        next.create_meta()
            .map_err(|source| Error::kernel("write the record beside the pins", source))?;
        if let Some(meta) = &next.meta {
            staging.pin_meta(meta)?;
        }
        for (number, link) in next.links.iter().enumerate() {
            staging.pin("links", &link_pin(number, &link.program), link.fd.as_fd())?;
        }
        next.pinned = Some(staging.commit()?);
        Ok(())
    }

    /// Detaches what a version held, but for the links that its successor uses. Its pins go first,
    /// so that a crash does not bring it back.
    fn let_go(&self, old: &Running, slot: &str) -> Result<()> {
        let in_use = self
            .running
            .get(slot)
            .map(Running::link_ids)
            .unwrap_or_default();
        let unpinned = match (&old.pinned, &self.pins) {
            (Some(version), Some(pins)) => pins.retire(version, &in_use),
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
}

/// Takes back all steps, the last one first; says in the error if that failed, too.
fn take_back(next: &Running, undo: Vec<Undo>, error: Error) -> Error {
    let mut stuck = Vec::new();
    for (step, link) in undo.into_iter().zip(&next.links).rev() {
        match step {
            Undo::Detach => drop(syscall::detach_link(link.fd.as_fd())),
            Undo::PutBack { program } => {
                if let Err(again) = syscall::update_link(link.fd.as_fd(), program.as_fd()) {
                    stuck.push(format!("{}: {again}", link.place.target));
                }
            }
        }
    }
    if stuck.is_empty() {
        error
    } else {
        Error::kernel(
            format!(
                "put the old version back on {} after this: {error}",
                stuck.join(", ")
            ),
            io::ErrorKind::Other,
        )
    }
}

fn nothing_in(slot: &str) -> Error {
    Error::request(format!("nothing is loaded in slot {slot}"))
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let longest = if what == "slot" {
        MAX_NAME_BYTES
    } else {
        2 * MAX_NAME_BYTES
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > longest || !name.bytes().all(allowed) {
        return Err(Error::request(format!(
            "a {what} is up to {longest} letters, digits, `_` and `-`"
        )));
    }
    Ok(())
}

fn status(slot: &str, running: &Running) -> Status {
    let links = running.links.iter().map(|link| {
        let info = kernel_info::link(link.fd.as_fd()).ok();
        LinkStatus {
            program: link.program.clone(),
            kind: link.place.kind,
            target: link.place.target.clone(),
            id: info.map(|info| info.id),
            attached: info.and_then(|info| info.is_attached()),
        }
    });
    Status {
        slot: slot.to_owned(),
        digest: running.digest.clone(),
        deadline: running.deadline,
        on_exit: if running.pinned.is_some() {
            OnExit::Persist
        } else {
            OnExit::Detach
        },
        adopted: running.object.is_some(),
        links: links.collect(),
    }
}
