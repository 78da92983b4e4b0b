//! What the server makes of a body, written from its rules and not from the code under test.
#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The row that the server stores, with its zeros for what is missing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stored {
    pub(crate) cpu_pct: f64,
    pub(crate) mem_used_pct: f64,
    pub(crate) disk_used_pct: f64,
    pub(crate) net_rx_bytes: i64,
    pub(crate) net_tx_bytes: i64,
    pub(crate) uptime_s: Option<f64>,
}

/// Names of the specification, and those that the server reads instead.
const BOTH_NAMES: [(&str, &str); 5] = [
    ("cpu_percent", "cpu_pct"),
    ("memory_percent", "mem_used_pct"),
    ("disk_percent", "disk_used_pct"),
    ("network_bytes_sent", "net_tx_bytes"),
    ("network_bytes_recv", "net_rx_bytes"),
];

const SYSTEM_TEXTS: [&str; 4] = ["hostname", "platform", "platform_version", "kernel_version"];
const SYSTEM_INTEGERS: [&str; 3] = ["cpu_cores", "memory_total_mb", "disk_total_gb"];

/// The row, or the words of the refusal.
pub(crate) fn store(body: &str) -> Result<Stored, String> {
    let invalid = |_| "Invalid request body".to_owned();
    let fields: Map<String, Value> = serde_json::from_str(body).map_err(invalid)?;
    read(&fields)
        .ok_or_else(|| "Invalid request body".to_owned())
        .and_then(in_range)
}

/// What goes beyond the server's own rules: nothing is said twice with two meanings, nothing is left over.
pub(crate) fn assert_well_made(body: &str) {
    assert!(!body.contains(['\n', '\r']), "{body}");
    let fields: Map<String, Value> = serde_json::from_str(body).unwrap();
    for (specified, read) in BOTH_NAMES {
        assert_eq!(fields.get(specified), fields.get(read), "{body}");
    }
    let known = ["hostname", "timestamp", "uptime_s", "system_info"];
    let known: BTreeSet<&str> = BOTH_NAMES
        .into_iter()
        .flat_map(|(one, other)| [one, other])
        .chain(known)
        .collect();
    // The server takes keys regardless of case, and the last of two alike: there must not be two.
    let count = body.matches("\":").count();
    let system = fields.get("system_info").and_then(Value::as_object);
    assert_eq!(count, fields.len() + system.map_or(0, Map::len), "{body}");
    for (name, value) in &fields {
        assert!(known.contains(name.as_str()) && !value.is_null(), "{name}");
    }
}

fn read(fields: &Map<String, Value>) -> Option<Stored> {
    if let Some(timestamp) = fields.get("timestamp") {
        seconds(timestamp.as_str()?)?;
    }
    if let Some(info) = fields.get("system_info") {
        system_info(info.as_object()?)?;
    }
    let number = |name| fields.get(name).map_or(Some(0.0), Value::as_f64);
    let integer = |name| fields.get(name).map_or(Some(0), Value::as_i64);
    Some(Stored {
        cpu_pct: number("cpu_pct")?,
        mem_used_pct: number("mem_used_pct")?,
        disk_used_pct: number("disk_used_pct")?,
        net_rx_bytes: integer("net_rx_bytes")?,
        net_tx_bytes: integer("net_tx_bytes")?,
        uptime_s: match fields.get("uptime_s") {
            Some(uptime) => Some(uptime.as_f64()?),
            None => None,
        },
    })
}

fn system_info(info: &Map<String, Value>) -> Option<()> {
    for (name, value) in info {
        match name.as_str() {
            name if SYSTEM_TEXTS.contains(&name) => drop(value.as_str()?),
            name if SYSTEM_INTEGERS.contains(&name) => drop(value.as_i64()?),
            "last_boot_time" => drop(seconds(value.as_str()?)?),
            _ => return None,
        }
    }
    Some(())
}

fn in_range(stored: Stored) -> Result<Stored, String> {
    for (name, percent) in [
        ("cpu_pct", stored.cpu_pct),
        ("mem_used_pct", stored.mem_used_pct),
        ("disk_used_pct", stored.disk_used_pct),
    ] {
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{name} must be between 0 and 100"));
        }
    }
    Ok(stored)
}

/// The seconds since 1970 of `2026-03-01T07:00:10Z`, read by the parser of another crate.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = parts.as_slice() else {
        return None;
    };
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let month = months.split(' ').nth(month.parse::<usize>().ok()? - 1)?;
    // That parser wants the right day of the week, which our text does not say.
    let moment = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        .iter()
        .map(|weekday| format!("{weekday}, {day} {month} {year} {time} GMT"))
        .find_map(|text| httpdate::parse_http_date(&text).ok())?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}
