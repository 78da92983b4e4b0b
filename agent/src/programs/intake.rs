//! What the registry lists: judged, unpacked, and turned into what should run.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bpf_artifact::{Digest, ListedArtifact, Listing, OnAgentExit, Package};
use bpf_lifecycle::{ArtifactId, Assigned, LimitOverrides, OnExit};
use serde_json::json;

use super::keeper::{Keeper, Known, Refused};
use super::kernel;
use super::shelf::Issue;
use super::view::Failed;

/// How many artifacts are taken from a listing.
const MOST_LISTED: usize = 128;

/// How long a refusal stands that another time or other keys could change.
const REFUSAL_STANDS: i64 = 60;

impl Keeper {
    /// The entries of a listing whose archives have to be fetched. What is here already is judged at once.
    pub(crate) fn wanted(&mut self, listing: &Listing) -> Vec<ListedArtifact> {
        let mut wanted = Vec::new();
        for artifact in listing.artifacts.iter().take(MOST_LISTED) {
            if !self.is_news(artifact) {
                continue;
            }
            // Without a digest the registry may have other bytes under the old id.
            let digest = artifact.checksum.or_else(|| signed_digest(artifact));
            match digest.and_then(|digest| self.cached(&digest)) {
                Some(archive) => self.receive(artifact, &archive),
                None => wanted.push(artifact.clone()),
            }
        }
        wanted
    }

    /// Whether an entry says anything that was not judged before.
    fn is_news(&self, artifact: &ListedArtifact) -> bool {
        let Ok(id) = artifact.id.as_str().parse::<ArtifactId>() else {
            return false;
        };
        let fingerprint = fingerprint(artifact);
        if let Some(known) = self.known.get(&id)
            && known.fingerprint == fingerprint
        {
            return false;
        }
        let now = self.clocks.now().boottime_seconds;
        self.refused.get(&id).is_none_or(|refused| {
            let changed = refused.fingerprint != fingerprint;
            changed || refused.transient && (refused.keys != self.keys || now >= refused.again)
        })
    }

    /// Whether something is refused that could be taken later: it has to be listed again then, changed or not.
    pub(crate) fn waits(&self) -> bool {
        self.refused.values().any(|refused| refused.transient)
    }

    /// Judges an archive that came for an entry; what is trusted may run from the next round on.
    pub(crate) fn receive(&mut self, artifact: &ListedArtifact, archive: &[u8]) {
        let Ok(id) = artifact.id.as_str().parse::<ArtifactId>() else {
            return;
        };
        let fingerprint = fingerprint(artifact);
        let candidate = artifact.candidate(archive.to_vec());
        match self.judge(candidate) {
            Ok(package) => {
                let assigned = self.assigned_of(&id, &package);
                let trust = super::books::trust(&package);
                let trust = (trust.0, trust.1.map(ToString::to_string));
                tracing::info!(
                    artifact_id = %id,
                    name = assigned.name,
                    version = assigned.version,
                    serial = assigned.serial,
                    digest = %assigned.digest,
                    trust = trust.0,
                    signed_by = trust.1,
                    "artifact verified"
                );
                self.keep_archive(archive);
                self.refused.remove(&id);
                self.failed.remove(&id);
                let issue = Arc::new(Issue {
                    entry: artifact.clone(),
                    assigned,
                    package,
                });
                self.known.insert(id, Known { fingerprint, issue });
            }
            Err((error, code, transient)) => {
                self.refuse(artifact, &id, &error, code, transient);
            }
        }
    }

    /// An archive that could not be had: told, and tried again with the next answer.
    pub(crate) fn not_fetched(&mut self, artifact: &ListedArtifact, error: &str) {
        if let Ok(id) = artifact.id.as_str().parse::<ArtifactId>() {
            self.refuse(artifact, &id, error, "download", true);
        }
    }

    fn refuse(
        &mut self,
        artifact: &ListedArtifact,
        id: &ArtifactId,
        error: &str,
        code: &'static str,
        transient: bool,
    ) {
        let now = self.clocks.now();
        let refused = Refused {
            fingerprint: fingerprint(artifact),
            transient,
            keys: self.keys,
            again: now.boottime_seconds.saturating_add(REFUSAL_STANDS),
        };
        self.refused.insert(id.clone(), refused);
        let failed = Failed {
            id: id.to_string(),
            name: artifact.hints.name.clone().unwrap_or_default(),
            version: artifact.hints.version.clone().unwrap_or_default(),
            error: error.to_owned(),
            code,
            verifier: None,
            at: now.wall_seconds,
        };
        let known = self.failed.get(id);
        let told = known.is_some_and(|known| known.error == failed.error);
        self.failed.insert(id.clone(), failed);
        if told {
            return;
        }
        tracing::error!(artifact_id = %id, error, code, "artifact refused: it does not run");
        *self.counts.refusals.entry(code).or_default() += 1;
        self.teller(id.as_str()).error(error, code, None);
    }

