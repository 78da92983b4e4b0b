//! `programs pack`: an object becomes an archive.

use bpf_artifact::{Digest, Limits, Metadata, inspect_object, pack};
use bpf_host::ScannedObject;
use serde_json::{Map, Value, json};

use super::Told;
use super::input;
use super::output::{self, Readers};
use crate::cli::programs_command::Pack;

pub(super) fn run(wanted: &Pack) -> Result<Told, String> {
    let path = wanted.object.display();
    output::check_free(&wanted.archive, wanted.force)?;
    let object = input::bytes(&wanted.object, Limits::default().max_object_bytes())?;
    inspect_object(&object).map_err(|error| format!("{path}: {error}"))?;
    // What no agent would load is better told to who packs it than to who runs it.
    let scanned = ScannedObject::read(&object).map_err(|error| format!("{path}: {error}"))?;
    let parameters = wanted.parameters.as_ref().map(input::json).transpose()?;
    if let Some(parameters) = &parameters {
        check_names(&scanned, parameters)?;
    }
    let metadata = Metadata {
        name: wanted.name.clone(),
        version: wanted.version.clone(),
        architecture: Some("bpfel".to_owned()),
        build_id: wanted.build_id.clone(),
        parameters,
        ..Metadata::default()
    };
    let archive = pack(&object, &metadata).map_err(|error| format!("{path}: {error}"))?;
    output::write(&wanted.archive, &archive, Readers::All, wanted.force)?;
    let (place, bytes, digest) = (
        wanted.archive.display().to_string(),
        archive.len(),
        Digest::of(&archive).to_string(),
    );
    let text = format!("{place}: {bytes} bytes, sha256 {digest}\n");
    let told = json!({ "archive": place, "bytes": bytes, "sha256": digest });
    Ok(Told::well_as(wanted.json, &told, text))
}

/// Whether the object has what the parameters name; types and ranges are looked at when it is loaded.
pub(super) fn check_names(
    object: &ScannedObject,
    parameters: &Map<String, Value>,
) -> Result<(), String> {
    let known = object.parameter_names();
    match parameters
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(name) => Err(format!(
            "--parameters: the object has no variable or map {name:?}; it has {}",
            known.join(", ")
        )),
        None => Ok(()),
    }
}
