//! One round: what should be is compared with what is, and the steps between are taken.

use bpf_lifecycle::{
    Action, ArtifactId, Assigned, Event, Failure, Listing, Measured, Now, Outcome, Running,
    Situation, State, Status, Step, Threshold, Undo, plan, plan_exit,
};

use super::keeper::Keeper;

/// A place that a stop has freed is given away by the plan after it; nothing needs more plans than this.
const MOST_PLANS: usize = 8;

impl Keeper {
    /// Plans and acts until there is nothing left to do. `fresh` says that the registry has just answered.
    pub(super) fn round(&mut self, fresh: bool, measured: &[Measured]) {
        let assigned = self.assigned();
        let settings = self.settings.lifecycle.clone();
        for number in 0..MOST_PLANS {
            let now = self.clocks.now();
            let listing = match &assigned {
                None => Listing::Absent,
                Some(list) if fresh && number == 0 => Listing::Fresh(list),
                Some(list) => Listing::Kept(list),
            };
            let running = self.running();
            let situation = Situation {
                listing,
                running: &running,
                measured,
                settings: &settings,
                now,
            };
            let plan = plan(&situation, std::mem::take(&mut self.memory));
            self.memory = plan.memory;
            self.held = plan.held;
            plan.events.iter().for_each(|event| self.tell(event));
            let idle = plan.steps.is_empty();
            let saved = if idle && plan.events.is_empty() && !fresh {
                Ok(())
            } else {
                self.save_memory()
            };
            if idle {
                break;
            }
            for step in &plan.steps {
                self.take(step, &saved, &now);
            }
        }
    }

    /// Takes a step and notes how it went. Without a disk nothing new is begun, but what has to go goes.
    fn take(&mut self, step: &Step, saved: &Result<(), String>, now: &Now) {
        let ends = matches!(
            step.action,
            Action::Stop | Action::RollBack { undo: Undo::Unload }
        );
        let outcome = match saved {
            Err(error) if !ends => Outcome::Failed(Failure {
                by_verifier: false,
                message: error.clone(),
            }),
            _ => self.execute(step),
        };
        if let Outcome::Failed(failure) = &outcome {
            tracing::error!(artifact_id = %step.id, why = step.why.as_str(), error = failure.message, "a step failed");
        }
        let settings = self.settings.lifecycle.clone();
        let events = self.memory.note(step, &outcome, &settings, now);
        for event in &events {
            self.tell(event);
            if event.status == Status::Completed {
                self.counts.rollbacks += 1;
                self.teller(event.artifact_id.as_str()).rolled_back(event);
            }
        }
        // A memory that is not written shows among the problems; the next plan finds out the same from what runs.
        let _ = self.save_memory();
    }

    fn tell(&self, event: &Event) {
        tracing::warn!(
            artifact_id = %event.artifact_id,
            status = event.status.as_str(),
            reason = event.reason.as_str(),
            threshold = event.threshold.map(Threshold::as_str),
            value = event.value,
            remark = event.remark,
            error = event.error,
            "rollback"
        );
        self.teller(event.artifact_id.as_str()).rollback(event);
    }

    /// What is listed and trusted. What is listed but cannot be judged now counts as what runs under its id.
    fn assigned(&self) -> Option<Vec<Assigned>> {
        let listed = self.listed.as_ref()?;
        let of = |id: &ArtifactId| {
            let known = self.known.get(id).map(|known| known.issue.assigned.clone());
            known.or_else(|| {
                let slot = self.books.slot_of(id)?;
                self.books.get(slot).map(|record| record.loaded.clone())
            })
        };
        Some(listed.iter().filter_map(of).collect())
    }

    fn running(&self) -> Vec<Running> {
        let status = self.host.status();
        let whole = |slot: &str| {
            let there = status.iter().find(|status| status.slot == slot);
            there.is_some_and(|status| {
                let links = &status.links;
                links.iter().all(|link| link.attached != Some(false))
            })
        };
        self.books
            .running()
            .map(|(slot, record)| Running {
                loaded: record.loaded.clone(),
                loaded_at: record.loaded_at,
                deadline: record.deadline,
                state: if whole(slot) {
                    State::Running
                } else {
                    State::Damaged
                },
            })
            .collect()
    }

    fn execute(&mut self, step: &Step) -> Outcome {
        let done = match &step.action {
            Action::Start {
                new,
                deadline,
                evicts,
            } => self.start(new, *deadline, evicts.as_ref()),
            Action::Replace { old, new, deadline } => self.replace(old, new, *deadline),
            Action::UpdateParameters { to, deadline } | Action::Amend { to, deadline } => {
                self.amend(to, *deadline)
            }
            Action::Stop => self.stop(&step.id, step.why.as_str()),
            Action::RollBack { undo: Undo::Unload } => self.stop(&step.id, step.why.as_str()),
            Action::RollBack {
                undo: Undo::Return { to, deadline },
            } => self.replace(&step.id, to, *deadline),
            _ => Err("this step is not known here".to_owned().into()),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(why) => {
                self.note_failure(step, &why);
                Outcome::Failed(why.failure)
            }
        }
    }

    /// At the end of the agent: what does not persist is unloaded.
    pub(crate) fn shut_down(&mut self) {
        for step in plan_exit(&self.running()) {
            if let Err(why) = self.stop(&step.id, step.why.as_str()) {
                tracing::error!(artifact_id = %step.id, error = why.failure.message, "not unloaded");
            }
        }
        let _ = self.save_memory();
        self.publish();
    }
}
