//! `metadata.json` of an archive.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::UnpackError;

/// `metadata.json`, as packers write it. Everything in it may be missing; what is there has to be of its type.
///
/// Fields that are not listed here are skipped. `null` is as good as missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The name of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name of what it was built from: the original's packer writes this one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The machine it was built for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The kernel it was built for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<String>,
    /// The id of the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// When it was built, as the packer wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Values for globals and maps, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// How it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_info: Option<BuildInfo>,
    /// Digests of files, as the packer wrote them.
    #[serde(
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub checksums: BTreeMap<String, String>,
}

/// How an object was built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildInfo {
    /// How long it took, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_time: Option<i64>,
    /// What the compiler said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_log: Option<String>,
    /// The compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler_version: Option<String>,
    /// What it was called with.
    #[serde(
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub build_flags: Vec<String>,
    /// The size of the object in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_size: Option<i64>,
}

impl Metadata {
    /// Reads the file.
    pub fn from_json(bytes: &[u8]) -> Result<Metadata, UnpackError> {
        // Without this, a list would do: its items in the order of the fields.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(UnpackError::Metadata("it is not a JSON object".to_owned()));
        }
        serde_json::from_slice(bytes).map_err(|error| UnpackError::Metadata(error.to_string()))
    }

    /// Writes the file.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// The name, or that of the template.
    pub fn any_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.template_name.as_deref())
    }
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
