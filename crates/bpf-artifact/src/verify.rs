//! The one place where trust is made.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::signature::{Signature, manifest_message};
use crate::unpack::unpack;
use crate::{
    Digest, HighWaterMarks, HostId, KeyRing, Limits, Manifest, Package, Policy, Refusal, SignedBy,
    UnpackError,
};

/// How far the signer's clock may be ahead of this host's.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// An archive as it came, with everything that came along. Nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidate {
    /// The bytes of `artifact.tar.zst`.
    pub archive: Vec<u8>,
    /// The registry's signature over the archive.
    pub signature: Option<String>,
    /// The manifest and the signature over it.
    pub manifest: Option<SignedManifest>,
    /// What the registry says beside that, which nobody signed.
    pub hints: Hints,
}

/// A manifest as it travels: exact bytes, and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    /// The manifest, byte for byte as it was signed.
    pub manifest: Vec<u8>,
    /// `vault:v<N>:<base64>`, `<algorithm>:<key id>:<base64>` or plain base64, over [`manifest_message`].
    pub signature: String,
}

/// What a registry says without a signature. It may shorten a life and give a name to what has none; under
/// [`Policy::InsecureAccept`] its parameters count too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hints {
    /// A name.
    pub name: Option<String>,
    /// A version.
    pub version: Option<String>,
    /// A time to live.
    pub ttl: Option<Duration>,
    /// Parameters.
    pub parameters: Option<Map<String, Value>>,
}

/// What an artifact is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Which signatures are asked for.
    pub policy: Policy,
    /// Who is trusted.
    pub keys: &'a KeyRing,
    /// This host.
    pub host: &'a HostId,
    /// What was seen before.
    pub marks: &'a HighWaterMarks,
    /// The time of day.
    pub now: SystemTime,
}

/// What the trust in an artifact rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// On a signed manifest.
    Manifest(SignedBy),
    /// On a signature over the archive alone: the bytes are right, host, age and parameters are not protected.
    Archive(SignedBy),
    /// On nothing: [`Policy::InsecureAccept`].
    Unverified,
}

/// An artifact that was found trustworthy, or taken under [`Policy::InsecureAccept`], which it then shows.
///
/// Only [`verify`] makes one:
///
/// ```compile_fail,E0451
/// fn forge(real: bpf_artifact::Verified, archive: Vec<u8>) -> bpf_artifact::Verified {
///     bpf_artifact::Verified { archive, ..real }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    archive: Vec<u8>,
    digest: Digest,
    trust: Trust,
    manifest: Option<Manifest>,
    hints: Hints,
}

/// Judges an artifact. Nothing is decompressed, and a manifest is not even parsed, before its signature holds.
///
/// It is also what judges an artifact again: from a cache, or when keys or time have changed.
pub fn verify(candidate: Candidate, rules: &Rules<'_>) -> Result<Verified, Refusal> {
    let digest = Digest::of(&candidate.archive);
    let insecure = rules.policy == Policy::InsecureAccept;
    let (trust, manifest) = match &candidate.manifest {
        Some(signed) if insecure => (Trust::Unverified, Some(rules.fitting(signed, digest)?)),
        Some(signed) => {
            let by = rules.signer(Some(&signed.signature), &manifest_message(&signed.manifest))?;
            (Trust::Manifest(by), Some(rules.fitting(signed, digest)?))
        }
        None if insecure => (Trust::Unverified, None),
        None if rules.policy == Policy::Archive => {
            let by = rules.signer(candidate.signature.as_deref(), &candidate.archive)?;
            (Trust::Archive(by), None)
        }
        None => return Err(Refusal::NoManifest),
    };
    Ok(Verified {
        archive: candidate.archive,
        digest,
        trust,
        manifest,
        hints: candidate.hints,
    })
}

impl Rules<'_> {
    fn signer(&self, signature: Option<&str>, message: &[u8]) -> Result<SignedBy, Refusal> {
        let text = signature
            .map(str::trim_ascii)
            .filter(|text| !text.is_empty());
        let signature = Signature::parse(text.ok_or(Refusal::NoSignature)?)?;
        self.keys.signer(&signature, message, self.now)
    }

    /// The manifest, if it is about this archive, for this host, at this time, and none newer was here.
    fn fitting(&self, signed: &SignedManifest, archive: Digest) -> Result<Manifest, Refusal> {
        let manifest = Manifest::from_json(&signed.manifest)?;
        let Rules { host, now, .. } = *self;
        if manifest.archive_sha256 != archive {
            let signed = manifest.archive_sha256;
            return Err(Refusal::OtherArchive {
                found: archive,
                signed,
            });
        }
        if !manifest.is_for(host) {
            return Err(Refusal::OtherHost {
                host: host.to_string(),
            });
        }
        let ahead = manifest.issued_at.duration_since(now).unwrap_or_default();
        if ahead > CLOCK_SKEW {
            let issued_at = manifest.issued_at;
            return Err(Refusal::NotYetValid { issued_at, now });
        }
        if now >= manifest.not_after {
            return Err(Refusal::Expired {
                not_after: manifest.not_after,
            });
        }
        match self.marks.of(&manifest.name) {
            Some(seen) if manifest.serial < seen => Err(Refusal::Replayed {
                name: manifest.name,
                serial: manifest.serial,
                seen,
            }),
            _ => Ok(manifest),
        }
    }
}

impl Verified {
    /// The archive, byte for byte as it was verified: what belongs into a cache.
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }

    /// The SHA-256 of the archive.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the trust rests on.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether nobody's signature was asked for.
    pub fn is_insecure(&self) -> bool {
        self.trust == Trust::Unverified
    }

    /// The manifest, where there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Unpacks the archive in memory. A hostile archive costs some ten milliseconds of CPU: do it off the threads
    /// that serve sockets.
    pub fn unpack(self, limits: &Limits) -> Result<Package, UnpackError> {
        let contents = unpack(&self.archive, limits)?;
        Package::new(self, contents)
    }

    pub(crate) fn into_parts(self) -> (Digest, Trust, Option<Manifest>, Hints) {
        (self.digest, self.trust, self.manifest, self.hints)
    }
}
