//! What agents call: register and heartbeat.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::answer::{self, Answer, Refusal};
use crate::record::{Address, Record, Status, check_addresses, check_hostname};
use crate::rows;
use crate::store::Store;

/// The history's name for changes by agents, and the source of records they made.
const BY: &str = "agent";

#[derive(Deserialize)]
pub(super) struct Register {
    hostname: String,
    alias: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<Address>,
    #[serde(default = "ssh")]
    ssh_port: i32,
    #[serde(default)]
    system_info: Value,
}

fn ssh() -> i32 {
    22
}

#[derive(Deserialize)]
pub(super) struct Heartbeat {
    hostname: String,
    #[serde(default)]
    ip_addresses: Vec<Address>,
    #[serde(default)]
    system_info: Value,
}

/// Finds or makes the record, overwrites what the agent owns, and makes it active: also one that an
/// operator had retired.
pub(super) fn register(store: &Store, sent: Register) -> Result<Answer, Refusal> {
    check_hostname(&sent.hostname)?;
    check_addresses(&sent.ip_addresses)?;
    let saved = store.write(|tx| match rows::by_hostname(tx, &sent.hostname)? {
        Some(mut found) => {
            take_registration(&mut found.record, sent);
            found.save(tx, BY)
        }
        None => {
            let mut new = Record::new(sent.hostname.clone(), Status::Active, BY)?;
            new.extra = Some(Map::new());
            take_registration(&mut new, sent);
            rows::insert(tx, new, BY)
        }
    })?;
    answer::ok(&saved)
}

fn take_registration(record: &mut Record, sent: Register) {
    record.hostname = sent.hostname;
    if let Some(alias) = sent.alias.filter(|alias| !alias.is_empty()) {
        record.alias = alias;
    }
    record.take_addresses_of_agent(sent.ip_addresses);
    record.ssh_port = sent.ssh_port;
    record.take_system_info(sent.system_info);
    record.status = Status::Active;
}

/// Updates a known record. An empty list keeps the stored one; status, alias and port stay.
pub(super) fn heartbeat(store: &Store, sent: Heartbeat) -> Result<Answer, Refusal> {
    check_hostname(&sent.hostname)?;
    let saved = store.write(|tx| {
        let mut found = rows::by_hostname(tx, &sent.hostname)?.ok_or(Refusal::NotFound)?;
        check_addresses(&sent.ip_addresses)?;
        found.record.hostname = sent.hostname;
        if !sent.ip_addresses.is_empty() {
            found.record.take_addresses_of_agent(sent.ip_addresses);
        }
        found.record.take_system_info(sent.system_info);
        found.save(tx, BY)
    })?;
    answer::ok(&saved)
}
