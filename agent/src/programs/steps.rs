//! The steps of a round: what a plan says, done in the kernel and written into the books.

use std::sync::Arc;

use bpf_host::{Error, OnExit};
use bpf_lifecycle::{Action, ArtifactId, Assigned, Deadline, Step};
use serde_json::Value;

use super::books::{self, Record};
use super::figures::Numbers;
use super::keeper::{Followed, Keeper};
use super::kernel::{self, NotLoaded, Terms};
use super::shelf::Issue;
use super::view::Failed;

/// The longest name of a slot, with room for a number.
const LONGEST_SLOT: usize = 48;

impl Keeper {
    /// Loads first and makes room then: a load that fails costs nobody the place.
    pub(super) fn start(
        &mut self,
        new: &Assigned,
        deadline: Deadline,
        evicts: Option<&ArtifactId>,
    ) -> Result<(), NotLoaded> {
        let issue = self.found(new)?;
        let slot = self.free_slot(new);
        if let Some(evicted) = evicts {
            let terms = Terms {
                slot: &slot,
                deadline,
            };
            kernel::rehearse(&self.host, &issue.package, &terms)?;
            self.stop(evicted, "evicted")?;
        }
        self.load(&slot, &issue, new, deadline)
    }

    pub(super) fn replace(
        &mut self,
        old: &ArtifactId,
        new: &Assigned,
        deadline: Deadline,
    ) -> Result<(), NotLoaded> {
        let issue = self.found(new)?;
        let slot = self.slot(old)?;
        let before = self.numbers(&slot);
        self.load(&slot, &issue, new, deadline)?;
        self.count_unload("new_version");
        if *old != new.id {
            self.teller(old.as_str()).unloaded(&before, "new_version");
        }
        Ok(())
    }

    /// New parameters and terms. What can change while the program runs does; else it is loaded anew, without a gap.
    pub(super) fn amend(&mut self, to: &Assigned, deadline: Deadline) -> Result<(), NotLoaded> {
        let slot = self.slot(&to.id)?;
        let Some(record) = self.books.get(&slot).cloned() else {
            return Err(format!("{} is in no book", to.id).into());
        };
        let terms = Record {
            loaded: to.clone(),
            deadline,
            ..record.clone()
        };
        let Some(issue) = self.issue(to) else {
            // Only the end of its time can change without its archive.
            if record.loaded.parameters_digest == to.parameters_digest {
                return self.change_terms(&slot, terms);
            }
            return Err(not_here(to));
        };
        let package = &issue.package;
        let parameters = kernel::parameters(package);
        let persists = kernel::on_exit(package) == OnExit::Persist;
        let was = record.loaded.on_exit == bpf_lifecycle::OnExit::Persist;
        let same_place = books::attach(package) == record.attach && persists == was;
        if same_place && parameters == record.parameters {
            self.shelve(&issue);
            return self.change_terms(&slot, terms);
        }
        if same_place && covers(&parameters, &record.parameters) {
            match self.host.set_parameters(&slot, &parameters) {
                Ok(()) => {
                    tracing::info!(artifact_id = %to.id, "parameters changed while it runs");
                    self.watch_out(&slot, &to.id);
                    self.shelve(&issue);
                    let terms = Record {
                        parameters,
                        ..terms
                    };
                    return self.change_terms(&slot, terms);
                }
                Err(Error::Parameter(error)) if !error.needs_reload => {
                    return Err(Error::Parameter(error).into());
                }
                Err(error) => {
                    tracing::info!(artifact_id = %to.id, %error, "loaded anew for new parameters");
                }
            }
        }
        self.load(&slot, &issue, to, deadline)
    }

    fn change_terms(&mut self, slot: &str, record: Record) -> Result<(), NotLoaded> {
        let deadline = kernel::moment(record.deadline);
        self.host.set_deadline(slot, deadline)?;
        self.books.begin(slot, record);
        self.books.done(slot);
        self.save_books();
        Ok(())
    }

    /// Brings a package into the kernel; the books know before and after.
    fn load(
        &mut self,
        slot: &str,
        issue: &Arc<Issue>,
        new: &Assigned,
        deadline: Deadline,
    ) -> Result<(), NotLoaded> {
        let record = Record::new(&issue.package, new, deadline, &self.clocks.now());
        self.books.begin(slot, record);
        if !self.save_books() {
            self.books.failed(slot);
            return Err("the books cannot be written".to_owned().into());
        }
        self.ask_for_statistics();
        // The ring buffer of an old version ends with it.
        self.followed.remove(slot);
        let terms = Terms { slot, deadline };
        if let Err(why) = kernel::load(&mut self.host, &issue.package, &terms) {
            self.books.failed(slot);
            self.save_books();
            self.follow(slot);
            return Err(why);
        }
        self.books.done(slot);
        self.save_books();
        self.shelve(issue);
        self.follow(slot);
        self.failed.remove(&new.id);
        self.counts.loads += 1;
        self.watch_out(slot, &new.id);
        tracing::info!(artifact_id = %new.id, name = new.name, version = new.version, digest = %new.digest, ttl_seconds = new.ttl_seconds, "program loaded");
        self.teller(new.id.as_str()).loaded(&new.name, &new.version);
        Ok(())
    }

