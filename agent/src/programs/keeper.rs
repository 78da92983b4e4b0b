//! Keeps the programs: what is assigned, what is in the kernel, what is remembered of both, on disk and over restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bpf_artifact::{Digest, HighWaterMarks, KeyRing};
use bpf_host::{Events, Host, Reading};
use bpf_lifecycle::{Answer, ArtifactId, Held, Memory, Signal};
use tokio::sync::watch;

use super::books::{Books, Record};
use super::events::{About, Teller};
use super::figures::{Numbers, Told};
use super::kernel;
use super::outbox::Outbox;
use super::present::Clocks;
use super::shelf::Issue;
use super::store::Store;
use super::trust;
use super::view::{Counts, Failed, View};
use crate::cli::Programs;

/// The files of the state, and how long they can be.
pub(super) const MEMORY: &str = "memory.json";
pub(super) const MARKS: &str = "marks.json";
const BOOKS: &str = "books.json";
pub(super) const KEYS: &str = "keys.json";
pub(super) const MOST_STATE: u64 = 64 << 20;

/// A listed artifact that was found trustworthy.
#[derive(Debug)]
pub(super) struct Known {
    /// What the registry said, so that a change shows.
    pub(super) fingerprint: Digest,
    pub(super) issue: Arc<Issue>,
}

/// A listed artifact that was not.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fingerprint: Digest,
    /// Whether it may be taken later: with other keys, or at another time.
    pub(super) transient: bool,
    /// The keys it was judged by.
    pub(super) keys: u64,
    /// When it may be tried again, by the boot clock.
    pub(super) again: i64,
}

/// What is followed of a program at work.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) last: Option<Reading>,
    pub(super) numbers: Numbers,
    pub(super) events: Option<Events>,
    pub(super) told: Option<Told>,
    /// Violations that were reported.
    pub(super) reported: u64,
}

#[derive(Debug)]
pub(crate) struct Keeper {
    pub(super) settings: Arc<Programs>,
    pub(super) clocks: Clocks,
    pub(super) host: Host,
    pub(super) state: Store,
    /// `None`: the folder cannot be used, and a start without the registry finds nothing.
    pub(super) cache: Option<Store>,
    pub(super) memory: Memory,
    pub(super) marks: HighWaterMarks,
    pub(super) books: Books,
    pub(super) ring: KeyRing,
    /// How often the keys have changed.
    pub(super) keys: u64,
    pub(super) known: BTreeMap<ArtifactId, Known>,
    pub(super) refused: BTreeMap<ArtifactId, Refused>,
    /// What the last answer of the registry listed; `None` before the first.
    pub(super) listed: Option<Vec<ArtifactId>>,
    /// The listing that is in the cache.
    pub(super) kept: Option<Digest>,
    /// What runs, and what can be returned to.
    pub(super) shelf: Vec<Arc<Issue>>,
    pub(super) failed: BTreeMap<ArtifactId, Failed>,
    pub(super) held: Vec<Held>,
    pub(super) followed: BTreeMap<String, Followed>,
    /// Programs that were attached where they can cut off the agent, since somebody last looked.
    pub(super) risky: Vec<ArtifactId>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counts: Counts,
    /// What is wrong with the disk, by file.
    pub(super) problems: BTreeMap<&'static str, String>,
    pub(super) kinds: Vec<kernel::Kind>,
    pub(super) recovered: Vec<String>,
    pub(super) statistics_asked: bool,
    /// When figures were last reported, and when the last heartbeat was, by the boot clock.
    pub(super) reported_at: i64,
    pub(super) beat_at: i64,
    pub(super) view: watch::Sender<Arc<View>>,
}

impl Keeper {
    /// Takes up where an earlier process ended: adopts what is right, removes what is not. No network is needed for it.
    pub(crate) fn open(
        settings: Arc<Programs>,
        places: (&Path, &Path),
        outbox: Arc<Outbox>,
        view: watch::Sender<Arc<View>>,
    ) -> Result<Self, String> {
        let (proc, sys) = places;
        let clocks = Clocks::of(proc)?;
        let state = Store::open(&settings.state)?;
        let memory = read_json(&state, MEMORY, |bytes| {
            serde_json::from_slice(bytes).map_err(|error| error.to_string())
        })?;
        let marks = read_json(&state, MARKS, |bytes| {
            HighWaterMarks::from_json(bytes).map_err(|error| error.to_string())
        })?;
        let books = read_json(&state, BOOKS, Books::from_json)?;
        let cache = Store::open(&settings.cache)
            .inspect_err(|error| tracing::warn!(error, "archives are not cached"))
            .ok();
        let ring = trust::ring(&settings, &state);
        let host = kernel::open(&settings, proc, sys)?;
        let mut keeper = Self {
            clocks,
            state,
            cache,
            memory: memory.unwrap_or_default(),
            marks: marks.unwrap_or_default(),
            books: books.unwrap_or_default(),
            ring,
            keys: 0,
            known: BTreeMap::new(),
            refused: BTreeMap::new(),
            listed: None,
            kept: None,
            shelf: Vec::new(),
            failed: BTreeMap::new(),
            held: Vec::new(),
            followed: BTreeMap::new(),
            risky: Vec::new(),
            outbox,
            counts: Counts::default(),
            problems: BTreeMap::new(),
            kinds: kernel::kinds(&host),
            recovered: Vec::new(),
            statistics_asked: false,
            reported_at: 0,
            beat_at: 0,
            view,
            host,
            settings,
        };
        keeper.recover();
        keeper.take_up_words();
        keeper.restore();
        keeper.adopt();
        // Ends what is over. What is to be loaded waits until it is known what is within reach.
        let listed = keeper.listed.take();
        keeper.round(false, &[]);
        keeper.listed = listed;
        keeper.publish();
        Ok(keeper)
    }