    /// The registry has answered: what it lists counts, and what it lists no more goes.
    pub(crate) fn listed(&mut self, listing: &Listing) {
        if listing.artifacts.len() > MOST_LISTED {
            let listed = listing.artifacts.len();
            tracing::error!(listed, MOST_LISTED, "more is assigned than is looked at");
        }
        for problem in &listing.problems {
            tracing::warn!(%problem, "an entry of the listing cannot be read");
        }
        let artifacts = listing.artifacts.iter().take(MOST_LISTED);
        let readable = artifacts.map(|artifact| artifact.id.as_str());
        let unreadable = listing
            .problems
            .iter()
            .filter_map(|problem| problem.id.as_ref())
            .map(bpf_artifact::ArtifactId::as_str);
        let mut ids: Vec<ArtifactId> = readable
            .chain(unreadable)
            .filter_map(|id| id.parse().ok())
            .collect();
        // An entry without a readable id may be any of those that run: nothing counts as gone then.
        let unclear = listing.problems.iter().any(|problem| problem.id.is_none())
            || listing.artifacts.len() > MOST_LISTED;
        if unclear {
            ids.extend(
                self.books
                    .running()
                    .map(|(_, record)| record.loaded.id.clone()),
            );
        }
        ids.sort();
        ids.dedup();
        self.known.retain(|id, _| ids.contains(id));
        self.refused.retain(|id, _| ids.contains(id));
        self.failed.retain(|id, _| ids.contains(id));
        self.listed = Some(ids);
        self.round(true, &[]);
        self.keep_listing();
        self.publish();
    }

    pub(super) fn assigned_of(&self, id: &ArtifactId, package: &Package) -> Assigned {
        let manifest = package.manifest();
        let limits = manifest.map(|manifest| &manifest.limits);
        let not_after = manifest.and_then(|manifest| {
            let since = manifest.not_after.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs()).ok()
        });
        let persists =
            manifest.is_some_and(|manifest| manifest.on_agent_exit == OnAgentExit::Persist);
        Assigned {
            id: id.clone(),
            name: package.name().to_owned(),
            version: package.version().unwrap_or_default().to_owned(),
            serial: manifest.map(|manifest| manifest.serial),
            digest: bpf_lifecycle::Digest(*package.archive_digest().as_bytes()),
            ttl_seconds: ttl(package, self.settings.default_ttl),
            not_after,
            parameters_digest: parameters_digest(package),
            priority: manifest.map_or(0, |manifest| manifest.priority),
            protected: manifest.is_some_and(|manifest| manifest.protected),
            limits: LimitOverrides {
                max_errors: limits.and_then(|limits| limits.max_errors),
                max_violations: limits.and_then(|limits| limits.max_violations),
                max_cpu_percent: limits.and_then(|limits| limits.max_cpu_percent),
                max_latency_ms: limits
                    .and_then(|limits| limits.max_latency_us)
                    .map(|us| us / 1000.0),
                max_memory_kb: limits.and_then(|limits| limits.max_memory_kb),
                verifier_failure: None,
            },
            on_exit: if persists {
                OnExit::Persist
            } else {
                OnExit::Detach
            },
        }
    }
}

fn ttl(package: &Package, default: Duration) -> u64 {
    package.ttl(default).as_secs()
}

/// What a program is told, and where it is attached: a change of either is a change of the program.
fn parameters_digest(package: &Package) -> bpf_lifecycle::Digest {
    let text = json!([kernel::parameters(package), super::books::attach(package)]).to_string();
    bpf_lifecycle::Digest(*Digest::of(text.as_bytes()).as_bytes())
}

fn fingerprint(artifact: &ListedArtifact) -> Digest {
    Digest::of(artifact.to_json().as_bytes())
}

/// The digest that the manifest names, unjudged: only good for a look into the cache.
fn signed_digest(artifact: &ListedArtifact) -> Option<Digest> {
    let manifest = artifact.manifest.as_ref()?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.manifest).ok()?;
    manifest.get("archive_sha256")?.as_str()?.parse().ok()
}
