//! The plan: everything that is known goes in, steps with their reasons come out.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::adopt::{Role, roles};
use crate::listing::Listed;
use crate::{
    Action, ArtifactId, Event, Held, Hold, Listing, Measured, Memory, Now, OnExit, Running,
    Settings, Step, Why,
};

/// Everything a plan looks at, apart from the [`Memory`].
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What should run.
    pub listing: Listing<'a>,
    /// What runs.
    pub running: &'a [Running],
    /// What it was measured to do. May come as often as wished, or not at all: the checks keep to
    /// their interval.
    pub measured: &'a [Measured],
    /// What the operator decides.
    pub settings: &'a Settings,
    /// The present.
    pub now: Now,
}

/// What to do, what not, and what was found.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan {
    /// What to do, in this order. At most one step for each artifact.
    pub steps: Vec<Step>,
    /// What is left alone on purpose.
    pub held: Vec<Held>,
    /// What is new in the history, to be published.
    pub events: Vec<Event>,
    /// To be written down before the steps are taken, and handed to the next plan.
    pub memory: Memory,
}

/// Decides what to start, stop, replace, change and roll back.
///
/// It reads no clock and does nothing: the same input gives the same plan. The caller writes
/// `memory` down, takes the steps, tells [`Memory::note`] how each went, and plans again until
/// there are no more steps. A crash anywhere in between is safe: planning again from what really
/// runs leads to the same end.
pub fn plan(situation: &Situation<'_>, memory: Memory) -> Plan {
    let listed = Listed::new(situation.listing.assigned());
    let mut draft = Draft {
        at: *situation,
        roles: roles(situation.running, &listed),
        listed,
        memory,
        steps: Vec::new(),
        held: Vec::new(),
        events: Vec::new(),
        touched: BTreeSet::new(),
        stand_ins: BTreeSet::new(),
    };
    draft.memory.move_to(&situation.now);
    draft.adopt();
    draft.compare_listing();
    draft.watch();
    draft.take_signals();
    draft.decide_running();
    draft.fill_places();
    draft.forget();
    draft.finish()
}

/// The steps at the end of the agent: what does not persist is unloaded, the newest first.
///
/// For an end that is a restart, take none: what is pinned stays, and the next plan takes it over.
#[must_use]
pub fn plan_exit(running: &[Running]) -> Vec<Step> {
    let mut leaving: Vec<&Running> = running
        .iter()
        .filter(|running| running.loaded.on_exit == OnExit::Detach)
        .collect();
    leaving.sort_by_key(|running| (Reverse(running.loaded_at), &running.loaded.id));
    let stop = |running: &Running| Step {
        id: running.loaded.id.clone(),
        digest: running.loaded.digest,
        action: Action::Stop,
        why: Why::Shutdown,
    };
    leaving.into_iter().map(stop).collect()
}

/// A plan in the making.
pub(crate) struct Draft<'a> {
    pub(crate) at: Situation<'a>,
    pub(crate) listed: Listed<'a>,
    pub(crate) roles: Vec<Role<'a>>,
    pub(crate) memory: Memory,
    pub(crate) steps: Vec<Step>,
    pub(crate) held: Vec<Held>,
    pub(crate) events: Vec<Event>,
    /// Whoever has a part in a step; nobody has two.
    pub(crate) touched: BTreeSet<ArtifactId>,
    /// Whoever may run in the place of an entry that may not.
    pub(crate) stand_ins: BTreeSet<ArtifactId>,
}

impl Draft<'_> {
    pub(crate) fn runs(&self, id: &ArtifactId) -> bool {
        self.roles.iter().any(|role| role.id() == id)
    }

    pub(crate) fn hold(&mut self, id: &ArtifactId, why: Hold) {
        self.held.push(Held {
            id: id.clone(),
            why,
        });
    }

    /// Adds a step, unless somebody in it has a part in another one: that comes first, and the
    /// next plan sees what is left to do.
    pub(crate) fn push(&mut self, step: Step) {
        if step.touches().any(|id| self.touched.contains(id)) {
            return;
        }
        self.touched.extend(step.touches().cloned());
        self.steps.push(step);
    }

    /// Forgets the artifacts that neither run nor are assigned.
    fn forget(&mut self) {
        let known = !matches!(self.at.listing, Listing::Absent);
        let (listed, roles, stand_ins) = (&self.listed, &self.roles, &self.stand_ins);
        self.memory.programs.retain(|id, program| {
            let superseded = known && listed.has_successor(program);
            let runs = roles.iter().any(|role| role.id() == id);
            runs || stand_ins.contains(id) || listed.has(id) || !program.unassigned && !superseded
        });
        self.memory.tidy();
    }

    fn finish(mut self) -> Plan {
        self.steps.sort_by_key(|step| order(&step.action));
        Plan {
            steps: self.steps,
            held: self.held,
            events: self.events,
            memory: self.memory,
        }
    }
}

/// What does harm goes first; what starts goes last.
fn order(action: &Action) -> u8 {
    match action {
        Action::RollBack { .. } => 0,
        Action::Stop => 1,
        Action::UpdateParameters { .. } => 2,
        Action::Amend { .. } => 3,
        Action::Replace { .. } => 4,
        Action::Start { .. } => 5,
    }
}
