//! Keeps the programs: what is assigned, what is in the kernel, what is remembered of both, on disk and over restarts.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bpf_artifact::{
    Candidate, Digest, FetchedKeys, HighWaterMarks, KeyRing, ListedArtifact, Listing, Package,
    Policy, Rules, Trust, Verified, verify,
};
use bpf_host::{Events, Host, Reading};
use bpf_lifecycle::{Answer, ArtifactId, Assigned, Barred as Bar, Held, Hold, Memory, Signal};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::books::{Books, Record};
use super::events::{About, Teller};
use super::figures::{Numbers, Told};
use super::kernel;
use super::outbox::Outbox;
use super::present::Clocks;
use super::store::Store;
use super::view::{Barred, Counts, Failed, Running, View};
use crate::cli::Programs;

/// The files of the state, and how long they can be.
const MEMORY: &str = "memory.json";
const MARKS: &str = "marks.json";
const BOOKS: &str = "books.json";
const KEYS: &str = "keys.json";
const MOST_STATE: u64 = 64 << 20;

/// The listing of the last answer, beside the archives.
const LISTING: &str = "listing.json";
const ARCHIVE: &str = ".tar.zst";

/// How many packages are kept beside those that are listed, to return to.
const MOST_SHELVED: usize = 16;

/// A listed artifact that was found trustworthy.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) entry: ListedArtifact,
    /// What the registry said, so that a change shows.
    pub(super) fingerprint: Digest,
    pub(super) assigned: Assigned,
    pub(super) package: Arc<Package>,
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
    state: Store,
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
    kept: Option<Digest>,
    pub(super) shelf: VecDeque<Arc<Package>>,
    pub(super) failed: BTreeMap<ArtifactId, Failed>,
    pub(super) held: Vec<Held>,
    pub(super) followed: BTreeMap<String, Followed>,
    /// Programs that were attached where they can cut off the agent, since somebody last looked.
    pub(super) risky: Vec<ArtifactId>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counts: Counts,
    /// What is wrong with the disk, by file.
    problems: BTreeMap<&'static str, String>,
    kinds: Vec<kernel::Kind>,
    recovered: Vec<String>,
    pub(super) statistics_asked: bool,
    /// When figures were last reported, and when the last heartbeat was, by the boot clock.
    pub(super) reported_at: i64,
    pub(super) beat_at: i64,
    view: watch::Sender<Arc<View>>,
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
        let ring = ring(&settings, &state);
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
            shelf: VecDeque::new(),
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
        keeper.restore();
        keeper.adopt();
        keeper.round(false, &[]);
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

    /// Takes the last listing and its archives from the cache, judged like any other.
    fn restore(&mut self) {
        let Some(cache) = &self.cache else { return };
        let listing = cache.read(LISTING, bpf_artifact::MAX_LISTING_BYTES as u64);
        let listing = listing.and_then(|bytes| {
            let bytes = bytes.unwrap_or_else(|| b"null".to_vec());
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        });
        let entries: Option<Vec<Value>> = match listing {
            Ok(entries) => entries,
            Err(error) => return tracing::warn!(error, "the cached listing cannot be used"),
        };
        let Some(entries) = entries else { return };
        let mut ids = Vec::new();
        for cached in &entries {
            let entry = json!([cached.get("entry")]).to_string();
            let listing = Listing::from_json(entry.as_bytes()).unwrap_or_default();
            let Some(artifact) = listing.artifacts.first() else {
                continue;
            };
            ids.extend(artifact.id.as_str().parse::<ArtifactId>().ok());
            let digest = cached.get("archive").and_then(Value::as_str);
            let archive = digest
                .and_then(|digest| digest.parse().ok())
                .and_then(|digest| self.cached(&digest));
            if let Some(archive) = archive {
                self.receive(artifact, &archive);
            }
        }
        self.listed = Some(ids);
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
            let package = self.package(&record.loaded.id, &digest);
            let adopted = package.as_ref().map(|package| {
                self.host
                    .adopt(&slot, &digest.to_string(), package.object())
            });
            if let Some(Err(error)) = adopted {
                tracing::warn!(slot, %error, "its parameters and counters cannot be read");
            }
            self.follow(&slot);
            tracing::info!(artifact_id = %record.loaded.id, slot, "taken over from an earlier process");
        }
        self.check_trust();
    }

    /// Unloads what was signed by a key that is no longer trusted, and forgets what was about to be loaded on its word.
    pub(super) fn check_trust(&mut self) {
        if self.settings.policy == Policy::InsecureAccept {
            return;
        }
        let (ring, policy) = (&self.ring, self.settings.policy);
        let is_trusted = |package: &Package| match package.trust() {
            Trust::Manifest(by) => ring.trusts(by),
            Trust::Archive(by) => policy == Policy::Archive && ring.trusts(by),
            _ => false,
        };
        self.known.retain(|_, known| is_trusted(&known.package));
        self.shelf.retain(|package| is_trusted(package));
        let distrusted: Vec<(ArtifactId, String)> = self
            .books
            .running()
            .filter_map(|(_, record)| {
                let why = distrust(record, policy, &self.ring)?;
                Some((record.loaded.id.clone(), why))
            })
            .collect();
        for (id, why) in distrusted {
            self.stop_distrusted(&id, &why);
        }
    }

    fn stop_distrusted(&mut self, id: &ArtifactId, why: &str) {
        tracing::error!(artifact_id = %id, why, "a program is not trusted any more");
        self.teller(id.as_str()).error(why, "untrusted", None);
        *self.counts.refusals.entry("untrusted").or_default() += 1;
        // What does not go now is met again when the keys are looked at the next time.
        if let Err(why) = self.stop(id, "untrusted") {
            tracing::error!(artifact_id = %id, error = why.failure.message, "not unloaded");
        }
    }

    /// Judges an archive, and unpacks it if it is trusted. Blocks.
    pub(super) fn judge(
        &mut self,
        candidate: Candidate,
    ) -> Result<Package, (String, &'static str, bool)> {
        let rules = Rules {
            policy: self.settings.policy,
            keys: &self.ring,
            host: &self.settings.host_id,
            marks: &self.marks,
            now: std::time::SystemTime::now(),
        };
        let verified: Verified = verify(candidate, &rules)
            .map_err(|refusal| (refusal.to_string(), refusal.code(), refusal.is_transient()))?;
        if self.marks.raise(&verified) {
            // Before anything is loaded: else a crash would let the older issue in again.
            self.save(MARKS, &self.marks.to_json())
                .map_err(|error| (error, "state", true))?;
        }
        verified
            .unpack(&bpf_artifact::Limits::default())
            .map_err(|error| (error.to_string(), error.code(), false))
    }

    /// The package with this digest, wherever it is.
    pub(super) fn package(
        &self,
        id: &ArtifactId,
        digest: &bpf_lifecycle::Digest,
    ) -> Option<Arc<Package>> {
        let is_it = |package: &&Arc<Package>| package.archive_digest().as_bytes() == &digest.0;
        let known = self.known.get(id).map(|known| &known.package);
        known
            .filter(is_it)
            .or_else(|| self.shelf.iter().find(is_it))
            .cloned()
    }

    /// Keeps a package to return to.
    pub(super) fn shelve(&mut self, package: &Arc<Package>) {
        self.shelf
            .retain(|one| one.archive_digest() != package.archive_digest());
        self.shelf.push_back(Arc::clone(package));
        let surplus = self.shelf.len().saturating_sub(MOST_SHELVED);
        self.shelf.drain(..surplus);
    }

    /// Takes in what Vault says now.
    pub(crate) fn replace_keys(&mut self, keys: FetchedKeys) {
        let before = self
            .ring
            .fetched()
            .first()
            .map(|keys| (keys.versions.clone(), keys.unversioned.clone()));
        let changed = before != Some((keys.versions.clone(), keys.unversioned.clone()));
        if let Err(error) = self.save(KEYS, &keys.to_json()) {
            tracing::warn!(error, "the keys are not kept");
        }
        self.ring.replace(keys);
        if changed {
            self.keys += 1;
        }
        self.check_trust();
        self.round(false, &[]);
        self.publish();
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

    pub(super) fn cached(&self, digest: &Digest) -> Option<Vec<u8>> {
        let cache = self.cache.as_ref()?;
        let most = bpf_artifact::Limits::default().max_archive_bytes();
        let archive = cache.read(&format!("{digest}{ARCHIVE}"), most).ok()??;
        // What others did to it does not matter: it is judged again. But what is whole need not be fetched.
        (Digest::of(&archive) == *digest).then_some(archive)
    }

    pub(super) fn keep_archive(&self, archive: &[u8]) {
        let Some(cache) = &self.cache else { return };
        let name = format!("{}{ARCHIVE}", Digest::of(archive));
        if let Err(error) = cache.write(&name, archive) {
            tracing::warn!(error, "an archive is not cached");
        }
    }

    /// Keeps the listing for the next start, and drops the archives that nobody needs.
    pub(super) fn keep_listing(&mut self) {
        let Some(cache) = &self.cache else { return };
        let Some(listed) = &self.listed else { return };
        let known = listed.iter().filter_map(|id| self.known.get(id));
        let mut entries = Vec::new();
        let mut needed = Vec::new();
        for known in known {
            let entry: Value = serde_json::from_str(&known.entry.to_json()).unwrap_or_default();
            let archive = known.package.archive_digest().to_string();
            entries.push(json!({ "entry": entry, "archive": archive }));
            needed.push(format!("{archive}{ARCHIVE}"));
        }
        let in_kernel = self.books.running();
        needed.extend(in_kernel.map(|(_, record)| format!("{}{ARCHIVE}", record.loaded.digest)));
        let text = Value::from(entries).to_string();
        let digest = Digest::of(text.as_bytes());
        if self.kept == Some(digest) {
            return;
        }
        let kept = cache
            .write(LISTING, text.as_bytes())
            .and_then(|()| cache.names());
        match kept {
            Ok(names) => names
                .iter()
                .filter(|name| name.ends_with(ARCHIVE) && !needed.contains(name))
                .for_each(|name| drop(cache.remove(name))),
            Err(error) => return tracing::warn!(error, "the listing is not cached"),
        }
        self.kept = Some(digest);
    }

    pub(super) fn save_memory(&mut self) -> Result<(), String> {
        let json = serde_json::to_string(&self.memory).map_err(|error| error.to_string());
        json.and_then(|json| self.save(MEMORY, &json))
    }

    pub(super) fn save_books(&mut self) -> bool {
        self.save(BOOKS, &self.books.to_json()).is_ok()
    }

    /// Writes a file of the state; that it cannot be written shows on every page until it can.
    fn save(&mut self, name: &'static str, text: &str) -> Result<(), String> {
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

    /// Shows how things are now.
    pub(crate) fn publish(&self) {
        self.view.send_replace(Arc::new(self.picture()));
    }

    fn picture(&self) -> View {
        let now = self.clocks.now();
        let status = self.host.status();
        let running = self.books.running().map(|(slot, record)| {
            let links = status.iter().find(|status| status.slot == slot);
            self.one(slot, record, links)
        });
        let barred = self
            .memory
            .quarantined(&now)
            .map(|(digest, quarantine)| Barred {
                digest: digest.to_string(),
                reason: bar(quarantine.reason),
                seconds_left: quarantine.until.saturating_sub(now.boottime_seconds),
                count: quarantine.count,
            });
        View {
            clocks: Some(self.clocks),
            problems: self.problems.values().cloned().collect(),
            assigned: self.listed.as_ref().map(Vec::len),
            running: running.collect(),
            failed: self.failed.values().cloned().collect(),
            held: self
                .held
                .iter()
                .map(|held| (held.id.to_string(), hold(held.why).to_owned()))
                .collect(),
            quarantined: barred.collect(),
            history: self.memory.history().iter().cloned().collect(),
            counts: self.counts.clone(),
            keys: self.ring.count(std::time::SystemTime::now()),
            kinds: self.kinds.clone(),
            persistence: self.host.places().pins.is_some(),
            recovered: self.recovered.clone(),
        }
    }

    fn one(&self, slot: &str, record: &Record, status: Option<&bpf_host::Status>) -> Running {
        let links = status.map(|status| status.links.iter().map(link).collect());
        let followed = self.followed.get(slot);
        Running {
            id: record.loaded.id.to_string(),
            name: record.loaded.name.clone(),
            version: record.loaded.version.clone(),
            digest: record.loaded.digest.to_string(),
            serial: record.loaded.serial,
            trust: record.trust.clone(),
            signed_by: record.signed_by.as_ref().map(ToString::to_string),
            loaded_wall: record.loaded_wall,
            ttl_seconds: record.loaded.ttl_seconds,
            deadline: record.deadline,
            persists: record.loaded.on_exit == bpf_lifecycle::OnExit::Persist,
            parameters: record.parameters.clone(),
            links: links.unwrap_or_default(),
            numbers: followed
                .map(|followed| followed.numbers.clone())
                .unwrap_or_default(),
            told: followed.and_then(|followed| followed.told),
        }
    }
}

fn link(link: &bpf_host::LinkStatus) -> Value {
    json!({
        "program": link.program,
        "kind": link.kind.name(),
        "target": link.target,
        "id": link.id,
        "attached": link.attached,
    })
}

/// Why something is left alone, in a word.
fn hold(why: Hold) -> &'static str {
    match why {
        Hold::Expired => "expired",
        Hold::RolledBack => "rolled_back",
        Hold::Quarantined { .. } => "quarantined",
        Hold::BackingOff { .. } => "backing_off",
        Hold::Full => "full",
        Hold::AllProtected => "all_protected",
        Hold::Superseded => "superseded",
        Hold::OlderSerial => "older_serial",
        Hold::ListingShrunk { .. } => "listing_shrunk",
        _ => "held",
    }
}

