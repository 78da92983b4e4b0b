//! What is shown of the programs: a picture that the pages read without waiting for the kernel.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bpf_lifecycle::{Deadline, Event, Now};
use serde_json::Value;

use super::figures::{Numbers, Told};
use super::present::Clocks;

/// The picture, made anew after each change.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) clocks: Option<Clocks>,
    /// Why programs cannot be run at all, or what is wrong besides; empty if all is well.
    pub(crate) problems: Vec<String>,
    /// Whether an assignment is known, be it from the cache.
    pub(crate) assigned: Option<usize>,
    pub(crate) running: Vec<Running>,
    pub(crate) failed: Vec<Failed>,
    /// What is left alone on purpose, and why.
    pub(crate) held: Vec<(String, String)>,
    pub(crate) quarantined: Vec<Barred>,
    /// The rollback events, oldest first.
    pub(crate) history: Vec<Event>,
    pub(crate) counts: Counts,
    /// How many keys count.
    pub(crate) keys: usize,
    pub(crate) key_sources: Vec<KeySource>,
    /// What this kernel takes: kind, verdict, reason.
    pub(crate) kinds: Vec<(&'static str, &'static str, Option<String>)>,
    /// Whether programs can outlive the agent.
    pub(crate) persistence: bool,
    /// What a start found and mended.
    pub(crate) recovered: Vec<String>,
}

impl View {
    /// Before anything is known.
    pub(crate) fn unknown(problem: &str) -> Self {
        Self {
            clocks: None,
            problems: vec![problem.to_owned()],
            assigned: None,
            running: Vec::new(),
            failed: Vec::new(),
            held: Vec::new(),
            quarantined: Vec::new(),
            history: Vec::new(),
            counts: Counts::default(),
            keys: 0,
            key_sources: Vec::new(),
            kinds: Vec::new(),
            persistence: false,
            recovered: Vec::new(),
        }
    }

    /// The present, if the clocks are known.
    pub(crate) fn now(&self) -> Option<Now> {
        self.clocks.map(Clocks::now)
    }
}

/// A program at work.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) serial: Option<u64>,
    pub(crate) trust: String,
    pub(crate) signed_by: Option<String>,
    pub(crate) loaded_wall: i64,
    pub(crate) ttl_seconds: u64,
    pub(crate) deadline: Deadline,
    pub(crate) persists: bool,
    pub(crate) parameters: Value,
    pub(crate) links: Vec<Value>,
    pub(crate) numbers: Numbers,
    pub(crate) told: Option<Told>,
}

/// A program that does not run because something is wrong with it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Failed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) error: String,
    /// One word for what went wrong.
    pub(crate) code: &'static str,
    pub(crate) verifier: Option<String>,
    pub(crate) at: i64,
}

/// A place where keys are fetched.
#[derive(Clone, Debug)]
pub(crate) struct KeySource {
    pub(crate) name: String,
    /// How many there were; `None` as long as none were ever fetched.
    pub(crate) keys: Option<usize>,
    pub(crate) fetched_at: Option<SystemTime>,
}

/// A digest that is not loaded for a while.
#[derive(Clone, Debug)]
pub(crate) struct Barred {
    pub(crate) digest: String,
    pub(crate) reason: String,
    pub(crate) seconds_left: i64,
    pub(crate) count: u32,
}

/// What happened since the agent started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) loads: u64,
    pub(crate) load_failures: u64,
    /// By why.
    pub(crate) unloads: BTreeMap<&'static str, u64>,
    /// By the word for it.
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    pub(crate) rollbacks: u64,
    /// Programs that had cut off the agent.
    pub(crate) cut_offs: u64,
}
