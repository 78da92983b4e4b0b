#![doc = include_str!("../README.md")]

mod der;
mod digest;
mod host;
#[cfg(feature = "http")]
pub mod http;
mod inspect;
mod key;
mod keyring;
mod limits;
mod listing;
mod manifest;
mod marks;
mod metadata;
mod pack;
mod package;
mod pem;
mod policy;
mod refusal;
mod seconds;
mod sign;
mod signature;
mod unpack;
pub mod vault_answer;
mod vault_keys;
mod verify;

pub use digest::{Digest, NotADigest};
pub use host::{BadHostId, HostId};
pub use inspect::{
    ArchiveInspection, InspectError, Map, NotAnObject, ObjectInspection, Program, Section,
    inspect_archive, inspect_object,
};
pub use key::{Algorithm, KeyError, PublicKey};
pub use keyring::{FetchedKeys, KeyRing, SignedBy};
pub use limits::Limits;
pub use listing::{
    ArtifactId, ListedArtifact, Listing, ListingProblem, MANIFEST_KEY, MANIFEST_SIGNATURE_KEY,
    MAX_LISTING_BYTES, Missing, NextPoll, NotAListing,
};
pub use manifest::{
    Attach, Direction, MAX_MANIFEST_BYTES, Manifest, ManifestError, OnAgentExit, ProgramLimits,
    Schema, Target, XdpMode,
};
pub use marks::{BadMarks, HighWaterMarks};
pub use metadata::{BuildInfo, Metadata};
pub use pack::pack;
pub use package::Package;
pub use policy::{Policy, UnknownPolicy};
pub use refusal::Refusal;
pub use sign::{NoRandomness, SigningKey};
pub use signature::{BadSignatureText, MANIFEST_DOMAIN, manifest_message};
pub use unpack::UnpackError;
pub use vault_keys::VaultKeys;
pub use verify::{Candidate, Hints, Rules, SignedManifest, Trust, Verified, verify};
