//! How a step went.

use crate::event::clipped;
use crate::program::{Program, Stage, Version, Window};
use crate::{
    Action, ArtifactId, Assigned, Barred, Deadline, Digest, Event, Figures, Memory, Now, Reason,
    Settings, Status, Step, Threshold, Undo, Why,
};

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done, and it stands in the caller's books.
    Done,
    /// Nothing of it was done, or what was done is undone.
    Failed(Failure),
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the verifier refused the program, as opposed to anything else.
    pub by_verifier: bool,
    /// What it said, for people.
    pub message: String,
}

impl Memory {
    /// Notes how a step of the last plan went, and returns the events that are new.
    ///
    /// What is not noted, because of a crash, is found out by the next plan from what runs.
    pub fn note(
        &mut self,
        step: &Step,
        outcome: &Outcome,
        settings: &Settings,
        now: &Now,
    ) -> Vec<Event> {
        self.move_to(now);
        match outcome {
            Outcome::Done => self.note_done(step, settings, now),
            Outcome::Failed(failure) => self.note_failed(step, failure, settings, now),
        }
    }

    fn note_done(&mut self, step: &Step, settings: &Settings, now: &Now) -> Vec<Event> {
        match &step.action {
            Action::Start { new, deadline, .. } => self.started(new, deadline, &new.id, now),
            Action::Replace { old, new, deadline } => self.started(new, deadline, old, now),
            Action::UpdateParameters { to, deadline } | Action::Amend { to, deadline } => {
                if let Some(program) = self.programs.get_mut(&step.id) {
                    program.current = Some(version(to, deadline));
                    program.amending = None;
                }
            }
            Action::Stop if step.why == Why::Damaged => {
                self.load_failed(step.digest, settings, now);
            }
            Action::Stop => {}
            Action::RollBack { undo } => {
                let program = self.programs.get(&step.id);
                let Some(breach) = program.and_then(|program| program.breach.clone()) else {
                    return Vec::new();
                };
                let event = self.rolled_back(&step.id, &breach, settings, now);
                if let Undo::Return { to, deadline } = undo {
                    self.started(to, deadline, &step.id, now);
                }
                return vec![event];
            }
        }
        Vec::new()
    }

    /// Something new runs, where something else ran before or nothing.
    fn started(&mut self, new: &Assigned, deadline: &Deadline, old: &ArtifactId, now: &Now) {
        self.failures.remove(&new.digest);
        let before = self.good_version(old).cloned();
        let program = self.programs.entry(new.id.clone()).or_default();
        program.runs(version(new, deadline), before);
        let nothing_yet = Figures {
            errors: Some(0),
            violations: Some(0),
            ..Figures::default()
        };
        program.window = Some(Window::opened(&nothing_yet, now));
    }

    fn note_failed(
        &mut self,
        step: &Step,
        failure: &Failure,
        settings: &Settings,
        now: &Now,
    ) -> Vec<Event> {
        match &step.action {
            Action::Start { new, .. } | Action::Replace { new, .. } => {
                let limits = settings.limits.with(&new.limits);
                if failure.by_verifier && limits.verifier_failure {
                    return vec![self.refused(new, failure, settings, now)];
                }
                self.load_failed(new.digest, settings, now);
                Vec::new()
            }
            Action::UpdateParameters { to, .. } | Action::Amend { to, .. } => {
                if let Some(program) = self.programs.get_mut(&step.id) {
                    program.amend_failed(to, settings, now);
                }
                Vec::new()
            }
            Action::Stop => Vec::new(),
            Action::RollBack { .. } => self.roll_back_failed(step, failure, settings, now),
        }
    }

    /// The verifier refused it: trying again on this kernel is of no use.
    fn refused(
        &mut self,
        new: &Assigned,
        failure: &Failure,
        settings: &Settings,
        now: &Now,
    ) -> Event {
        let barred = Barred::RolledBack(Reason::VerifierFailure);
        self.bar(new.digest, barred, settings, now);
        self.record(Event {
            artifact_id: new.id.clone(),
            digest: Some(new.digest),
            reason: Reason::VerifierFailure,
            threshold: Some(Threshold::VerifierFailure),
            value: Some("true".to_owned()),
            figures: None,
            timestamp: now.wall_seconds,
            status: Status::Completed,
            error: Some(clipped(&failure.message)),
            request_id: None,
            remark: None,
        })
    }

    fn load_failed(&mut self, digest: Digest, settings: &Settings, now: &Now) {
        let retry = self.failures.entry(digest).or_default();
        retry.fail(settings, now);
        if retry.failures >= settings.failures_before_quarantine {
            self.bar(digest, Barred::LoadFailures, settings, now);
        }
    }

    fn roll_back_failed(
        &mut self,
        step: &Step,
        failure: &Failure,
        settings: &Settings,
        now: &Now,
    ) -> Vec<Event> {
        let program = self.programs.get_mut(&step.id);
        let Some(breach) = program.and_then(|program| program.breach.as_mut()) else {
            return Vec::new();
        };
        if let Stage::Acting(retry) = &mut breach.stage {
            retry.fail(settings, now);
            if let Action::RollBack {
                undo: Undo::Return { .. },
            } = step.action
            {
                // What is tried next is something else, an unload, and what does harm goes at once.
                retry.at = now.boottime_seconds;
            }
        }
        let event = Event {
            error: Some(clipped(&failure.message)),
            ..breach.event(&step.id, Status::Failed, now)
        };
        vec![self.record(event)]
    }
}

impl Program {
    fn amend_failed(&mut self, to: &Assigned, settings: &Settings, now: &Now) {
        let of_this = self
            .amending
            .filter(|(parameters, serial, _)| {
                (*parameters, *serial) == (to.parameters_digest, to.serial)
            })
            .map(|(_, _, retry)| retry);
        let mut retry = of_this.unwrap_or_default();
        retry.fail(settings, now);
        self.amending = Some((to.parameters_digest, to.serial, retry));
    }
}

fn version(loaded: &Assigned, deadline: &Deadline) -> Version {
    Version {
        loaded: loaded.clone(),
        due: deadline.boottime_seconds,
    }
}
