//! Who is trusted: archives are judged by it before they are unpacked, and what runs is judged again when keys change.

use bpf_artifact::{
    Candidate, FetchedKeys, KeyRing, Package, Policy, Rules, Trust, Verified, verify,
};
use bpf_lifecycle::ArtifactId;

use super::books::Record;
use super::keeper::{KEYS, Keeper, MARKS, MOST_STATE};
use super::store::Store;
use crate::cli::Programs;

impl Keeper {
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
