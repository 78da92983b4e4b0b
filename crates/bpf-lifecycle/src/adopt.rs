//! The running set is the truth: the memory follows it.

use std::collections::BTreeMap;

use crate::listing::Listed;
use crate::plan::Draft;
use crate::program::{Program, Stage, Version};
use crate::{ArtifactId, Assigned, Running, State, Status};

/// A running program and its part in the plan.
#[derive(Clone, Copy)]
pub(crate) struct Role<'a> {
    pub(crate) running: &'a Running,
    /// What should run in its place; it may be that already.
    pub(crate) wanted: Option<&'a Assigned>,
    /// Whether it is the one that counts. Only a crash in the middle of a replacement leaves two
    /// of one name, or two names that became one.
    pub(crate) keeps: bool,
}

impl<'a> Role<'a> {
    pub(crate) fn loaded(&self) -> &'a Assigned {
        &self.running.loaded
    }

    pub(crate) fn id(&self) -> &'a ArtifactId {
        &self.running.loaded.id
    }

    /// Whether it is what it should be, whatever the terms.
    pub(crate) fn is_wanted_issue(&self) -> bool {
        self.wanted.is_some_and(|wanted| {
            wanted.id == self.loaded().id && wanted.digest == self.loaded().digest
        })
    }

    /// The terms that count: those of the listing, if it is what the listing means, and that is
    /// no replay.
    pub(crate) fn terms(&self) -> &'a Assigned {
        self.wanted
            .filter(|wanted| self.is_wanted_issue() && !wanted.is_older_than(self.loaded()))
            .unwrap_or(self.loaded())
    }

    /// Which of two of one name counts.
    fn claim(&self) -> impl Ord {
        let fit = self.is_wanted_issue() && self.running.state != State::Damaged;
        (fit, self.running.loaded_at, self.loaded().digest)
    }
}

/// Gives each running program its part.
pub(crate) fn roles<'a>(running: &'a [Running], listed: &Listed<'a>) -> Vec<Role<'a>> {
    let mut roles: Vec<Role<'_>> = running
        .iter()
        .map(|running| Role {
            running,
            wanted: listed.wanted(&running.loaded),
            keeps: false,
        })
        .collect();
    let mut keepers: BTreeMap<&str, &mut Role<'_>> = BTreeMap::new();
    for role in &mut roles {
        let slot = role.wanted.unwrap_or(role.loaded()).slot();
        match keepers.entry(slot) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(role);
            }
            std::collections::btree_map::Entry::Occupied(mut taken) => {
                if role.claim() > taken.get().claim() {
                    taken.insert(role);
                }
            }
        }
    }
    for keeper in keepers.into_values() {
        keeper.keeps = true;
    }
    roles
}

impl Draft<'_> {
    /// Takes over what runs into the memory, and ends what is remembered of what does not.
    pub(crate) fn adopt(&mut self) {
        for role in self.roles.clone() {
            // What is still being loaded may fail: its time begins when it runs.
            if role.keeps && role.running.state != State::Busy {
                self.adopt_one(role);
            }
        }
        // Last, so that nothing is good to return to whose breach only ends here.
        self.settle_breaches();
    }

    fn adopt_one(&mut self, role: Role<'_>) {
        let running = role.running;
        let left_by = self.predecessor(role);
        let program = self
            .memory
            .programs
            .entry(role.id().clone())
            .or_insert_with(|| Program {
                arrived: running.loaded_at,
                ..Program::default()
            });
        let before = program.current.take();
        let same = before
            .as_ref()
            .is_some_and(|before| before.loaded.digest == role.loaded().digest);
        let now = &self.at.now;
        let due = if running.deadline.boot == now.boot {
            running.deadline.boottime_seconds
        } else {
            // Books of another boot: what the memory carried over counts, or else nothing is left.
            let known = before.as_ref().filter(|before| {
                role.loaded()
                    .is_issue_of(before.loaded.digest, before.loaded.serial)
            });
            known.map_or(now.boottime_seconds, |before| before.due)
        };
        let version = Version {
            loaded: role.loaded().clone(),
            due,
        };
        if same {
            program.current = Some(version);
        } else {
            program.runs(version, before.or(left_by));
        }
    }

    /// What ran under the name before, if that was another artifact and nobody noted the change.
    fn predecessor(&self, role: Role<'_>) -> Option<Version> {
        let others = self
            .memory
            .programs
            .keys()
            .filter(|id| *id != role.id() && !self.runs(id));
        others
            .filter_map(|id| self.memory.good_version(id))
            .find(|version| version.loaded.slot() == role.loaded().slot())
            .cloned()
    }

    /// A breach of what runs no more is over: it was undone, or went by itself.
    fn settle_breaches(&mut self) {
        let (roles, now) = (&self.roles, &self.at.now);
        let mut over = Vec::new();
        for (id, program) in &mut self.memory.programs {
            let Some(breach) = &mut program.breach else {
                continue;
            };
            let running = roles.iter().find(|role| {
                role.keeps && role.id() == id && role.loaded().digest == breach.digest
            });
            match running {
                Some(role) => breach.serial = role.loaded().serial,
                None => over.push((id.clone(), breach.clone())),
            }
        }
        for (id, breach) in over {
            let event = if let Stage::Acting(_) = breach.stage {
                self.memory.rolled_back(&id, &breach, self.at.settings, now)
            } else {
                if let Some(program) = self.memory.programs.get_mut(&id) {
                    program.breach = None;
                }
                let event = breach.event(&id, Status::Cancelled, now);
                self.memory.record(event)
            };
            self.events.push(event);
        }
    }
}
