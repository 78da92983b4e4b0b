//! The manifest: what a signer says about an archive.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, HostId, seconds};

mod attach;

pub use attach::{Attach, Direction, Target, XdpMode};

/// The longest manifest that is read.
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024;

/// How many hosts, attach targets or parameters one manifest may name.
const MAX_ITEMS: usize = 4096;

/// The longest time to live: ten years, so that nobody's clock overflows.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a signer says about one issue of a program. All of it is signed, and nothing else is believed.
///
/// As JSON its times are RFC 3339 in UTC (`2026-01-05T08:00:00Z`). Unknown fields are refused: a restriction
/// that an old agent does not know must not be skipped by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this manifest.
    pub schema: Schema,
    /// The archive this is about, all of its bytes.
    pub archive_sha256: Digest,
    /// The name that serials are counted by.
    pub name: String,
    /// The version, for people.
    pub version: String,
    /// Counts the issues of this name upwards. An agent that has seen a higher one refuses this.
    pub serial: u64,
    /// When it was signed. It counts from then on.
    #[serde(with = "seconds")]
    pub issued_at: SystemTime,
    /// When it ends: no loading after it, and what runs is unloaded.
    #[serde(with = "seconds")]
    pub not_after: SystemTime,
    /// The ids of the hosts it is for, at least one; `*` alone stands for every host.
    pub hosts: Vec<String>,
    /// How long the program runs after it was loaded, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_sec: Option<u64>,
    /// Values for globals and maps, by name. If given, they replace those of the archive's `metadata.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// Where its programs are to be attached, where that is not in their section names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<Attach>,
    /// What it may cost before it is rolled back. What is not given here, the agent's own limits decide.
    #[serde(default)]
    pub limits: ProgramLimits,
    /// What becomes of it when the agent ends.
    #[serde(default)]
    pub on_agent_exit: OnAgentExit,
    /// Who goes first when there are too many programs: the lowest.
    #[serde(default)]
    pub priority: i32,
    /// Whether it is never unloaded to make room.
    #[serde(default)]
    pub protected: bool,
}

/// The form of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Schema {
    /// The one there is.
    #[default]
    #[serde(rename = "aegis.artifact.v1")]
    V1,
}

/// What becomes of a program when the agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentExit {
    /// It is unloaded.
    #[default]
    Detach,
    /// It stays attached until its time is over.
    Persist,
}

/// What a program may cost before it is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramLimits {
    /// Errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<u64>,
    /// Violations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_violations: Option<u64>,
    /// CPU, in percent of one core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_percent: Option<f64>,
    /// Mean time of one run, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_us: Option<f64>,
    /// Memory of programs and maps, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_kb: Option<u64>,
}

/// Why some bytes are no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is longer than [`MAX_MANIFEST_BYTES`].
    #[error("the manifest is longer than {MAX_MANIFEST_BYTES} bytes")]
    TooLong,
    /// It is not JSON of this form.
    #[error("the manifest is not of the form aegis.artifact.v1: {0}")]
    Form(String),
    /// A field has a value that makes no sense.
    #[error("the manifest's {field} {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Manifest {
    /// A manifest with what has to be there; everything else is as if left out.
    ///
    /// Parts of a second are cut off, in whose favour nobody decides.
    pub fn new(
        archive: &[u8],
        name: &str,
        version: &str,
        serial: u64,
        valid: std::ops::Range<SystemTime>,
    ) -> Manifest {
        Manifest {
            schema: Schema::V1,
            archive_sha256: Digest::of(archive),
            name: name.to_owned(),
            version: version.to_owned(),
            serial,
            issued_at: seconds::whole(valid.start),
            not_after: seconds::whole(valid.end),
            hosts: Vec::new(),
            ttl_sec: None,
            parameters: None,
            attach: Vec::new(),
            limits: ProgramLimits::default(),
            on_agent_exit: OnAgentExit::default(),
            priority: 0,
            protected: false,
        }
    }

    /// Reads a manifest, all of it or nothing.
    pub fn from_json(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        // Without this, a list would do: its items in the order of the fields.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(ManifestError::Form("it is not a JSON object".to_owned()));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Form(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes the manifest. These bytes are what is signed.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let bytes =
            serde_json::to_vec(self).map_err(|error| ManifestError::Form(error.to_string()))?;
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        Ok(bytes)
    }

    /// Whether it is for this host.
    pub fn is_for(&self, host: &HostId) -> bool {
        self.hosts
            .iter()
            .any(|named| named == "*" || named == host.as_str())
    }

    /// How long the program runs after it was loaded, if the signer said so.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_sec.map(Duration::from_secs)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let field = |field, problem| Err(ManifestError::Field { field, problem });
        if !is_name(&self.name) {
            return field(
                "name",
                "is not 1 to 128 printable characters without blanks around them",
            );
        }
        if !is_name(&self.version) {
            return field(
                "version",
                "is not 1 to 128 printable characters without blanks around them",
            );
        }
        if self.not_after <= self.issued_at {
            return field("not_after", "is not after issued_at");
        }
        if self.hosts.is_empty() {
            return field("hosts", "are missing: name them, or `*` for every host");
        }
        if self
            .hosts
            .iter()
            .any(|host| host != "*" && HostId::parse(host).is_err())
        {
            return field("hosts", "hold one that is no host id");
        }
        if self.hosts.len() > 1 && self.hosts.iter().any(|host| host == "*") {
            return field(
                "hosts",
                "hold `*` among others: it stands alone or not at all",
            );
        }
        if self.hosts.len() > MAX_ITEMS {
            return field("hosts", "are too many");
        }
        if self.attach.len() > MAX_ITEMS {
            return field("attach", "has too many targets");
        }
        if self.ttl().is_some_and(|ttl| ttl.is_zero() || ttl > MAX_TTL) {
            return field("ttl_sec", "is not between a second and ten years");
        }
        self.limits.check()
    }
}

impl ProgramLimits {
    fn check(&self) -> Result<(), ManifestError> {
        let sane = |limit: Option<f64>| limit.is_none_or(|limit| limit.is_finite() && limit >= 0.0);
        let field = |field| {
            Err(ManifestError::Field {
                field,
                problem: "is not a number from 0 up",
            })
        };
        if !sane(self.max_cpu_percent) {
            return field("limits.max_cpu_percent");
        }
        if !sane(self.max_latency_us) {
            return field("limits.max_latency_us");
        }
        Ok(())
    }
}

/// Whether this can stand in logs, events and files as the name of something.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
}
