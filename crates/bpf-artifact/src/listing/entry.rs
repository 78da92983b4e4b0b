//! One entry of a listing: the same facts, wherever the registry puts them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{ArtifactId, ListedArtifact, MANIFEST_KEY, MANIFEST_SIGNATURE_KEY};
use crate::{Hints, SignedManifest};

pub(super) fn id_of(entry: &Value) -> Result<ArtifactId, String> {
    let ids = [text(entry, "artifact_id")?, text(entry, "id")?];
    let id = match ids {
        [Some(a), Some(b)] if a != b => return Err("`artifact_id` and `id` differ".to_owned()),
        [Some(id), _] | [None, Some(id)] => id,
        [None, None] => return Err("has neither `artifact_id` nor `id`".to_owned()),
    };
    ArtifactId::parse(id).ok_or_else(|| "its id is not 1 to 128 of A-Z a-z 0-9 . _ -".to_owned())
}

pub(super) fn read(id: ArtifactId, entry: &Value) -> Result<ListedArtifact, String> {
    let metadata = entry
        .get("metadata")
        .filter(|metadata| !metadata.is_null())
        .unwrap_or(&Value::Null);
    if !(metadata.is_null() || metadata.is_object()) {
        return Err("`metadata` is not an object".to_owned());
    }
    let checksum = text(entry, "checksum")?
        .map(|text| {
            text.parse()
                .map_err(|error| format!("`checksum` is {error}"))
        })
        .transpose()?;
    Ok(ListedArtifact {
        id,
        hints: Hints {
            name: text(entry, "name")?.map(ToOwned::to_owned),
            version: text(entry, "version")?.map(ToOwned::to_owned),
            ttl: ttl(entry, metadata)?,
            parameters: parameters(entry, metadata)?,
        },
        checksum,
        size: number(entry, "size")?,
        signature: text(entry, "signature")?.map(ToOwned::to_owned),
        manifest: manifest(metadata)?,
    })
}

/// A text. Missing, `null` and empty are the same: servers written in Go send all three for "none".
fn text<'a>(entry: &'a Value, field: &str) -> Result<Option<&'a str>, String> {
    match entry.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{field}` is not a text")),
    }
}

/// A whole number. Missing, `null` and 0 are the same, for the same reason.
fn number(entry: &Value, field: &str) -> Result<Option<u64>, String> {
    match entry.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value
                .as_u64()
                .ok_or_else(|| format!("`{field}` is not a whole number"))?;
            Ok(Some(number).filter(|number| *number > 0))
        }
    }
}

fn ttl(entry: &Value, metadata: &Value) -> Result<Option<Duration>, String> {
    let packed = text(metadata, "ttl_sec")?
        .map(|digits| {
            digits
                .parse()
                .map_err(|_| "`metadata.ttl_sec` is not a whole number")
        })
        .transpose()?
        .filter(|seconds| *seconds > 0);
    // Both can only shorten a life, so the shorter one counts.
    let seconds = number(entry, "ttl_sec")?.into_iter().chain(packed).min();
    Ok(seconds.map(Duration::from_secs))
}

fn parameters(entry: &Value, metadata: &Value) -> Result<Option<Map<String, Value>>, String> {
    let packed = text(metadata, "parameters")?;
    match (entry.get("parameters"), packed) {
        (Some(Value::Object(parameters)), _) => Ok(Some(parameters.clone())),
        (None | Some(Value::Null), None) => Ok(None),
        (None | Some(Value::Null), Some(json)) => serde_json::from_str(json)
            .map_err(|_| "`metadata.parameters` is not a JSON object in a text".to_owned()),
        (Some(_), _) => Err("`parameters` is not an object".to_owned()),
    }
}

fn manifest(metadata: &Value) -> Result<Option<SignedManifest>, String> {
    match (
        text(metadata, MANIFEST_KEY)?,
        text(metadata, MANIFEST_SIGNATURE_KEY)?,
    ) {
        (None, None) => Ok(None),
        (Some(manifest), signature) => Ok(Some(SignedManifest {
            manifest: manifest_bytes(manifest)?,
            // A manifest without a signature stays one: it is refused with that reason, not taken for none.
            signature: signature.unwrap_or_default().to_owned(),
        })),
        (None, Some(_)) => Err(format!(
            "`metadata.{MANIFEST_SIGNATURE_KEY}` has no manifest beside it"
        )),
    }
}

/// The manifest's exact bytes: base64, or the JSON itself.
fn manifest_bytes(text: &str) -> Result<Vec<u8>, String> {
    if text.starts_with('{') {
        return Ok(text.as_bytes().to_vec());
    }
    STANDARD
        .decode(text)
        .map_err(|_| format!("`metadata.{MANIFEST_KEY}` is neither JSON nor base64"))
}
