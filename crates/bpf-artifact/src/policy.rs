//! Which signatures are asked for.

use std::fmt;
use std::str::FromStr;

/// Which signatures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// A signed manifest, and nothing else: `strict`.
    #[default]
    Strict,
    /// The registry's own signature over the archive: `archive`. It protects the bytes, but neither host nor age
    /// nor parameters. An artifact that has a manifest is judged by its manifest, as under `Strict`.
    Archive,
    /// Nothing is asked for: `insecure-accept`. Whatever the registry sends is taken. A manifest that comes along
    /// still has to fit the archive, this host and the time.
    InsecureAccept,
}

/// The text is the name of no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature policy: strict, archive or insecure-accept")]
pub struct UnknownPolicy;

impl Policy {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Strict => "strict",
            Policy::Archive => "archive",
            Policy::InsecureAccept => "insecure-accept",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Policy, UnknownPolicy> {
        [Policy::Strict, Policy::Archive, Policy::InsecureAccept]
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or(UnknownPolicy)
    }
}
