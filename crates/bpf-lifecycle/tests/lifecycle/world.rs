//! A host to plan for: a running set that does what the steps say, with clocks that can be turned.

use std::collections::BTreeSet;

use bpf_lifecycle::{
    Action, ArtifactId, Assigned, BootId, Deadline, Digest, Event, Failure, Held, LimitOverrides,
    Listing, Measured, Memory, Now, OnExit, Outcome, Plan, Running, Settings, Situation, State,
    Step, Undo, plan,
};

pub(crate) const START_OF_WALL: i64 = 1_800_000_000;

/// Which listing the next plan sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    Fresh,
    Kept,
    Absent,
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) boots: u8,
    pub(crate) listed: Vec<Assigned>,
    pub(crate) running: Vec<Running>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) memory: Memory,
    pub(crate) settings: Settings,
    /// Digests that fail to load, and whether it is the verifier.
    pub(crate) failing: Vec<(Digest, bool)>,
    /// Programs that cannot be unloaded or changed.
    pub(crate) stuck: BTreeSet<ArtifactId>,
    /// Whether what was done is not noted, as in a crash after the steps.
    pub(crate) forgets_to_note: bool,
    pub(crate) events: Vec<Event>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            now: Now {
                boot: boot(0),
                boottime_seconds: 1_000,
                wall_seconds: START_OF_WALL,
            },
            boots: 0,
            listed: Vec::new(),
            running: Vec::new(),
            measured: Vec::new(),
            memory: Memory::default(),
            settings: Settings {
                rollback_delay_seconds: 5,
                ..Settings::default()
            },
            failing: Vec::new(),
            stuck: BTreeSet::new(),
            forgets_to_note: false,
            events: Vec::new(),
        }
    }

    /// Both clocks go on.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now.boottime_seconds += seconds;
        self.now.wall_seconds += seconds;
    }

    /// The host goes down and comes back with nothing in its kernel.
    pub(crate) fn reboot(&mut self, wall_seconds_later: i64) {
        self.boots += 1;
        self.now = Now {
            boot: boot(self.boots),
            boottime_seconds: 10,
            wall_seconds: self.now.wall_seconds + wall_seconds_later,
        };
        self.running.clear();
        self.measured.clear();
    }

    pub(crate) fn plan(&self, ask: Ask) -> Plan {
        let situation = Situation {
            listing: match ask {
                Ask::Fresh => Listing::Fresh(&self.listed),
                Ask::Kept => Listing::Kept(&self.listed),
                Ask::Absent => Listing::Absent,
            },
            running: &self.running,
            measured: &self.measured,
            settings: &self.settings,
            now: self.now,
        };
        plan(&situation, self.memory.clone())
    }

    /// Plans and takes the steps, until there are no more; returns them and what is held.
    pub(crate) fn settle(&mut self, ask: Ask) -> (Vec<Step>, Vec<Held>) {
        let mut taken = Vec::new();
        let mut ask = ask;
        for _ in 0..12 {
            let plan = self.plan(ask);
            self.memory = plan.memory;
            self.events.extend(plan.events);
            let before = taken.len();
            for step in plan.steps {
                // What fails for good would come again at once.
                if self.take(&step) || !taken.contains(&step) {
                    taken.push(step);
                }
            }
            if taken.len() == before {
                return (taken, plan.held);
            }
            if ask == Ask::Fresh {
                ask = Ask::Kept;
            }
        }
        panic!("it never settles: {taken:#?}");
    }

    /// Takes one step and notes how it went; says whether it worked.
    pub(crate) fn take(&mut self, step: &Step) -> bool {
        let outcome = self.execute(step);
        if !self.forgets_to_note || outcome != Outcome::Done {
            let events = self.memory.note(step, &outcome, &self.settings, &self.now);
            self.events.extend(events);
        }
        outcome == Outcome::Done
    }

    pub(crate) fn execute(&mut self, step: &Step) -> Outcome {
        match &step.action {
            Action::Start {
                new,
                deadline,
                evicts,
            } => self.load(new, *deadline, evicts.as_ref()),
            Action::Replace { old, new, deadline } => self.load(new, *deadline, Some(old)),
            Action::RollBack {
                undo: Undo::Return { to, deadline },
            } => self.load(to, *deadline, Some(&step.id)),
            Action::UpdateParameters { to, deadline } | Action::Amend { to, deadline } => {
                if self.stuck.contains(&step.id) {
                    return failed(false);
                }
                let found = self
                    .running
                    .iter_mut()
                    .find(|running| running.loaded.id == step.id)
                    .expect("a step for what does not run");
                found.loaded = to.clone();
                found.deadline = *deadline;
                Outcome::Done
            }
            Action::Stop | Action::RollBack { undo: Undo::Unload } => {
                self.unload(&step.id, step.digest)
            }
            other => panic!("an action this host does not know: {other:?}"),
        }
    }

    fn load(
        &mut self,
        new: &Assigned,
        deadline: Deadline,
        instead_of: Option<&ArtifactId>,
    ) -> Outcome {
        if let Some((_, by_verifier)) = self.failing.iter().find(|(bad, _)| *bad == new.digest) {
            return failed(*by_verifier);
        }
        if let Some(old) = instead_of {
            if self.stuck.contains(old) {
                return failed(false);
            }
            let before = self.running.len();
            self.running.retain(|running| running.loaded.id != *old);
            assert!(self.running.len() < before, "{old} does not run");
        }
        self.running.push(Running {
            loaded: new.clone(),
            loaded_at: self.now.boottime_seconds,
            deadline,
            state: State::Running,
        });
        Outcome::Done
    }

    fn unload(&mut self, id: &ArtifactId, digest: Digest) -> Outcome {
        if self.stuck.contains(id) {
            return failed(false);
        }
        let meant = |running: &Running| running.loaded.id == *id && running.loaded.digest == digest;
        let at = self.running.iter().position(meant);
        self.running
            .remove(at.expect("a stop of what does not run"));
        Outcome::Done
    }
}

fn failed(by_verifier: bool) -> Outcome {
    Outcome::Failed(Failure {
        by_verifier,
        message: "no".to_owned(),
    })
}

pub(crate) fn boot(number: u8) -> BootId {
    format!("{number:032x}").parse().unwrap()
}

pub(crate) fn id(text: &str) -> ArtifactId {
    text.parse().unwrap()
}

/// Digests with a face: all bytes the same.
pub(crate) fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

/// An entry with the digest 1 and an hour to live.
pub(crate) fn entry(name: &str) -> Assigned {
    Assigned {
        id: id(name),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        serial: None,
        digest: digest(1),
        ttl_seconds: 3_600,
        not_after: None,
        parameters_digest: digest(0),
        priority: 0,
        protected: false,
        limits: LimitOverrides::default(),
        on_exit: OnExit::Detach,
    }
}
