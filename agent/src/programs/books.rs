//! The books about what is in the kernel: what was loaded, on which terms, until when, and on whose word.

use std::collections::BTreeMap;

use bpf_artifact::{Package, SignedBy, Trust};
use bpf_lifecycle::{ArtifactId, Assigned, Deadline, Now};
use serde_json::{Value, json};

/// One program in the kernel.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Record {
    pub(crate) loaded: Assigned,
    /// By `CLOCK_BOOTTIME`.
    pub(crate) loaded_at: i64,
    /// The same moment in seconds since 1970.
    pub(crate) loaded_wall: i64,
    pub(crate) deadline: Deadline,
    /// `None`: nobody's signature was asked for.
    pub(crate) signed_by: Option<SignedBy>,
    /// `manifest`, `archive` or `unverified`.
    pub(crate) trust: String,
    pub(crate) parameters: Value,
    /// Where the signer wants it attached.
    pub(crate) attach: Value,
}

impl Record {
    pub(super) fn new(package: &Package, loaded: &Assigned, deadline: Deadline, now: &Now) -> Self {
        let (trust, signed_by) = trust(package);
        Self {
            loaded: loaded.clone(),
            loaded_at: now.boottime_seconds,
            loaded_wall: now.wall_seconds,
            deadline,
            signed_by: signed_by.cloned(),
            trust: trust.to_owned(),
            parameters: super::kernel::parameters(package),
            attach: attach(package),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "loaded": self.loaded,
            "loaded_at": self.loaded_at,
            "loaded_wall": self.loaded_wall,
            "deadline": self.deadline,
            "signed_by": self.signed_by,
            "trust": self.trust,
            "parameters": self.parameters,
            "attach": self.attach,
        })
    }

    fn from_json(mut value: Value) -> Option<Self> {
        let mut part = |name: &str| value.get_mut(name).map(Value::take);
        Some(Self {
            loaded: serde_json::from_value(part("loaded")?).ok()?,
            loaded_at: part("loaded_at")?.as_i64()?,
            loaded_wall: part("loaded_wall")?.as_i64()?,
            deadline: serde_json::from_value(part("deadline")?).ok()?,
            signed_by: serde_json::from_value(part("signed_by")?).ok()?,
            trust: part("trust")?.as_str()?.to_owned(),
            parameters: part("parameters")?,
            attach: part("attach")?,
        })
    }
}

/// What the trust rests on, and whose word it is.
pub(super) fn trust(package: &Package) -> (&'static str, Option<&SignedBy>) {
    match package.trust() {
        Trust::Manifest(by) => ("manifest", Some(by)),
        Trust::Archive(by) => ("archive", Some(by)),
        _ => ("unverified", None),
    }
}

pub(super) fn attach(package: &Package) -> Value {
    package
        .manifest()
        .map_or(Value::Null, |manifest| json!(manifest.attach))
}

/// A place in the kernel, and what is or is about to be in it.
#[derive(Clone, PartialEq, Debug, Default)]
struct Place {
    current: Option<Record>,
    /// Written before the kernel is touched: after a crash, the digest there tells which of the two it is.
    pending: Option<Record>,
}

/// All places, by the name of their slot.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Books(BTreeMap<String, Place>);