fn bar(why: Bar) -> String {
    match why {
        Bar::RolledBack(reason) => reason.as_str().to_owned(),
        Bar::LoadFailures => "load_failures".to_owned(),
        _ => "barred".to_owned(),
    }
}

/// The keys that are given, and those that were fetched before.
fn ring(settings: &Programs, state: &Store) -> KeyRing {
    let max_age = settings
        .vault
        .as_ref()
        .map_or(std::time::Duration::ZERO, |vault| vault.max_age);
    let mut ring = KeyRing::new(max_age);
    settings
        .public_keys
        .iter()
        .for_each(|key| ring.pin(key.clone()));
    let Some(vault) = &settings.vault else {
        return ring;
    };
    let source = format!("{}/{}", vault.mount, vault.key);
    let stored = state
        .read(KEYS, MOST_STATE)
        .map(|bytes| bytes.and_then(|bytes| FetchedKeys::from_json(&bytes).ok()));
    match stored {
        // Keys of another source were somebody else's choice.
        Ok(Some(keys)) if keys.source == source => ring.replace(keys),
        Ok(_) => {}
        Err(error) => tracing::warn!(error, "the kept keys cannot be used"),
    }
    ring
}

/// Why a running program should not run any more.
fn distrust(record: &Record, policy: Policy, ring: &KeyRing) -> Option<String> {
    match &record.signed_by {
        None => Some("nobody signed it".to_owned()),
        Some(_) if policy == Policy::Strict && record.trust != "manifest" => {
            Some("it has no signed manifest".to_owned())
        }
        Some(by) if !ring.trusts(by) => Some(format!("the key {by} is not trusted any more")),
        Some(_) => None,
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
