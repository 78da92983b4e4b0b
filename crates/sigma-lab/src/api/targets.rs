//! Scrape targets of node_exporter for Prometheus.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::answer::{self, Answer, Refusal};
use crate::record::{Record, Status};
use crate::rows;
use crate::store::Store;

/// How many targets one answer holds at most.
const MOST: u32 = 10_000;

#[derive(Serialize)]
struct Target {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// The first address of every active, monitored record, as it is stored: without brackets for IPv6.
pub(super) fn list(store: &Store) -> Result<Answer, Refusal> {
    let active = Some(Status::Active.as_str());
    let targets = store.read(|db| rows::first(db, active, MOST, target))?;
    answer::ok(&targets.into_iter().flatten().collect::<Vec<_>>())
}

fn target(record: &Record) -> Option<Target> {
    let first = record
        .ip_addresses
        .first()
        .filter(|_| record.monitoring_enabled)?;
    let mut labels = BTreeMap::from([
        ("instance_name", record.hostname.clone()),
        ("country", record.country.clone()),
        // The lab knows no providers.
        ("provider", String::new()),
        ("status", record.status.as_str().to_owned()),
    ]);
    if !record.alias.is_empty() {
        labels.insert("alias", record.alias.clone());
    }
    let target = format!("{}:{}", first.ip, record.node_exporter_port);
    Some(Target {
        targets: [target],
        labels,
    })
}
