//! What the keeper shows of itself: a picture, made anew after each change.

use std::sync::Arc;

use bpf_lifecycle::{Barred as Bar, Hold};
use serde_json::{Value, json};

use super::books::Record;
use super::keeper::Keeper;
use super::view::{Barred, Running, View};

impl Keeper {
    /// Shows how things are now.
    pub(crate) fn publish(&self) {
        self.view.send_replace(Arc::new(self.picture()));
    }

    fn picture(&self) -> View {
        let now = self.clocks.now();
        let status = self.host.status();
        let running = self.books.running().map(|(slot, record)| {
            let links = status.iter().find(|status| status.slot == slot);
            self.one(slot, record, links)
        });
        let barred = self
            .memory
            .quarantined(&now)
            .map(|(digest, quarantine)| Barred {
                digest: digest.to_string(),
                reason: bar(quarantine.reason),
                seconds_left: quarantine.until.saturating_sub(now.boottime_seconds),
                count: quarantine.count,
            });
        View {
            clocks: Some(self.clocks),
            problems: self.problems.values().cloned().collect(),
            assigned: self.listed.as_ref().map(Vec::len),
            running: running.collect(),
            failed: self.failed.values().cloned().collect(),
            held: self
                .held
                .iter()
                .map(|held| (held.id.to_string(), hold(held.why).to_owned()))
                .collect(),
            quarantined: barred.collect(),
            history: self.memory.history().iter().cloned().collect(),
            counts: self.counts.clone(),
            keys: self.ring.count(std::time::SystemTime::now()),
            key_sources: self.key_sources(),
            kinds: self.kinds.clone(),
            persistence: self.host.places().pins.is_some(),
            recovered: self.recovered.clone(),
        }
    }

    fn one(&self, slot: &str, record: &Record, status: Option<&bpf_host::Status>) -> Running {
        let links = status.map(|status| status.links.iter().map(link).collect());
        let followed = self.followed.get(slot);
        Running {
            id: record.loaded.id.to_string(),
            name: record.loaded.name.clone(),
            version: record.loaded.version.clone(),
            digest: record.loaded.digest.to_string(),
            serial: record.loaded.serial,
            trust: record.trust.clone(),
            signed_by: record.signed_by.as_ref().map(ToString::to_string),
            loaded_wall: record.loaded_wall,
            ttl_seconds: record.loaded.ttl_seconds,
            deadline: record.deadline,
            persists: record.loaded.on_exit == bpf_lifecycle::OnExit::Persist,
            parameters: record.parameters.clone(),
            links: links.unwrap_or_default(),
            numbers: followed
                .map(|followed| followed.numbers.clone())
                .unwrap_or_default(),
            told: followed.and_then(|followed| followed.told),
        }
    }
}

fn link(link: &bpf_host::LinkStatus) -> Value {
    json!({
        "program": link.program,
        "kind": link.kind.name(),
        "target": link.target,
        "id": link.id,
        "attached": link.attached,
    })
}

/// Why something is left alone, in a word.
fn hold(why: Hold) -> &'static str {
    match why {
        Hold::Expired => "expired",
        Hold::RolledBack => "rolled_back",
        Hold::Quarantined { .. } => "quarantined",
        Hold::BackingOff { .. } => "backing_off",
        Hold::Full => "full",
        Hold::AllProtected => "all_protected",
        Hold::Superseded => "superseded",
        Hold::OlderSerial => "older_serial",
        Hold::ListingShrunk { .. } => "listing_shrunk",
        _ => "held",
    }
}

pub(super) fn bar(why: Bar) -> String {
    match why {
        Bar::RolledBack(reason) => reason.as_str().to_owned(),
        Bar::LoadFailures => "load_failures".to_owned(),
        _ => "barred".to_owned(),
    }
}
