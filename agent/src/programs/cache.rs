//! Archives and the last listing on disk, for a start without the registry; all of it is judged again.

use std::sync::Arc;

use bpf_artifact::{Digest, Listing};
use bpf_lifecycle::ArtifactId;
use serde_json::{Value, json};

use super::keeper::Keeper;
use super::shelf::Issue;

/// The listing of the last answer, beside the archives.
const LISTING: &str = "listing.json";
const ARCHIVE: &str = ".tar.zst";

/// What is kept beside what is listed is no more than that.
const MOST_LISTING: u64 = 2 * bpf_artifact::MAX_LISTING_BYTES as u64;

impl Keeper {
    /// Takes the last listing and its archives from the cache, judged like any other.
    pub(super) fn restore(&mut self) {
        let Some(cache) = &self.cache else { return };
        let listing = cache.read(LISTING, MOST_LISTING);
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
            let listed = cached.get("listed") != Some(&false.into());
            if listed {
                ids.extend(artifact.id.as_str().parse::<ArtifactId>().ok());
            }
            let digest = cached.get("archive").and_then(Value::as_str);
            let archive = digest
                .and_then(|digest| digest.parse().ok())
                .and_then(|digest| self.cached(&digest));
            let Some(archive) = archive else { continue };
            if listed {
                self.receive(artifact, &archive);
            }
            self.shelve_again(artifact, &archive);
        }
        self.listed = Some(ids);
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
        self.clear_shelf();
        let Some(cache) = &self.cache else { return };
        let Some(listed) = &self.listed else { return };
        let known = listed.iter().filter_map(|id| self.known.get(id));
        let known: Vec<&Arc<Issue>> = known.map(|known| &known.issue).collect();
        let is_listed = |issue: &Issue| known.iter().any(|known| known.is(&issue.assigned));
        let kept = self.shelf.iter().filter(|issue| !is_listed(issue));
        let listed = known.iter().map(|issue| cached(issue, true));
        let entries: Vec<Value> = listed
            .chain(kept.map(|issue| cached(issue, false)))
            .collect();
        let archives = entries
            .iter()
            .filter_map(|entry| entry.get("archive")?.as_str());
        let mut needed: Vec<String> = archives
            .map(|archive| format!("{archive}{ARCHIVE}"))
            .collect();
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
}

/// An issue as it stands in the cache: what is listed, and what ran here and may be returned to.
fn cached(issue: &Issue, listed: bool) -> Value {
    let entry: Value = serde_json::from_str(&issue.entry.to_json()).unwrap_or_default();
    let archive = issue.package.archive_digest().to_string();
    json!({ "entry": entry, "archive": archive, "listed": listed })
}
