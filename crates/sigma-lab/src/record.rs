//! A VPS record as the wire shows it, and the rules by which agents and operators change it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::Refusal;
use crate::clock::Moment;
use crate::id::Id;

/// More addresses than any host has; a longer list is refused.
const MOST_ADDRESSES: usize = 1024;
/// How deep `extra` may nest. JSON readers commonly stop at 128, and the answers wrap it four times.
const DEEPEST_EXTRA: usize = 100;

/// One address of a host, with the label that an operator or the agent gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address, exactly as it was sent.
    pub ip: String,
    /// The label, empty when there is none.
    #[serde(default)]
    pub label: String,
}

/// Where a record stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Provisioning,
    Active,
    Retiring,
    Retired,
    Suspended,
    Deleted,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Provisioning => "provisioning",
            Status::Active => "active",
            Status::Retiring => "retiring",
            Status::Retired => "retired",
            Status::Suspended => "suspended",
            Status::Deleted => "deleted",
        }
    }
}

/// A calendar date, `YYYY-MM-DD`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Date(String);

impl TryFrom<String> for Date {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Date, &'static str> {
        let [year, month, day] = text.split('-').map(digits).collect::<Vec<_>>()[..] else {
            return Err("input contains invalid characters");
        };
        let (Some((4, year)), Some((2, month)), Some((2, day))) = (year, month, day) else {
            return Err("input contains invalid characters");
        };
        if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
            return Err("input is out of range");
        }
        Ok(Date(text))
    }
}

/// How many digits, and their value.
fn digits(text: &str) -> Option<(usize, u32)> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| plain)
        .map(|value| (text.len(), value))
}

fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The 29 keys of a record, in the order of the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: Id,
    pub(crate) hostname: String,
    pub(crate) alias: String,
    pub(crate) provider_id: Option<Id>,
    pub(crate) ip_addresses: Vec<Address>,
    pub(crate) ssh_port: i32,
    pub(crate) country: String,
    pub(crate) city: String,
    pub(crate) dc_name: String,
    pub(crate) cpu_cores: Option<i32>,
    pub(crate) ram_mb: Option<i32>,
    pub(crate) disk_gb: Option<i32>,
    pub(crate) bandwidth_tb: Option<String>,
    pub(crate) cost_monthly: Option<String>,
    pub(crate) currency: String,
    pub(crate) status: Status,
    pub(crate) purchase_date: Option<Date>,
    pub(crate) expire_date: Option<Date>,
    pub(crate) purpose: String,
    pub(crate) vpn_protocol: String,
    pub(crate) tags: Vec<String>,
    pub(crate) monitoring_enabled: bool,
    pub(crate) node_exporter_port: i32,
    pub(crate) extra: Option<Map<String, Value>>,
    pub(crate) notes: String,
    pub(crate) source: String,
    pub(crate) cloud_account_id: Option<Id>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// What an operator may set, in `POST /vps` and `PUT /vps/{id}`. Absent and null both mean "leave".
#[derive(Deserialize)]
pub(crate) struct Fields {
    pub(crate) hostname: Option<String>,
    alias: Option<String>,
    provider_id: Option<Id>,
    ip_addresses: Option<Vec<Address>>,
    ssh_port: Option<i32>,
    country: Option<String>,
    city: Option<String>,
    dc_name: Option<String>,
    cpu_cores: Option<i32>,
    ram_mb: Option<i32>,
    disk_gb: Option<i32>,
    bandwidth_tb: Option<f64>,
    cost_monthly: Option<f64>,
    currency: Option<String>,
    status: Option<Status>,
    purchase_date: Option<Date>,
    expire_date: Option<Date>,
    purpose: Option<String>,
    vpn_protocol: Option<String>,
    tags: Option<Vec<String>>,
    monitoring_enabled: Option<bool>,
    node_exporter_port: Option<i32>,
    extra: Option<Map<String, Value>>,
    notes: Option<String>,
}

impl Record {
    /// A record without anything but its name. `extra` is null, so an agent can store nothing in it.
    pub(crate) fn new(hostname: String, status: Status, source: &str) -> Result<Record, Refusal> {
        Ok(Record {
            id: Id::new()?,
            hostname,
            alias: String::new(),
            provider_id: None,
            ip_addresses: Vec::new(),
            ssh_port: 22,
            country: String::new(),
            city: String::new(),
            dc_name: String::new(),
            cpu_cores: None,
            ram_mb: None,
            disk_gb: None,
            bandwidth_tb: None,
            cost_monthly: None,
            currency: "USD".to_owned(),
            status,
            purchase_date: None,
            expire_date: None,
            purpose: String::new(),
            vpn_protocol: String::new(),
            tags: Vec::new(),
            monitoring_enabled: true,
            node_exporter_port: 9100,
            extra: None,
            notes: String::new(),
            source: source.to_owned(),
            cloud_account_id: None,
            created_at: String::new(),
            updated_at: String::new(),
        })
    }

    /// Takes an agent's list in the agent's order. A label once stored beats the agent's.
    pub(crate) fn take_addresses_of_agent(&mut self, mut sent: Vec<Address>) {
        for address in &mut sent {
            let known = self.ip_addresses.iter().find(|old| old.ip == address.ip);
            if let Some(old) = known.filter(|old| !old.label.is_empty()) {
                address.label.clone_from(&old.label);
            }
        }
        self.ip_addresses = sent;
    }

