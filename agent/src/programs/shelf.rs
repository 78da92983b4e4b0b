//! Issues that were found trustworthy: what is listed, what runs, and the version before it, to return to.

use std::sync::Arc;

use bpf_artifact::{ListedArtifact, Package};
use bpf_lifecycle::{ArtifactId, Assigned, Digest};

use super::keeper::Keeper;

/// One issue: as the registry listed it, what that means here, and what is in its archive.
#[derive(Debug)]
pub(super) struct Issue {
    pub(super) entry: ListedArtifact,
    pub(super) assigned: Assigned,
    pub(super) package: Package,
}

impl Issue {
    /// Whether it is what was assigned: the same bytes, told the same by the same issue of its signer.
    pub(super) fn is(&self, wanted: &Assigned) -> bool {
        let of = |one: &Assigned| {
            (
                one.id.clone(),
                one.digest,
                one.serial,
                one.parameters_digest,
            )
        };
        of(&self.assigned) == of(wanted)
    }
}

impl Keeper {
    /// The issue that was assigned, wherever it is.
    pub(super) fn issue(&self, wanted: &Assigned) -> Option<Arc<Issue>> {
        let listed = self.known.get(&wanted.id).map(|known| &known.issue);
        let mut all = listed.into_iter().chain(&self.shelf);
        all.find(|issue| issue.is(wanted)).cloned()
    }

    /// Any issue with these bytes.
    pub(super) fn issue_of_bytes(&self, id: &ArtifactId, digest: &Digest) -> Option<Arc<Issue>> {
        let listed = self.known.get(id).map(|known| &known.issue);
        let mut all = listed.into_iter().chain(&self.shelf);
        all.find(|issue| issue.assigned.digest == *digest).cloned()
    }

    /// Keeps an issue that runs now, for the time when it is what a newer one returns to.
    pub(super) fn shelve(&mut self, issue: &Arc<Issue>) {
        self.shelf.retain(|one| !one.is(&issue.assigned));
        self.shelf.push(Arc::clone(issue));
    }

    /// Lets go of what neither runs nor can be returned to.
    pub(super) fn clear_shelf(&mut self) {
        let versions = self.memory.versions(self.settings.lifecycle.return_to);
        let needed: Vec<&Assigned> = versions.collect();
        self.shelf
            .retain(|issue| needed.iter().any(|version| issue.is(version)));
    }

    /// Takes back from the cache what ran here before under this entry. It is judged again, and has to be the very issue that the state
    /// is about.
    pub(super) fn shelve_again(&mut self, entry: &ListedArtifact, archive: &[u8]) {
        let digest = bpf_artifact::Digest::of(archive);
        let return_to = self.settings.lifecycle.return_to;
        let is_it = |version: &&Assigned| {
            version.id.as_str() == entry.id.as_str() && version.digest.0 == *digest.as_bytes()
        };
        let version = self.memory.versions(return_to).find(is_it).cloned();
        let Some(version) = version else { return };
        if let Some(issue) = self.issue(&version) {
            return self.shelve(&issue);
        }
        match self.judge_again(entry, archive, &version) {
            Ok(issue) if issue.is(&version) => self.shelve(&Arc::new(issue)),
            // The entry is about another issue with the same bytes.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(artifact_id = %version.id, error, "a version that ran here cannot be returned to");
            }
        }
    }
}
