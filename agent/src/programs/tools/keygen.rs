//! `programs keygen`: a key that signs.

use bpf_artifact::SigningKey;
use serde_json::json;

use super::Told;
use super::output::{self, Readers};
use crate::cli::programs_command::Keygen;

pub(super) fn run(wanted: &Keygen) -> Result<Told, String> {
    let (key, pem) = SigningKey::generate().map_err(|error| error.to_string())?;
    output::write(&wanted.key, pem.as_bytes(), Readers::Owner, wanted.force)?;
    let public = key.public_key().to_base64();
    let public = public.ok_or("the key has no short text")?;
    let told = json!({ "key_file": wanted.key, "public_key": public });
    Ok(Told::well_as(wanted.json, &told, format!("{public}\n")))
}
