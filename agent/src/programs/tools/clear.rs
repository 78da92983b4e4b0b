//! `programs clear`: what is held back, and a word to the agent that some of it may run again.

use std::collections::BTreeMap;
use std::path::Path;

use bpf_lifecycle::{Digest, Memory, Now, Quarantine};
use serde_json::{Value, json};

use super::{Told, host};
use crate::cli::HostPlace;
use crate::programs::cleared::{leave_word, memory};
use crate::programs::picture::bar;
use crate::programs::present::Clocks;
use crate::programs::store::Store;

pub(super) fn run(
    state: &Path,
    place: &HostPlace,
    digest: Option<&Digest>,
    json: bool,
) -> Result<Told, String> {
    if !state.exists() {
        return Err(format!("{}: no agent was at work here", state.display()));
    }
    let state = Store::visit(state)?;
    let now = Clocks::of(&host::proc(place))?.now();
    let held = held_back(&memory(&state)?, &now);
    let Some(digest) = digest else {
        let held_back: Vec<Value> = held.iter().map(value).collect();
        let told = json!({ "held_back": held_back });
        return Ok(Told::well_as(json, &told, list(&held)));
    };
    let word = |cleared: bool| json!({ "digest": digest.to_string(), "cleared": cleared });
    if !held.contains_key(digest) {
        let text = format!("{digest} is not held back\n");
        let told = Told::well_as(json, &word(false), text);
        return Ok(Told {
            well: false,
            ..told
        });
    }
    leave_word(&state, digest)?;
    let text = format!(
        "{digest}: an agent that runs takes this up within seconds, else the next one at its start\n"
    );
    Ok(Told::well_as(json, &word(true), text))
}

/// What is known of a digest that does not run.
#[derive(Default)]
struct Held {
    artifacts: Vec<String>,
    barred: Option<(Quarantine, i64)>,
}

fn held_back(memory: &Memory, now: &Now) -> BTreeMap<Digest, Held> {
    let mut held: BTreeMap<Digest, Held> = BTreeMap::new();
    for (id, digest) in memory.rolled_back_issues() {
        let artifacts = &mut held.entry(*digest).or_default().artifacts;
        artifacts.push(id.to_string());
    }
    for (digest, quarantine) in memory.quarantined(now) {
        let left = quarantine.until.saturating_sub(now.boottime_seconds);
        held.entry(*digest).or_default().barred = Some((*quarantine, left));
    }
    held
}

fn value((digest, held): (&Digest, &Held)) -> Value {
    json!({
        "digest": digest.to_string(),
        "rolled_back_as": held.artifacts,
        "barred": held.barred.map(|(quarantine, left)| json!({
            "seconds_left": left,
            "reason": bar(quarantine.reason),
            "times": quarantine.count,
        })),
    })
}

fn list(held: &BTreeMap<Digest, Held>) -> String {
    if held.is_empty() {
        return "nothing is held back\n".to_owned();
    }
    let line = |(digest, held): (&Digest, &Held)| {
        let mut what = Vec::new();
        if !held.artifacts.is_empty() {
            what.push(format!("rolled back as {}", held.artifacts.join(", ")));
        }
        what.extend(held.barred.map(|(quarantine, left)| {
            let (why, count) = (bar(quarantine.reason), quarantine.count);
            format!("barred for {left} s ({why}, time {count})")
        }));
        format!("{digest}  {}\n", what.join("; "))
    };
    held.iter().map(line).collect()
}
