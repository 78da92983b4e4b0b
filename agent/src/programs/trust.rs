//! Who is trusted: archives are judged by it before they are unpacked, and what runs is judged again when keys change.

use std::time::SystemTime;

use bpf_artifact::{
    Candidate, FetchedKeys, HighWaterMarks, KeyRing, ListedArtifact, Package, Policy, Rules, Trust,
    VaultKeys, Verified, verify,
};
use bpf_lifecycle::{ArtifactId, Assigned};

use super::books::Record;
use super::keeper::{KEYS, Keeper, MARKS, MOST_STATE};
use super::shelf::Issue;
use super::store::Store;
use super::view::KeySource;
use crate::cli::Programs;

impl Keeper {
    /// Judges an archive, and unpacks it if it is trusted. Blocks.
    pub(super) fn judge(
        &mut self,
        candidate: Candidate,
    ) -> Result<Package, (String, &'static str, bool)> {
        let verified: Verified = verify(candidate, &self.rules(&self.marks))
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

    /// Judges what ran here before, as the state knows, for a return to it: by all rules but that a newer issue of its name was here.
    pub(super) fn judge_again(
        &self,
        entry: &ListedArtifact,
        archive: &[u8],
        version: &Assigned,
    ) -> Result<Issue, String> {
        let marks = match version.serial {
            Some(serial) => self.marks.back_to(&version.name, serial),
            None => self.marks.clone(),
        };
        let verified = verify(entry.candidate(archive.to_vec()), &self.rules(&marks))
            .map_err(|refusal| refusal.to_string())?;
        let package = verified
            .unpack(&bpf_artifact::Limits::default())
            .map_err(|error| error.to_string())?;
        Ok(Issue {
            entry: entry.clone(),
            assigned: self.assigned_of(&version.id, &package),
            package,
        })
    }

    fn rules<'a>(&'a self, marks: &'a HighWaterMarks) -> Rules<'a> {
        Rules {
            policy: self.settings.policy,
            keys: &self.ring,
            host: &self.settings.host_id,
            marks,
            now: SystemTime::now(),
        }
    }

    /// Takes in what Vault says now.
    pub(crate) fn replace_keys(&mut self, fetched: Vec<FetchedKeys>) {
        let mut changed = false;
        for keys in fetched {
            let same = |known: &FetchedKeys| {
                known.source == keys.source
                    && (&known.versions, &known.unversioned) == (&keys.versions, &keys.unversioned)
            };
            changed |= !self.ring.fetched().iter().any(same);
            self.ring.replace(keys);
        }
        let kept: Vec<String> = self
            .ring
            .fetched()
            .iter()
            .map(FetchedKeys::to_json)
            .collect();
        if let Err(error) = self.save(KEYS, &format!("[{}]", kept.join(","))) {
            tracing::warn!(error, "the keys are not kept");
        }
        if changed {
            self.keys += 1;
        }
        self.check_trust();
        self.round(false, &[]);
        self.publish();
    }

    /// The places where keys are fetched, each with what was fetched there.
    pub(super) fn key_sources(&self) -> Vec<KeySource> {
        let places = self.settings.vault.iter().flat_map(|vault| &vault.keys);
        let of = |place: &VaultKeys| {
            let name = place.to_string();
            let known = self.ring.fetched().iter().find(|keys| keys.source == name);
            KeySource {
                name,
                keys: known.map(|keys| keys.versions.len() + keys.unversioned.len()),
                fetched_at: known.map(|keys| keys.fetched_at),
            }
        };
        places.map(of).collect()
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
        self.known
            .retain(|_, known| is_trusted(&known.issue.package));
        self.shelf.retain(|issue| is_trusted(&issue.package));
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

/// The keys that are given, and those that were fetched before.
pub(super) fn ring(settings: &Programs, state: &Store) -> KeyRing {
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
    let sources: Vec<String> = vault.keys.iter().map(ToString::to_string).collect();
    match state.read(KEYS, MOST_STATE) {
        Ok(Some(bytes)) => {
            let kept = stored(&bytes).into_iter();
            // Keys of another source were somebody else's choice.
            kept.filter(|keys| sources.contains(&keys.source))
                .for_each(|keys| ring.replace(keys));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(error, "the kept keys cannot be used"),
    }
    ring
}

/// The keys in a file of the state; what cannot be understood is fetched again.
fn stored(bytes: &[u8]) -> Vec<FetchedKeys> {
    let kept: Vec<serde_json::Value> = serde_json::from_slice(bytes).unwrap_or_default();
    let keys = |kept: &serde_json::Value| FetchedKeys::from_json(kept.to_string().as_bytes()).ok();
    kept.iter().filter_map(keys).collect()
}
