//! The listing: which entry counts, who is gone, and the brake on a listing that shrinks.

use std::collections::BTreeMap;

use crate::plan::Draft;
use crate::program::Program;
use crate::{ArtifactId, Assigned, Held, Hold, Listing};

/// The listing, in order.
pub(crate) struct Listed<'a> {
    by_id: BTreeMap<&'a ArtifactId, &'a Assigned>,
    /// Of several entries of one name, the one that counts.
    by_slot: BTreeMap<&'a str, &'a Assigned>,
}

impl<'a> Listed<'a> {
    pub(crate) fn new(assigned: &'a [Assigned]) -> Self {
        let mut by_id: BTreeMap<&ArtifactId, &Assigned> = BTreeMap::new();
        for entry in assigned {
            let known = by_id.entry(&entry.id).or_insert(entry);
            if entry.serial > known.serial {
                *known = entry;
            }
        }
        let mut by_slot: BTreeMap<&str, &Assigned> = BTreeMap::new();
        for entry in by_id.values().copied() {
            let known = by_slot.entry(entry.slot()).or_insert(entry);
            if (entry.serial, &entry.id) > (known.serial, &known.id) {
                *known = entry;
            }
        }
        Self { by_id, by_slot }
    }

    pub(crate) fn has(&self, id: &ArtifactId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The entries that count.
    pub(crate) fn winners(&self) -> impl Iterator<Item = &'a Assigned> {
        self.by_slot.values().copied()
    }

    /// The entries that another one of their name beats.
    pub(crate) fn beaten(&self) -> impl Iterator<Item = &'a Assigned> {
        let beaten = |entry: &&Assigned| {
            self.by_slot
                .get(entry.slot())
                .is_some_and(|winner| winner.id != entry.id)
        };
        self.by_id.values().copied().filter(beaten)
    }

    /// What should run in the place of what was loaded from this entry.
    pub(crate) fn wanted(&self, loaded: &Assigned) -> Option<&'a Assigned> {
        let own = self.by_id.get(&loaded.id);
        let slot = own.map_or(loaded.slot(), |entry| entry.slot());
        self.by_slot.get(slot).copied()
    }

    /// Whether another artifact has taken over the name.
    pub(crate) fn has_successor(&self, program: &Program) -> bool {
        program
            .current
            .as_ref()
            .is_some_and(|version| self.wanted(&version.loaded).is_some())
    }
}

impl Draft<'_> {
    /// Compares the listing with what is remembered: who came, who is gone.
    pub(crate) fn compare_listing(&mut self) {
        self.note_arrivals();
        if matches!(self.at.listing, Listing::Fresh(_)) {
            self.note_absences();
        }
        self.let_go();
    }

    fn note_arrivals(&mut self) {
        let now = self.at.now.boottime_seconds;
        for (id, entry) in &self.listed.by_id {
            let new = || Program {
                arrived: now,
                ..Program::default()
            };
            let runs = self.runs(id);
            let program = self
                .memory
                .programs
                .entry((*id).clone())
                .or_insert_with(new);
            if program.unassigned && !runs {
                *program = new(); // assigned again: it begins anew
            }
            let issue = Some((entry.digest, entry.serial));
            if program.unassigned || program.listed.is_some() && program.listed != issue {
                program.arrived = now;
            }
            program.listed = issue;
            program.unassigned = false;
            program.absent = 0;
        }
    }

    fn note_absences(&mut self) {
        let listed = &self.listed;
        for (id, program) in &mut self.memory.programs {
            if !listed.has(id) && !listed.has_successor(program) {
                program.absent = program.absent.saturating_add(1);
            }
        }
    }

    /// Lets those go that are missing, unless too many went at once. The brake then holds until
    /// nobody is missing any more, so that the rest of a crowd does not pass as a few.
    fn let_go(&mut self) {
        let brake = self.at.settings.brake;
        let confirmed = std::mem::take(&mut self.memory.shrink_confirmed);
        let assigned = self
            .memory
            .programs
            .values()
            .filter(|program| !program.unassigned);
        let of = assigned.clone().count();
        let missing = assigned.filter(|program| program.absent > 0).count();
        let percent = usize::try_from(brake.percent).unwrap_or(usize::MAX);
        let too_many =
            missing > brake.few && missing.saturating_mul(100) > of.saturating_mul(percent);
        self.memory.braking = missing > 0 && (too_many || self.memory.braking);
        for (id, program) in &mut self.memory.programs {
            if program.absent == 0 || program.unassigned {
                continue;
            }
            if !self.memory.braking || confirmed || program.absent > brake.listings {
                program.unassigned = true;
                program.ended.clear();
                continue;
            }
            let why = Hold::ListingShrunk {
                missing,
                of,
                answers: program.absent,
                needed: brake.listings.saturating_add(1),
            };
            let id = id.clone();
            self.held.push(Held { id, why });
        }
    }
}