    /// Takes the figures of a register or heartbeat, and notes when.
    pub(crate) fn take_system_info(&mut self, system_info: Value) {
        self.note("last_heartbeat", Moment::now().nanos().into());
        self.note("system_info", system_info);
    }

    /// Sets a key of `extra`. Where `extra` is null nothing is stored, as in the real API.
    pub(crate) fn note(&mut self, key: &str, value: Value) {
        if let Some(extra) = &mut self.extra {
            extra.insert(key.to_owned(), value);
        }
    }

    pub(crate) fn system_info(&self, key: &str) -> Option<&Value> {
        self.extra.as_ref()?.get("system_info")?.get(key)
    }

    /// Takes what an operator sent.
    pub(crate) fn apply(&mut self, fields: Fields) -> Result<(), Refusal> {
        if let Some(hostname) = &fields.hostname {
            check_hostname(hostname)?;
        }
        check_addresses(fields.ip_addresses.as_deref().unwrap_or_default())?;
        set(&mut self.hostname, fields.hostname);
        set(&mut self.alias, fields.alias);
        set(&mut self.provider_id, fields.provider_id.map(Some));
        set(&mut self.ip_addresses, fields.ip_addresses);
        set(&mut self.ssh_port, fields.ssh_port);
        set(&mut self.country, fields.country);
        set(&mut self.city, fields.city);
        set(&mut self.dc_name, fields.dc_name);
        set(&mut self.cpu_cores, fields.cpu_cores.map(Some));
        set(&mut self.ram_mb, fields.ram_mb.map(Some));
        set(&mut self.disk_gb, fields.disk_gb.map(Some));
        set(
            &mut self.bandwidth_tb,
            fields.bandwidth_tb.map(decimal).map(Some),
        );
        set(
            &mut self.cost_monthly,
            fields.cost_monthly.map(decimal).map(Some),
        );
        set(&mut self.currency, fields.currency);
        set(&mut self.status, fields.status);
        set(&mut self.purchase_date, fields.purchase_date.map(Some));
        set(&mut self.expire_date, fields.expire_date.map(Some));
        set(&mut self.purpose, fields.purpose);
        set(&mut self.vpn_protocol, fields.vpn_protocol);
        set(&mut self.tags, fields.tags);
        set(&mut self.monitoring_enabled, fields.monitoring_enabled);
        set(&mut self.node_exporter_port, fields.node_exporter_port);
        set(&mut self.extra, fields.extra.map(Some));
        set(&mut self.notes, fields.notes);
        Ok(())
    }

    /// Brings `extra` into the form in which it is stored: keys in order, not nested too deep.
    pub(crate) fn settle_extra(&mut self) -> Result<(), Refusal> {
        let Some(extra) = &mut self.extra else {
            return Ok(());
        };
        // serde_json keeps keys sorted, unless another crate of the build asked for `preserve_order`.
        extra.sort_keys();
        for value in extra.values_mut() {
            value.sort_all_objects();
            if depth(value) >= DEEPEST_EXTRA {
                let why = format!("extra is nested deeper than {DEEPEST_EXTRA} levels");
                return Err(Refusal::BadRequest(why));
            }
        }
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Decimals are texts on the wire, with two digits.
fn decimal(value: f64) -> String {
    format!("{value:.2}")
}

/// Recursion is bounded by the JSON reader, which stops at 128 levels.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A blank name is refused; one with blanks around it is stored as it came.
pub(crate) fn check_hostname(hostname: &str) -> Result<(), Refusal> {
    if hostname.trim().is_empty() {
        return Err(Refusal::BadRequest("hostname is required".to_owned()));
    }
    Ok(())
}

/// Each address must be one after trimming; blank ones pass, as in the real API.
pub(crate) fn check_addresses(addresses: &[Address]) -> Result<(), Refusal> {
    if addresses.len() > MOST_ADDRESSES {
        let why = format!("more than {MOST_ADDRESSES} IP addresses");
        return Err(Refusal::BadRequest(why));
    }
    addresses
        .iter()
        .try_for_each(|address| check_address(&address.ip))
}

pub(crate) fn check_address(ip: &str) -> Result<(), Refusal> {
    let trimmed = ip.trim();
    if trimmed.is_empty() || trimmed.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Refusal::BadRequest(format!("Invalid IP address: '{ip}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_dates() {
        for good in [
            "2026-12-31",
            "1999-01-01",
            "2026-10-09",
            "2024-02-29",
            "2000-02-29",
        ] {
            assert!(Date::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "2026-01-32",
            "2026-01-00",
            "26-01-01",
            "2026-01-01-01",
            "2026-+1-01",
            "20z6-01-01",
            "2026-01-01T00:00:00Z",
            "2026-02-29",
            "2100-02-29",
            "2026-04-31",
            "é026-01-01",
            "--",
            "99999999999-01-01",
        ] {
            assert!(Date::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_may_be_blank_or_padded_but_not_wrong() {
        for good in [
            "203.0.113.9",
            " 203.0.113.50 ",
            "",
            "  ",
            "2001:db8::7",
            "::1",
        ] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in [
            "1.2.3",
            "fe80::1%eth0",
            "10.0.0.0/8",
            "localhost",
            "[::1]",
            "1.2.3.4:80",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_counts_nesting() {
        let nested: Value = serde_json::from_str(r#"{"a":[1,{"b":[]}],"c":2}"#).unwrap();
        assert_eq!(depth(&nested), 4);
        assert_eq!(depth(&Value::Null), 0);
    }
}
