//! `programs …`: for people and pipelines that make, sign and check programs, and for hosts that run them.

mod clear;
mod doctor;
mod host;
mod input;
mod inspect;
mod keygen;
mod output;
mod pack;
mod reap;
mod sign;
mod verify;

use serde_json::Value;

use crate::cli::programs_command::Programs;

/// What a tool has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) text: String,
    /// Whether the answer is the one that was hoped for.
    pub(crate) well: bool,
}

impl Told {
    fn well(text: String) -> Self {
        Self { text, well: true }
    }

    /// For programs or for people.
    fn well_as(json: bool, value: &Value, text: String) -> Self {
        Self::well(if json { format!("{value}\n") } else { text })
    }
}

pub(crate) fn run(wanted: &Programs) -> Result<Told, String> {
    match wanted {
        Programs::Keygen(keygen) => keygen::run(keygen),
        Programs::Pack(pack) => pack::run(pack),
        Programs::Sign(sign) => sign::run(sign),
        Programs::Verify(verify) => verify::run(verify),
        Programs::Inspect(inspect) => inspect::run(inspect),
        Programs::Doctor { places, json } => doctor::run(places, *json),
        Programs::Clear {
            state,
            host,
            digest,
            json,
        } => clear::run(state, host, digest.as_ref(), *json),
        Programs::Reap { places, all, json } => reap::run(places, *all, *json),
    }
}
