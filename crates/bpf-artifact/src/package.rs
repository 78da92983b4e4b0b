//! What is handed to the loader: a program and what its signer says about it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::manifest::is_name;
use crate::unpack::Contents;
use crate::{Digest, Hints, Manifest, Metadata, Trust, UnpackError, Verified};

/// A verified program, unpacked. Only [`Verified::unpack`] makes one:
///
/// ```compile_fail,E0451
/// fn forge(real: bpf_artifact::Package, object: Vec<u8>) -> bpf_artifact::Package {
///     bpf_artifact::Package { object, ..real }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    name: String,
    version: Option<String>,
    object: Vec<u8>,
    archive: Digest,
    trust: Trust,
    manifest: Option<Manifest>,
    metadata: Option<Metadata>,
    hints: Hints,
}

impl Package {
    pub(crate) fn new(verified: Verified, contents: Contents) -> Result<Package, UnpackError> {
        let Contents {
            object, metadata, ..
        } = contents;
        let (archive, trust, manifest, hints) = verified.into_parts();
        let (name, version) = match (&manifest, &metadata) {
            (Some(manifest), _) => (Some(manifest.name.clone()), Some(manifest.version.clone())),
            (None, Some(metadata)) => (
                metadata
                    .any_name()
                    .map(ToOwned::to_owned)
                    .or_else(|| hints.name.clone()),
                metadata.version.clone().or_else(|| hints.version.clone()),
            ),
            (None, None) => (hints.name.clone(), hints.version.clone()),
        };
        let name = name
            .filter(|name| is_name(name))
            .ok_or_else(|| UnpackError::Metadata("there is no usable name".to_owned()))?;
        Ok(Package {
            name,
            version,
            object,
            archive,
            trust,
            manifest,
            metadata,
            hints,
        })
    }

    /// The manifest's name; without one that of `metadata.json`, its `template_name`, or the registry's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, from the same place.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The ELF object.
    pub fn object(&self) -> &[u8] {
        &self.object
    }

    /// The SHA-256 of the archive: what tombstones, quarantine and caches go by.
    pub fn archive_digest(&self) -> Digest {
        self.archive
    }

    /// What the trust rests on.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What the signer says, where there is a manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// What the packer says, where there is a `metadata.json`.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// How long it may run after it was loaded: what the signer says, or else `default`; the registry's word,
    /// which nobody signed, only makes it shorter.
    pub fn ttl(&self, default: Duration) -> Duration {
        let signed = self
            .manifest
            .as_ref()
            .and_then(Manifest::ttl)
            .unwrap_or(default);
        self.hints.ttl.map_or(signed, |hint| hint.min(signed))
    }

    /// Values for globals and maps: those of the manifest, or else of `metadata.json`. The registry's count only
    /// where nobody's signature was asked for.
    pub fn parameters(&self) -> Option<&Map<String, Value>> {
        let signed = self
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.parameters.as_ref());
        let hinted = self
            .hints
            .parameters
            .as_ref()
            .filter(|_| self.trust == Trust::Unverified);
        let packed = || {
            self.metadata
                .as_ref()
                .and_then(|metadata| metadata.parameters.as_ref())
        };
        signed.or(hinted).or_else(packed)
    }
}
