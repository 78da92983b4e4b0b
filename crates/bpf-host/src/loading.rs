//! Loading and replacing: all of an artifact or nothing of it.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use crate::attaching::Attaching;
use crate::error::{Error, Result};
use crate::loader::{self, InKernel};
use crate::parameters::{self, Prepared};
use crate::pin_folder::Version;
use crate::running::{HeldProgram, Running, link_pin};
use crate::scanned_object::{ScannedObject, ScannedProgram};
use crate::typed_value::listed;
use crate::{Artifact, Host, OnExit, ProgramKind, Target, Verdict, kernel_support};

const MAX_SLOT_BYTES: usize = 64;
const MAX_DIGEST_BYTES: usize = 128;
const MAX_TARGETS: usize = 1_000;

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

impl Host {
    /// Checks everything that can be checked without attaching: the object, the rules, the targets,
    /// the parameters, and with a real load the verifier's opinion. Nothing remains in the kernel.
    pub fn rehearse(&self, artifact: &Artifact<'_>) -> Result<()> {
        self.bring_in(artifact).map(drop)
    }

    /// Loads an artifact and attaches all its programs, or leaves everything as it was. If the slot
    /// is taken, the new version takes the place of the old one without a moment between them.
    pub fn load(&mut self, artifact: &Artifact<'_>) -> Result<()> {
        let (plan, mut next) = self.bring_in(artifact)?;
        let old = self.running.get(artifact.slot);
        let mut attaching = Attaching::begin(&self.places, old);
        let attached = plan.targets.iter().try_for_each(|(program, targets)| {
            let held = next.programs.get(&program.name);
            let held = held.ok_or_else(|| {
                Error::Object(format!("the loader lost program `{}`", program.name))
            })?;
            targets
                .iter()
                .try_for_each(|target| attaching.attach(program, held, target))
        });
        let (links, way_back) = attaching.finish();
        next.links = links;
        let kept = attached.and_then(|()| self.make_persistent(artifact, old, &mut next));
        if let Err(error) = kept {
            return Err(way_back.take(&next.links, error));
        }
        let mut object = plan.object;
        object.bytes = Vec::new();
        next.object = Some(object);
        let in_use = next.link_ids();
        if let Some(old) = self.running.insert(artifact.slot.to_owned(), next) {
            // The new version is at work, whatever becomes of the old one's pins.
            let gone = self.let_go(&old, &in_use);
            self.leftovers.extend(
                gone.err()
                    .map(|error| format!("{}: {error}", artifact.slot)),
            );
        }
        Ok(())
    }

    /// Checks, loads, and writes parameters. Nothing is attached yet.
    fn bring_in(&self, artifact: &Artifact<'_>) -> Result<(Plan, Running)> {
        let plan = self.plan(artifact)?;
        let types = self.places.kernel_types();
        let in_kernel = loader::load(
            &plan.object,
            &plan.prepared.constants,
            &plan.bound(),
            &types,
        )?;
        let running = self.hold(artifact, &plan, in_kernel)?;
        Ok((plan, running))
    }

    fn plan(&self, artifact: &Artifact<'_>) -> Result<Plan> {
        check_name("slot", artifact.slot, MAX_SLOT_BYTES)?;
        check_name("digest", artifact.digest, MAX_DIGEST_BYTES)?;
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
        if targets.len() > MAX_TARGETS || (program.kind.is_bound_at_load() && targets.len() > 1) {
            return Err(Error::request(format!(
                "program `{name}` has more targets than its kind takes"
            )));
        }
        if program.kind == ProgramKind::Lsm
            && let Verdict::Refused(why) = kernel_support::lsm(&self.places)
        {
            return Err(Error::request(format!("program `{name}`: {why}")));
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
}

fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > longest || !name.bytes().all(allowed) {
        return Err(Error::request(format!(
            "a {what} is up to {longest} letters, digits, `_` and `-`"
        )));
    }
    Ok(())
}
