//! docs/METRICS.md tells of exactly the families that a real agent serves.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

#[allow(
    dead_code,
    reason = "shared with the end-to-end tests, which need more of it"
)]
#[path = "e2e/parts.rs"]
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parts::{Agent, Api, wait_for};
use sigma_lab::Role;

/// A row of a table of families: type, labels, meaning; and whether it says that some hosts lack the family.
#[derive(Debug, PartialEq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
    sometimes: bool,
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows with five cells whose first is a name in backticks.
fn documented(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[name, kind, labels, help, sometimes] = cells.as_slice() else {
            continue;
        };
        let family = Family {
            kind: kind.to_owned(),
            labels: labels
                .split('`')
                .skip(1)
                .step_by(2)
                .map(ToOwned::to_owned)
                .collect(),
            help: help.to_owned(),
            sometimes: !sometimes.is_empty(),
        };
        let twice = families.insert(name.trim_matches('`').to_owned(), family);
        assert!(twice.is_none(), "{name} stands there twice");
    }
    families
}

/// The families of a page in the text format, as the document would tell of them.
fn served(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut help = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, text)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        {
            help.insert(name, text);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let info = kind == "gauge" && name.ends_with("_info");
            families.insert(
                name.to_owned(),
                Family {
                    kind: if info { "info" } else { kind }.to_owned(),
                    labels: BTreeSet::new(),
                    help: help[name].to_owned(),
                    sometimes: false,
                },
            );
        } else {
            let (name, labels) = line.split_once('{').unwrap();
            let name = ["_bucket", "_count", "_sum"]
                .iter()
                .filter_map(|ending| name.strip_suffix(ending))
                .find(|base| families.contains_key(*base))
                .unwrap_or(name);
            // Values of labels hold no `="` here: it would be escaped.
            let names = labels.split("=\"").filter_map(|part| {
                part.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
            });
            let family = families.get_mut(name).unwrap();
            let count = labels.matches("=\"").count();
            family.labels.extend(
                names
                    .take(count)
                    .filter(|name| !["hostname", "le"].contains(name))
                    .map(ToOwned::to_owned),
            );
        }
    }
    families
}

#[test]
fn the_document_and_a_real_agent_tell_of_the_same_families() {
    let api = Api::start();
    let luna = Api::start_luna(sigma_lab::Lab::in_memory().unwrap());
    let machine = luna.lab.create_machine("metrics").unwrap();
    let agent = Agent::start(
        &api.url(),
        &[
            "--api-key",
            &api.key(Role::Agent),
            "--port-scan",
            "--push",
            "--push-url",
            &luna.root(),
            "--push-key",
            &machine.key,
            "--push-state-dir",
            parts::folder("metrics").to_str().unwrap(),
        ],
    );
    for task in ["scan", "heartbeat", "push", "backfill"] {
        wait_for(task, || {
            Some(agent.task(task)).filter(|task| task["state"] == "ok")
        });
    }
    let page = agent.get("/metrics").body;
    let (text, served) = (document(), served(&page));
    let documented = documented(&text);
    assert!(served.len() > 60, "the families were not found: {served:?}");
    let mut wrong = Vec::new();
    for (name, family) in &served {
        match documented.get(name) {
            None => wrong.push(format!("{name} is served and stands not in the document")),
            Some(told)
                if (&told.kind, &told.labels, &told.help)
                    != (&family.kind, &family.labels, &family.help) =>
            {
                wrong.push(format!(
                    "{name} is served as {family:?}, but told as {told:?}"
                ));
            }
            Some(_) => {}
        }
    }
    wrong.extend(
        documented
            .iter()
            .filter(|(name, family)| !served.contains_key(*name) && !family.sometimes)
            .map(|(name, _)| format!("{name} is told to be always there, and this agent lacks it")),
    );
    assert!(
        wrong.is_empty(),
        "docs/METRICS.md and the page differ:\n  {}",
        wrong.join("\n  ")
    );
    for (label, words) in [
        ("verdict", "counts as"),
        ("task", "`task` is"),
        ("call", "`call` is"),
        ("result", "`result` is"),
        ("reason", "`reason` is"),
    ] {
        assert!(text.contains(words), "the words of {label} were not found");
        for value in page.split(&format!("{label}=\"")).skip(1) {
            let value = value.split('"').next().unwrap();
            assert!(
                text.contains(&format!("`{value}`")),
                "{label}={value} is not explained"
            );
        }
    }
}
