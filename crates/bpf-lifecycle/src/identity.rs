//! What things are called: artifacts, digests, boots.

use std::fmt;
use std::str::FromStr;

/// A text that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Not 1 to 128 of `A-Z a-z 0-9 . _ -`, or `.` or `..`.
    ArtifactId,
    /// Not 64 hexadecimal digits.
    Digest,
    /// Not 32 hexadecimal digits, with or without dashes.
    BootId,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArtifactId => "an artifact id is 1 to 128 of A-Z a-z 0-9 . _ - and not . or ..",
            Self::Digest => "a digest is 64 hexadecimal digits",
            Self::BootId => "a boot id is 32 hexadecimal digits, with or without dashes",
        })
    }
}

impl std::error::Error for Malformed {}

/// The registry's name for an artifact.
///
/// It goes into paths and subjects, so it has no other form than the checked one.
///
/// ```
/// use bpf_lifecycle::ArtifactId;
///
/// assert!("artifact_1767600000000000000".parse::<ArtifactId>().is_ok());
/// assert!("../../etc".parse::<ArtifactId>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactId(String);

impl ArtifactId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let well_formed = (1..=128).contains(&text.len())
            && text.bytes().all(allowed)
            && text != "."
            && text != "..";
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed::ArtifactId)
        }
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of an artifact, or of its parameters.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        hex(text.as_bytes()).map(Self).ok_or(Malformed::Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// The kernel's id of one boot: times of its boot clock mean nothing in another.
///
/// ```
/// use bpf_lifecycle::BootId;
///
/// let boot: BootId = "0f6b8a4e-6d2f-4c39-9c1e-b1f3a7a9d210".parse()?;
/// assert_eq!(boot.to_string(), "0f6b8a4e6d2f4c399c1eb1f3a7a9d210");
/// # Ok::<(), bpf_lifecycle::Malformed>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId([u8; 16]);

impl FromStr for BootId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').take(33).collect();
        hex(&digits).map(Self).ok_or(Malformed::BootId)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    if digits.len() != 2 * BYTES {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// All three are text when written down.
#[cfg(feature = "serde")]
mod saved {
    use super::{ArtifactId, BootId, Digest};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    macro_rules! as_text {
        ($($name:ty),*) => {$(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                }
            }
        )*};
    }

    as_text!(ArtifactId, BootId, Digest);
}
