//! What becomes of each running program.

use crate::adopt::Role;
use crate::plan::Draft;
use crate::program::{Breach, End, Stage, continued, granted, is_up};
use crate::{Action, ArtifactId, Assigned, Deadline, Hold, ReturnTo, State, Step, Undo, Why};

impl Draft<'_> {
    /// Decides about all that run, what harms first.
    pub(crate) fn decide_running(&mut self) {
        let roles: Vec<Role<'_>> = self.roles.clone();
        let at_rest = |role: &&Role<'_>| role.running.state != State::Busy;
        for role in roles.iter().filter(at_rest).filter(|role| role.keeps) {
            self.roll_back(*role);
        }
        for role in roles.iter().filter(at_rest).filter(|role| !role.keeps) {
            self.stop(*role, Why::Superseded);
        }
        for role in roles.iter().filter(at_rest).filter(|role| role.keeps) {
            if !self.is_breached_for_good(role.id()) {
                self.decide(*role);
            }
        }
    }

    fn decide(&mut self, role: Role<'_>) {
        let program = self.memory.programs.get(role.id());
        let unassigned = program.is_some_and(|program| program.unassigned);
        if let Some(end) = program.and_then(|program| program.end_of(role.loaded())) {
            self.stop(role, end.why());
        } else if role.running.state == State::Damaged {
            self.stop(role, Why::Damaged);
        } else if let Some(wanted) = role.wanted {
            self.compare(role, wanted);
        } else if unassigned {
            self.stop(role, Why::Unassigned);
        } else {
            self.stop_if_over(role, role.loaded());
        }
    }

    /// It runs, and an entry says what should.
    fn compare(&mut self, role: Role<'_>, wanted: &Assigned) {
        if wanted.is_older_than(role.loaded()) {
            self.hold(&wanted.id, Hold::OlderSerial);
            self.stop_if_over(role, role.loaded());
        } else if !role.is_wanted_issue() {
            self.replace(role, wanted);
        } else if !self.stop_if_over(role, wanted) {
            self.change_terms(role, wanted);
        }
    }

    /// Another version should run: until it does, this one stays, but not beyond its own time.
    fn replace(&mut self, role: Role<'_>, wanted: &Assigned) {
        match self.startable(wanted) {
            Ok(deadline) => self.push(Step {
                id: wanted.id.clone(),
                digest: wanted.digest,
                action: Action::Replace {
                    old: role.id().clone(),
                    new: wanted.clone(),
                    deadline,
                },
                why: Why::NewVersion,
            }),
            Err(hold) => {
                self.hold(&wanted.id, hold);
                self.stop_if_over(role, role.loaded());
            }
        }
    }

    fn change_terms(&mut self, role: Role<'_>, wanted: &Assigned) {
        let deadline = self.deadline_under(role, wanted);
        if role.loaded() == wanted && role.running.deadline == deadline {
            return;
        }
        let amending = self
            .memory
            .programs
            .get(role.id())
            .and_then(|program| program.amending);
        if let Some((parameters, serial, retry)) = amending
            && (parameters, serial) == (wanted.parameters_digest, wanted.serial)
            && retry.at > self.at.now.boottime_seconds
        {
            // The new terms are not in the books yet: until they are, the old ones hold.
            self.hold(&wanted.id, Hold::BackingOff { until: retry.at });
            self.stop_if_over(role, role.loaded());
            return;
        }
        let to = wanted.clone();
        let (action, why) = if role.loaded().parameters_digest == wanted.parameters_digest {
            (Action::Amend { to, deadline }, Why::TermsChanged)
        } else {
            let action = Action::UpdateParameters { to, deadline };
            (action, Why::ParametersChanged)
        };
        self.push(Step {
            id: role.id().clone(),
            digest: role.loaded().digest,
            action,
            why,
        });
    }

    fn deadline_under(&self, role: Role<'_>, terms: &Assigned) -> Deadline {
        let run = self
            .memory
            .programs
            .get(role.id())
            .and_then(|program| program.current.as_ref());
        run.map_or(role.running.deadline, |run| {
            continued(run, terms, &self.at.now)
        })
    }

    /// Stops it if its time under these terms is over. Only the boot clock ends it for good.
    fn stop_if_over(&mut self, role: Role<'_>, terms: &Assigned) -> bool {
        let now = &self.at.now;
        if !self.deadline_under(role, terms).is_over(now) {
            return false;
        }
        if let Some(program) = self.memory.programs.get_mut(role.id()) {
            let up = program
                .current
                .as_ref()
                .is_some_and(|run| is_up(run, terms, now));
            if up {
                program.end(role.loaded().digest, role.loaded().serial, End::Expired);
            }
        }
        self.stop(role, Why::Expired);
        true
    }

    pub(crate) fn stop(&mut self, role: Role<'_>, why: Why) {
        self.push(Step {
            id: role.id().clone(),
            digest: role.loaded().digest,
            action: Action::Stop,
            why,
        });
    }

    fn is_breached_for_good(&self, id: &ArtifactId) -> bool {
        let program = self.memory.programs.get(id);
        let breach = program.and_then(|program| program.breach.as_ref());
        breach.is_some_and(|breach| matches!(breach.stage, Stage::Acting(_)))
    }

    fn roll_back(&mut self, role: Role<'_>) {
        let program = self.memory.programs.get(role.id());
        let Some(breach) = program.and_then(|program| program.breach.clone()) else {
            return;
        };
        let Stage::Acting(retry) = breach.stage else {
            return;
        };
        if retry.at > self.at.now.boottime_seconds {
            self.hold(role.id(), Hold::BackingOff { until: retry.at });
            self.stop_if_over(role, role.loaded());
            return;
        }
        let undo = self.undo(role.id(), &breach, retry.failures);
        self.push(Step {
            id: role.id().clone(),
            digest: role.loaded().digest,
            action: Action::RollBack { undo },
            why: Why::RolledBack,
        });
    }

    /// Back to the version before, if that is wanted, good, and was not tried in vain.
    fn undo(&self, id: &ArtifactId, breach: &Breach, failures: u32) -> Undo {
        let now = &self.at.now;
        let previous = self
            .memory
            .programs
            .get(id)
            .and_then(|program| program.previous.as_ref())
            .filter(|_| self.at.settings.return_to == ReturnTo::Previous && failures == 0)
            .filter(|previous| previous.loaded.digest != breach.digest)
            .filter(|previous| !previous.deadline(now).is_over(now))
            .filter(|previous| self.memory.bar_on(&previous.loaded.digest, now).is_none())
            .filter(|previous| previous.loaded.id == *id || !self.runs(&previous.loaded.id));
        previous.map_or(Undo::Unload, |previous| Undo::Return {
            to: Box::new(previous.loaded.clone()),
            deadline: previous.deadline(now),
        })
    }

    /// Until when this entry may run if it is loaded now, or why it may not be.
    pub(crate) fn startable(&mut self, entry: &Assigned) -> Result<Deadline, Hold> {
        let now = &self.at.now;
        let bar = self.memory.bar_on(&entry.digest, now);
        let program = self.memory.programs.entry(entry.id.clone()).or_default();
        if let Some(end) = program.end_of(entry) {
            return Err(end.hold());
        }
        if let Some(hold) = bar {
            return Err(hold);
        }
        let run = program.run_of(entry);
        let deadline = run.map_or_else(|| granted(entry, now), |run| continued(run, entry, now));
        if !deadline.is_over(now) {
            return Ok(deadline);
        }
        if run.is_some_and(|run| is_up(run, entry, now)) {
            program.end(entry.digest, entry.serial, End::Expired);
        }
        Err(Hold::Expired)
    }
}