    /// Makes books and kernel agree: what no record is about is removed.
    fn recover(&mut self) {
        let recovery = self.host.recovery();
        let removed = recovery.removed.iter().map(|one| format!("removed {one}"));
        let repaired = recovery
            .repaired
            .iter()
            .map(|one| format!("repaired {one}"));
        self.recovered = removed.chain(repaired).collect();
        let status = self.host.status();
        let there: BTreeMap<String, String> = status
            .into_iter()
            .map(|status| (status.slot, status.digest))
            .collect();
        self.books.settle(&there);
        for slot in there.keys().filter(|slot| !self.books.is_taken(slot)) {
            let gone = self.host.unload(slot);
            let what = match gone {
                Ok(()) => format!("unloaded {slot}: it is in no book"),
                Err(error) => format!("cannot unload {slot}, which is in no book: {error}"),
            };
            self.recovered.push(what);
        }
        for what in &self.recovered {
            tracing::warn!(what, "put in order after an earlier process");
        }
        self.save_books();
    }

    /// Gives what runs its objects back; what nobody trusts any more is undone.
    fn adopt(&mut self) {
        let running: Vec<(String, Record)> = self
            .books
            .running()
            .map(|(slot, record)| (slot.to_owned(), record.clone()))
            .collect();
        for (slot, record) in running {
            let digest = record.loaded.digest;
            let issue = self.issue_of_bytes(&record.loaded.id, &digest);
            let adopted = issue.map(|issue| {
                let object = issue.package.object();
                self.host.adopt(&slot, &digest.to_string(), object)
            });
            if let Some(Err(error)) = adopted {
                tracing::warn!(slot, %error, "its parameters and counters cannot be read");
            }
            self.follow(&slot);
            tracing::info!(artifact_id = %record.loaded.id, slot, "taken over from an earlier process");
        }
        self.check_trust();
    }

    /// Plans again with nothing new but the time.
    pub(crate) fn look(&mut self) {
        self.round(false, &[]);
        self.publish();
    }

    /// The registry has answered that all is as before.
    pub(crate) fn listed_again(&mut self) {
        self.round(true, &[]);
        self.publish();
    }

    /// Takes a request for a rollback, and does it.
    pub(crate) fn undo(&mut self, signal: Signal) -> Answer {
        let answer = self.memory.signal(signal);
        if answer == Answer::Taken && self.save_memory().is_err() {
            tracing::warn!("a request for a rollback is not on the disk yet");
        }
        self.round(false, &[]);
        self.publish();
        answer
    }

    pub(super) fn save_memory(&mut self) -> Result<(), String> {
        let json = serde_json::to_string(&self.memory).map_err(|error| error.to_string());
        json.and_then(|json| self.save(MEMORY, &json))
    }

    pub(super) fn save_books(&mut self) -> bool {
        self.save(BOOKS, &self.books.to_json()).is_ok()
    }

    /// Writes a file of the state; that it cannot be written shows on every page until it can.
    pub(super) fn save(&mut self, name: &'static str, text: &str) -> Result<(), String> {
        let written = self.state.write(name, text.as_bytes());
        match &written {
            Ok(()) => drop(self.problems.remove(name)),
            Err(error) => {
                tracing::error!(error, "the state cannot be written");
                self.problems.insert(name, error.clone());
            }
        }
        written
    }

    pub(super) fn teller<'a>(&'a self, artifact: &'a str) -> Teller<'a> {
        Teller {
            outbox: &self.outbox,
            about: About {
                host: self.settings.host_id.as_str(),
                artifact,
                at: self.clocks.now().wall_seconds,
            },
        }
    }
}

/// Reads a file of the state. One that is there and cannot be understood stops the start: to go on without it would be to forget what
/// expired, and which issues are old.
fn read_json<T>(
    state: &Store,
    name: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some(bytes) = state.read(name, MOST_STATE)? else {
        return Ok(None);
    };
    parse(&bytes).map(Some).map_err(|error| {
        format!("{name} in the state folder cannot be understood ({error}): put it right or take it away")
    })
}