    pub(super) fn stop(&mut self, id: &ArtifactId, why: &'static str) -> Result<(), NotLoaded> {
        let slot = self.slot(id)?;
        let numbers = self.numbers(&slot);
        let there = self.host.status().iter().any(|status| status.slot == slot);
        if there {
            self.host.unload(&slot)?;
        }
        self.books.remove(&slot);
        self.save_books();
        self.followed.remove(&slot);
        self.risky.retain(|risky| risky != id);
        self.count_unload(why);
        tracing::info!(artifact_id = %id, why, "program unloaded");
        self.teller(id.as_str()).unloaded(&numbers, why);
        Ok(())
    }

    /// Has the guard look, if what is in this slot can cut off the agent.
    fn watch_out(&mut self, slot: &str, id: &ArtifactId) {
        let status = self.host.status();
        let here = status.iter().filter(|status| status.slot == slot);
        if here
            .flat_map(|status| &status.links)
            .any(|link| kernel::can_cut_off(link.kind))
        {
            self.risky.push(id.clone());
        }
    }

    pub(super) fn note_failure(&mut self, step: &Step, why: &NotLoaded) {
        let (Action::Start { new, .. } | Action::Replace { new, .. }) = &step.action else {
            return;
        };
        self.counts.load_failures += 1;
        let code = if why.failure.by_verifier {
            "verifier"
        } else {
            "load"
        };
        let failed = Failed {
            id: new.id.to_string(),
            name: new.name.clone(),
            version: new.version.clone(),
            error: why.failure.message.clone(),
            code,
            verifier: why.verifier.clone(),
            at: self.clocks.now().wall_seconds,
        };
        self.teller(new.id.as_str())
            .error(&failed.error, code, failed.verifier.as_deref());
        self.failed.insert(new.id.clone(), failed);
    }

    fn found(&self, new: &Assigned) -> Result<Arc<Issue>, NotLoaded> {
        self.issue(new).ok_or_else(|| not_here(new))
    }

    fn slot(&self, id: &ArtifactId) -> Result<String, NotLoaded> {
        let slot = self.books.slot_of(id).map(ToOwned::to_owned);
        slot.ok_or_else(|| format!("{id} is in no book").into())
    }

    /// A name for a new place: that of the program, as far as names of places can be like it.
    fn free_slot(&self, new: &Assigned) -> String {
        let name = if new.name.is_empty() {
            new.id.as_str()
        } else {
            &new.name
        };
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                letter
            } else {
                '-'
            }
        };
        let base: String = name.chars().map(plain).take(LONGEST_SLOT).collect();
        let taken = |slot: &String| self.books.is_taken(slot);
        let numbered = (2..10_000).map(|number| format!("{base}-{number}"));
        let mut slots = std::iter::once(base.clone()).chain(numbered);
        slots.find(|slot| !taken(slot)).unwrap_or(base)
    }

    fn numbers(&self, slot: &str) -> Numbers {
        let followed = self.followed.get(slot);
        followed.map_or_else(Numbers::default, |followed| followed.numbers.clone())
    }

    fn count_unload(&mut self, why: &'static str) {
        *self.counts.unloads.entry(why).or_default() += 1;
    }

    /// Run times are counted from the first program on, if the kernel lets us.
    fn ask_for_statistics(&mut self) {
        if std::mem::replace(&mut self.statistics_asked, true) {
            return;
        }
        if let Err(error) = self.host.enable_statistics() {
            tracing::info!(%error, "the kernel does not count run times for this agent");
        }
    }

    /// Begins to follow what is in a slot.
    pub(super) fn follow(&mut self, slot: &str) {
        let events = self.host.events(slot).unwrap_or_else(|error| {
            tracing::warn!(slot, %error, "its events cannot be read");
            None
        });
        let told = events.is_some().then(super::figures::Told::default);
        let followed = Followed {
            last: self.host.measure(slot).ok(),
            events,
            told,
            ..Followed::default()
        };
        self.followed.insert(slot.to_owned(), followed);
    }
}

fn not_here(new: &Assigned) -> NotLoaded {
    format!("the archive of {} ({}) is not here", new.id, new.digest).into()
}

/// Whether every parameter of the old ones is among the new ones: what is left out would keep its value.
fn covers(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (_, Value::Null) => true,
        (Value::Object(new), Value::Object(old)) => old.keys().all(|name| new.contains_key(name)),
        _ => false,
    }
}