impl Books {
    /// What is in the kernel.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.0
            .iter()
            .filter_map(|(slot, place)| Some((slot.as_str(), place.current.as_ref()?)))
    }

    pub(super) fn slot_of(&self, id: &ArtifactId) -> Option<&str> {
        self.running()
            .find(|(_, record)| record.loaded.id == *id)
            .map(|(slot, _)| slot)
    }

    pub(super) fn get(&self, slot: &str) -> Option<&Record> {
        self.0.get(slot)?.current.as_ref()
    }

    pub(super) fn is_taken(&self, slot: &str) -> bool {
        self.0.contains_key(slot)
    }

    pub(super) fn begin(&mut self, slot: &str, record: Record) {
        self.0.entry(slot.to_owned()).or_default().pending = Some(record);
    }

    pub(super) fn done(&mut self, slot: &str) {
        if let Some(place) = self.0.get_mut(slot) {
            place.current = place.pending.take().or(place.current.take());
        }
    }

    pub(super) fn failed(&mut self, slot: &str) {
        if let Some(place) = self.0.get_mut(slot) {
            place.pending = None;
            if place.current.is_none() {
                self.0.remove(slot);
            }
        }
    }

    pub(super) fn remove(&mut self, slot: &str) -> Option<Record> {
        self.0.remove(slot)?.current
    }

    /// After a start: keeps of each place the record that is about what the kernel holds there, by its digest.
    pub(super) fn settle(&mut self, in_kernel: &BTreeMap<String, String>) {
        self.0.retain(|slot, place| {
            let there = in_kernel.get(slot);
            let fits = |record: &Record| there == Some(&record.loaded.digest.to_string());
            let current = place.current.take().filter(fits);
            place.current = current.or_else(|| place.pending.take().filter(fits));
            place.pending = None;
            place.current.is_some()
        });
    }

    pub(super) fn to_json(&self) -> String {
        let place = |place: &Place| {
            json!({
                "current": place.current.as_ref().map(Record::to_json),
                "pending": place.pending.as_ref().map(Record::to_json),
            })
        };
        let places: serde_json::Map<String, Value> = self
            .0
            .iter()
            .map(|(slot, one)| (slot.clone(), place(one)))
            .collect();
        Value::Object(places).to_string()
    }

    /// Reads what was written. A record that cannot be read counts as none: what it was about is then unloaded.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let places: serde_json::Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let record = |place: &mut Value, name: &str| {
            place
                .get_mut(name)
                .map(Value::take)
                .and_then(Record::from_json)
        };
        let place = |(slot, mut place): (String, Value)| {
            let current = record(&mut place, "current");
            let pending = record(&mut place, "pending");
            (slot, Place { current, pending })
        };
        Ok(Self(places.into_iter().map(place).collect()))
    }
}

#[cfg(test)]
mod tests {
    use bpf_lifecycle::{Digest, LimitOverrides, OnExit};

    use super::*;

    fn record(id: &str, digest: u8) -> Record {
        let boot = "0f6b8a4e-6d2f-4c39-9c1e-b1f3a7a9d210".parse().unwrap();
        Record {
            loaded: Assigned {
                id: id.parse().unwrap(),
                name: "guard".to_owned(),
                version: "1".to_owned(),
                serial: Some(7),
                digest: Digest([digest; 32]),
                ttl_seconds: 60,
                not_after: Some(1_900_000_000),
                parameters_digest: Digest::default(),
                priority: 0,
                protected: false,
                limits: LimitOverrides::default(),
                on_exit: OnExit::Persist,
            },
            loaded_at: 5,
            loaded_wall: 1_800_000_000,
            deadline: Deadline {
                boot,
                boottime_seconds: 65,
                not_after: None,
            },
            signed_by: None,
            trust: "manifest".to_owned(),
            parameters: json!({"port": 9}),
            attach: Value::Null,
        }
    }

    #[test]
    fn books_survive_the_disk() {
        let mut books = Books::default();
        books.begin("a", record("a", 1));
        books.done("a");
        books.begin("a", record("a", 2));
        assert_eq!(Books::from_json(books.to_json().as_bytes()), Ok(books));
        for wrong in ["", "{", "[]", "7"] {
            assert!(Books::from_json(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn after_a_crash_the_kernel_says_which_record_counts() {
        let digest = |byte: u8| Digest([byte; 32]).to_string();
        for (there, wanted) in [
            (Some(1), Some(1)),
            (Some(2), Some(2)),
            (Some(3), None),
            (None, None),
        ] {
            let mut books = Books::default();
            books.begin("a", record("a", 1));
            books.done("a");
            books.begin("a", record("a", 2));
            let in_kernel = there.map(|byte| ("a".to_owned(), digest(byte)));
            books.settle(&in_kernel.into_iter().collect());
            let kept = books.get("a").map(|record| record.loaded.digest);
            assert_eq!(kept, wanted.map(|byte| Digest([byte; 32])), "{there:?}");
        }
    }
}
