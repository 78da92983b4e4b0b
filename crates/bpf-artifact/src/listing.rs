//! What a registry says is assigned to a host, in any of the shapes that registries use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::{Candidate, Digest, Hints, SignedManifest, seconds};

mod entry;

use entry::{id_of, read};

/// The longest listing that is read.
pub const MAX_LISTING_BYTES: usize = 8 << 20;

/// How many entries are read.
const MAX_ENTRIES: usize = 10_000;

/// Where a manifest travels in a registry that knows none: two entries of `metadata`, which is text to text.
pub const MANIFEST_KEY: &str = "aegis_manifest";

/// See [`MANIFEST_KEY`].
pub const MANIFEST_SIGNATURE_KEY: &str = "aegis_signature";

/// The id of an artifact: 1 to 128 of `A-Z a-z 0-9 . _ -`, neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactId(String);

impl ArtifactId {
    /// Checks a text.
    pub fn parse(text: &str) -> Option<ArtifactId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = (1..=128).contains(&text.len())
            && text.bytes().all(plain)
            && text != "."
            && text != "..";
        good.then(|| ArtifactId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a registry says about one artifact. Nobody signed any of it, but for what is in `manifest`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListedArtifact {
    /// What it is asked for by.
    pub id: ArtifactId,
    /// `name`, `version`, TTL and parameters, wherever they stood.
    pub hints: Hints,
    /// What the archive's SHA-256 should be.
    pub checksum: Option<Digest>,
    /// What the archive's size should be.
    pub size: Option<u64>,
    /// The registry's signature over the archive.
    pub signature: Option<String>,
    /// The signed manifest from `metadata`.
    pub manifest: Option<SignedManifest>,
}

impl ListedArtifact {
    /// The artifact with its downloaded archive, ready to be judged.
    pub fn candidate(&self, archive: Vec<u8>) -> Candidate {
        Candidate {
            archive,
            signature: self.signature.clone(),
            manifest: self.manifest.clone(),
            hints: self.hints.clone(),
        }
    }

    /// As an entry of a listing, for a cache beside the archive: [`Listing::from_json`] reads a list of them back.
    pub fn to_json(&self) -> String {
        let mut metadata = BTreeMap::new();
        if let Some(manifest) = &self.manifest {
            metadata = manifest.to_metadata();
        }
        let entry = json!({
            "id": self.id.as_str(),
            "name": self.hints.name,
            "version": self.hints.version,
            "ttl_sec": self.hints.ttl.map(|ttl| ttl.as_secs()),
            "parameters": self.hints.parameters,
            "checksum": self.checksum,
            "size": self.size,
            "signature": self.signature,
            "metadata": metadata,
        });
        entry.to_string()
    }
}

/// What is assigned to a host.
///
/// Three things must not be mixed up: a listing that could not be had is an error and never a value of this type;
/// a listing with nothing in it is one with [`Listing::is_empty`]; and one from which much has vanished at once
/// shows that in [`Listing::missing`], for the caller to decide whether to believe it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Listing {
    /// What could be read.
    pub artifacts: Vec<ListedArtifact>,
    /// What could not be read, entry by entry.
    pub problems: Vec<ListingProblem>,
    /// When the registry wants to be asked again.
    pub next_poll: Option<NextPoll>,
}

/// When a registry wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextPoll {
    /// After so long.
    After(Duration),
    /// At this time.
    At(SystemTime),
}

/// An entry of a listing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {index}{}: {problem}", id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default())]
#[non_exhaustive]
pub struct ListingProblem {
    /// The place in the list, from 0.
    pub index: usize,
    /// Its id, where at least that could be read.
    pub id: Option<ArtifactId>,
    /// What is wrong.
    pub problem: String,
}

/// The bytes are no listing at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a listing: {0}")]
pub struct NotAListing(String);

/// How much of what was known is gone from a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// What was known and is not listed.
    pub gone: BTreeSet<ArtifactId>,
    /// How many were known.
    pub known: usize,
}

