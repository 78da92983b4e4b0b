//! Who gets the places: never more than there are.

use std::cmp::Reverse;

use crate::adopt::Role;
use crate::plan::Draft;
use crate::{Action, ArtifactId, Assigned, Deadline, Hold, ReturnTo, State, Step, Undo, Why};

impl<'a> Draft<'a> {
    /// Starts what does not run yet, as far as there are places.
    ///
    /// A place counts as free when nobody is in it now: one that a step of this plan frees is
    /// given away by the next plan, so that a stop that fails never makes one too many.
    pub(crate) fn fill_places(&mut self) {
        let running = self.roles.len();
        let most = self.at.settings.max_programs;
        let surplus = running.saturating_sub(most);
        let freeing = self.steps.iter().filter(|step| frees(step)).count();
        self.remove_surplus(surplus.saturating_sub(freeing));
        let mut coming = freeing.saturating_sub(surplus);
        let mut free = most.saturating_sub(running);
        for entry in self.candidates() {
            let startable = match self.startable(entry) {
                Ok(deadline) => Some((entry.clone(), deadline)),
                Err(hold) => {
                    self.hold(&entry.id, hold);
                    self.stand_in(entry)
                }
            };
            let Some((entry, deadline)) = startable else {
                continue;
            };
            if free > 0 {
                free -= 1;
                self.start(&entry, deadline, None);
            } else if coming > 0 || surplus > 0 {
                coming = coming.saturating_sub(1);
                self.hold(&entry.id, Hold::Full);
            } else {
                self.contest(&entry, deadline);
            }
        }
        let beaten = self.listed.beaten().filter(|entry| !self.runs(&entry.id));
        for entry in beaten.collect::<Vec<_>>() {
            self.hold(&entry.id, Hold::Superseded);
        }
    }

    /// What ran last in the place of an entry that may not run: after a restart or a reboot a version
    /// that was returned to goes on for what is left of its time, as it would have without them.
    fn stand_in(&mut self, entry: &Assigned) -> Option<(Assigned, Deadline)> {
        if self.at.settings.return_to != ReturnTo::Previous {
            return None;
        }
        let now = &self.at.now;
        let fits = |id: &ArtifactId| {
            let last = self.memory.good_version(id)?;
            let deadline = last.deadline(now);
            let fits = last.loaded.slot() == entry.slot()
                && last.loaded.digest != entry.digest
                && self.memory.bar_on(&last.loaded.digest, now).is_none()
                && !deadline.is_over(now);
            fits.then(|| (last.loaded.clone(), deadline))
        };
        // Another artifact is remembered only if it ran until now: it comes after what this one ran.
        let others = self.memory.programs.keys();
        let mut others = others.filter(|id| !self.listed.has(id) && !self.runs(id));
        let found = others.find_map(fits).or_else(|| fits(&entry.id))?;
        self.stand_ins.insert(found.0.id.clone());
        Some(found)
    }

    /// The entries that nothing runs for, in the order in which they get places.
    fn candidates(&self) -> Vec<&'a Assigned> {
        let served = |entry: &Assigned| {
            let wanted = |role: &Role<'_>| role.wanted.is_some_and(|wanted| wanted.id == entry.id);
            self.touched.contains(&entry.id)
                || self.runs(&entry.id)
                || self.roles.iter().any(wanted)
        };
        let mut waiting: Vec<&Assigned> = self
            .listed
            .winners()
            .filter(|entry| !served(entry))
            .collect();
        waiting.sort_by_key(|entry| (Reverse(entry.priority), &entry.id));
        waiting
    }

    fn start(&mut self, entry: &Assigned, deadline: Deadline, evicted: Option<Role<'_>>) {
        self.push(Step {
            id: entry.id.clone(),
            digest: entry.digest,
            action: Action::Start {
                new: entry.clone(),
                deadline,
                evicts: evicted.map(|role| role.id().clone()),
            },
            why: Why::Assigned,
        });
    }

    /// All places are taken: somebody may have to make room.
    fn contest(&mut self, entry: &Assigned, deadline: Deadline) {
        let arrived = self
            .memory
            .programs
            .get(&entry.id)
            .map_or(i64::MIN, |program| program.arrived);
        let gives_way = |role: &Role<'_>| {
            let priority = role.terms().priority;
            priority < entry.priority
                || priority == entry.priority && role.running.loaded_at < arrived
        };
        match self.last_in_rank(gives_way) {
            Some(role) => self.start(entry, deadline, Some(role)),
            None => {
                let all_protected = self.roles.iter().all(|role| role.terms().protected);
                self.hold(
                    &entry.id,
                    if all_protected {
                        Hold::AllProtected
                    } else {
                        Hold::Full
                    },
                );
            }
        }
    }

    /// More run than may, because the settings changed or the running set was found like this.
    fn remove_surplus(&mut self, surplus: usize) {
        for _ in 0..surplus {
            let Some(role) = self.last_in_rank(|_| true) else {
                return;
            };
            self.stop(role, Why::Evicted);
        }
    }

    /// Of those that may be evicted, the one of the lowest priority, and of equals the one loaded
    /// first.
    fn last_in_rank(&self, gives_way: impl Fn(&Role<'_>) -> bool) -> Option<Role<'a>> {
        self.roles
            .iter()
            .filter(|role| role.running.state != State::Busy && !role.terms().protected)
            .filter(|role| !self.touched.contains(role.id()) && gives_way(role))
            .min_by_key(|role| (role.terms().priority, role.running.loaded_at, role.id()))
            .copied()
    }
}

fn frees(step: &Step) -> bool {
    matches!(
        step.action,
        Action::Stop | Action::RollBack { undo: Undo::Unload }
    )
}