impl Missing {
    /// How much of what was known is gone, in percent, rounded up: all of it is 100, nothing 0.
    pub fn percent(&self) -> u8 {
        let percent = self
            .gone
            .len()
            .saturating_mul(100)
            .div_ceil(self.known.max(1));
        u8::try_from(percent).unwrap_or(100)
    }
}

impl Listing {
    /// Reads a listing: an object with `artifacts`, a bare array, or `null`.
    pub fn from_json(bytes: &[u8]) -> Result<Listing, NotAListing> {
        let (entries, next_poll) = entries_of(bytes)?;
        let mut listing = Listing {
            next_poll,
            ..Listing::default()
        };
        let mut seen = BTreeSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let id = id_of(entry);
            let twice = id.as_ref().is_ok_and(|id| !seen.insert(id.clone()));
            let problem = match id.clone().and_then(|id| read(id, entry)) {
                Ok(_) if twice => "is listed twice".to_owned(),
                Ok(artifact) => {
                    listing.artifacts.push(artifact);
                    continue;
                }
                Err(problem) => problem,
            };
            let id = id.ok();
            listing.problems.push(ListingProblem { index, id, problem });
        }
        Ok(listing)
    }

    /// Whether nothing at all is assigned. A listing whose entries could not be read is not empty.
    pub fn is_empty(&self) -> bool {
        self.artifacts.is_empty() && self.problems.is_empty()
    }

    /// What of the known artifacts is no longer listed.
    ///
    /// An entry that could not be read counts as listed. If not even its id could be read, it may be any of them,
    /// and nothing counts as gone.
    pub fn missing<'a>(&self, known: impl IntoIterator<Item = &'a ArtifactId>) -> Missing {
        let known: BTreeSet<&ArtifactId> = known.into_iter().collect();
        let unclear = self.problems.iter().any(|problem| problem.id.is_none());
        let listed: BTreeSet<&ArtifactId> = self
            .artifacts
            .iter()
            .map(|artifact| &artifact.id)
            .chain(
                self.problems
                    .iter()
                    .filter_map(|problem| problem.id.as_ref()),
            )
            .collect();
        let gone = known.iter().filter(|id| !unclear && !listed.contains(*id));
        Missing {
            gone: gone.map(|id| (*id).clone()).collect(),
            known: known.len(),
        }
    }
}

/// The entries, and when to ask again, of whatever shape it is.
fn entries_of(bytes: &[u8]) -> Result<(Vec<Value>, Option<NextPoll>), NotAListing> {
    let not = |why: &str| NotAListing(why.to_owned());
    if bytes.len() > MAX_LISTING_BYTES {
        return Err(not("it is too long"));
    }
    let value = serde_json::from_slice(bytes).map_err(|error| NotAListing(error.to_string()))?;
    let (entries, rest) = match value {
        Value::Null => (Vec::new(), Map::new()),
        Value::Array(entries) => (entries, Map::new()),
        Value::Object(mut rest) => match rest.remove("artifacts") {
            Some(Value::Array(entries)) => (entries, rest),
            Some(Value::Null) => (Vec::new(), rest),
            Some(_) => return Err(not("`artifacts` is not a list")),
            None => return Err(not("an object without `artifacts`")),
        },
        _ => return Err(not("neither an object nor a list")),
    };
    if entries.len() > MAX_ENTRIES {
        return Err(not("it has more than 10,000 entries"));
    }
    let total = rest.get("total").and_then(Value::as_u64);
    if total.is_some_and(|total| u64::try_from(entries.len()).is_ok_and(|have| have < total)) {
        return Err(not("it has fewer entries than its `total` says"));
    }
    Ok((entries, rest.get("next_poll").and_then(next_poll)))
}

fn next_poll(value: &Value) -> Option<NextPoll> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .map(Duration::from_secs)
            .map(NextPoll::After),
        Value::String(text) => seconds::parse(text).map(NextPoll::At),
        _ => None,
    }
}
