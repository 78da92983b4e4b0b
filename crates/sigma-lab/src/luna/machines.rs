//! Machines and their metrics: making them and their keys, recording, and showing.

use std::fmt;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::sample::{Sample, SystemInfo};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::key::{KeyHash, new_machine_key};
use crate::lab::Lab;
use crate::rows;
use crate::store::Store;

/// How many of the newest rows of metrics are kept, over all machines: a day of one that sends every
/// 10 seconds.
const KEPT: i64 = 10_000;
/// How many machines [`Lab::machines`] returns at most.
const MOST_SHOWN: u32 = 1000;
/// A machine that was heard of within this time is online.
const ONLINE: Duration = Duration::from_secs(120);
/// How many digits of a key's hash are shown.
const SHOWN_DIGITS: usize = 8;

/// A machine in the only moment when its key is known.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMachine {
    /// Its number.
    pub id: i64,
    /// The key its agent sends: 44 characters.
    pub key: String,
}

impl fmt::Debug for NewMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMachine")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A machine as a demo would show it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Machine {
    /// Its number.
    pub id: i64,
    /// The name it was made with, which need not be its hostname.
    pub name: String,
    /// Whether its key is taken.
    pub enabled: bool,
    /// The first eight hex digits of its key's SHA-256, as agents log them.
    pub api_key_hash: String,
    /// When its last sample was accepted, RFC 3339.
    pub last_seen: Option<String>,
    /// Whether that was at most 120 seconds ago.
    pub online: bool,
    /// What it said about itself, each figure as last sent.
    pub system_info: SystemInfo,
    /// The newest of its rows that is still kept.
    pub latest: Option<MetricsRow>,
}

/// One accepted sample. A percentage or counter that the agent left out is zero: the protocol knows
/// no other way to say it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricsRow {
    /// When it arrived, RFC 3339; what the agent said about the time is not kept.
    pub received_at: String,
    /// CPU use in percent.
    pub cpu_pct: f64,
    /// Memory in use in percent.
    pub mem_used_pct: f64,
    /// Disk space in use in percent.
    pub disk_used_pct: f64,
    /// Bytes received, a counter.
    pub net_rx_bytes: i64,
    /// Bytes sent, a counter.
    pub net_tx_bytes: i64,
    /// Seconds since the machine started.
    pub uptime_s: Option<f64>,
}

impl Lab {
    /// Makes a machine of the LunaSentri endpoint, enabled and not yet seen. Names need not differ.
    /// The key is shown here and never again; the database keeps its SHA-256.
    ///
    /// # Errors
    /// The kernel gave no random numbers, or the database could not be written.
    pub fn create_machine(&self, name: &str) -> Result<NewMachine> {
        let (key, hash) = new_key()?;
        let store = self.store();
        let insert = "INSERT INTO luna_machines (name, key_hash) VALUES (?1, ?2)";
        let made = store.write(|tx| {
            tx.execute(insert, [name, &hash])?;
            Ok(tx.last_insert_rowid())
        });
        let id = made.map_err(|e| store.failure(e))?;
        Ok(NewMachine { id, key })
    }

    /// A new key for a machine; the old one is refused from now on.
    ///
    /// # Errors
    /// There is no such machine, the kernel gave no random numbers, or the database could not be
    /// written.
    pub fn rotate_machine_key(&self, id: i64) -> Result<String> {
        let (key, hash) = new_key()?;
        self.change_machine(
            "UPDATE luna_machines SET key_hash = ?2 WHERE id = ?1",
            id,
            &hash,
        )?;
        Ok(key)
    }

    /// Takes a machine's key again.
    ///
    /// # Errors
    /// There is no such machine, or the database could not be written.
    pub fn enable_machine(&self, id: i64) -> Result<()> {
        self.set_machine_enabled(id, true)
    }

    /// Refuses a machine's key from now on, as if it were wrong.
    ///
    /// # Errors
    /// There is no such machine, or the database could not be written.
    pub fn disable_machine(&self, id: i64) -> Result<()> {
        self.set_machine_enabled(id, false)
    }

    /// The machines in the order in which they were made; at most the first 1000.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn machines(&self) -> Result<Vec<Machine>> {
        let store = self.store();
        let shown = store.read(|db| list(db, Moment::now()));
        shown.map_err(|e| store.failure(e))
    }

    /// The newest rows of a machine's metrics, the newest first: as many as asked for, or as are
    /// kept. None for a machine that does not exist.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn machine_metrics(&self, id: i64, newest: u32) -> Result<Vec<MetricsRow>> {
        const NEWEST: &str =
            "SELECT * FROM luna_metrics WHERE machine_id = ?1 ORDER BY seq DESC LIMIT ?2";
        let store = self.store();
        let rows = store.read(|db| {
            db.prepare(NEWEST)?
                .query_map(params![id, newest], metrics_row)?
                .collect()
        });
        rows.map_err(|e| store.failure(e))
    }

    fn set_machine_enabled(&self, id: i64, enabled: bool) -> Result<()> {
        self.change_machine(
            "UPDATE luna_machines SET enabled = ?2 WHERE id = ?1",
            id,
            enabled,
        )
    }

    fn change_machine(&self, update: &str, id: i64, value: impl rusqlite::ToSql) -> Result<()> {
        let store = self.store();
        let changed = store.write(|tx| tx.execute(update, params![id, value]));
        match changed.map_err(|e| store.failure(e))? {
            0 => Err(Error::UnknownMachine(id)),
            _ => Ok(()),
        }
    }
}

/// A key and what is kept of it.
fn new_key() -> Result<(String, String)> {
    let key = new_machine_key().map_err(|e| Error::Random(e.into()))?;
    let hash = KeyHash::of(key.as_bytes()).hex();
    Ok((key, hash))
}

/// The enabled machine that has this key.
pub(super) fn enabled(store: &Store, key: &KeyHash) -> rusqlite::Result<Option<i64>> {
    let known = "SELECT id FROM luna_machines WHERE key_hash = ?1 AND enabled";
    store.read(|db| {
        db.query_row(known, [key.hex()], |row| row.get(0))
            .optional()
    })
}

/// Keeps a sample as of now, and what it says about the machine.
pub(super) fn record(store: &Store, machine: i64, sample: &Sample) -> rusqlite::Result<()> {
    const SEEN: &str = "UPDATE luna_machines SET last_seen = :now,
            hostname = coalesce(:hostname, hostname),
            platform = coalesce(:platform, platform),
            platform_version = coalesce(:platform_version, platform_version),
            kernel_version = coalesce(:kernel_version, kernel_version),
            cpu_cores = coalesce(:cpu_cores, cpu_cores),
            memory_total_mb = coalesce(:memory_total_mb, memory_total_mb),
            disk_total_gb = coalesce(:disk_total_gb, disk_total_gb),
            last_boot_time = coalesce(:last_boot_time, last_boot_time)
        WHERE id = :id";
    let now = Moment::now().as_micros();
    let said = &sample.system_info;
    store.write(|tx| {
        tx.execute(
            "INSERT INTO luna_metrics (machine_id, received_at, cpu_pct, mem_used_pct,
                disk_used_pct, net_rx_bytes, net_tx_bytes, uptime_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                machine,
                now,
                sample.cpu_pct,
                sample.mem_used_pct,
                sample.disk_used_pct,
                sample.net_rx_bytes,
                sample.net_tx_bytes,
                sample.uptime_s
            ],
        )?;
        tx.execute(
            SEEN,
            named_params! {
                ":id": machine, ":now": now,
                ":hostname": said.hostname, ":platform": said.platform,
                ":platform_version": said.platform_version,
                ":kernel_version": said.kernel_version, ":cpu_cores": said.cpu_cores,
                ":memory_total_mb": said.memory_total_mb, ":disk_total_gb": said.disk_total_gb,
                ":last_boot_time": said.last_boot_time,
            },
        )?;
        rows::keep_newest(tx, "luna_metrics", KEPT)
    })
}

fn list(db: &Connection, now: Moment) -> rusqlite::Result<Vec<Machine>> {
    let mut list = db.prepare(
        "SELECT * FROM luna_machines LEFT JOIN luna_metrics ON seq = (
            SELECT max(seq) FROM luna_metrics AS own WHERE own.machine_id = luna_machines.id)
         ORDER BY id LIMIT ?1",
    )?;
    list.query_map([MOST_SHOWN], |row| machine(row, now))?
        .collect()
}

fn machine(row: &Row<'_>, now: Moment) -> rusqlite::Result<Machine> {
    let last_seen = row.get::<_, Option<i64>>("last_seen")?;
    let last_seen = last_seen.map(Moment::from_micros);
    let hash: String = row.get("key_hash")?;
    let any_row = row.get::<_, Option<i64>>("seq")?;
    Ok(Machine {
        id: row.get("id")?,
        name: row.get("name")?,
        enabled: row.get("enabled")?,
        api_key_hash: hash.chars().take(SHOWN_DIGITS).collect(),
        last_seen: last_seen.map(Moment::micros),
        online: last_seen.is_some_and(|seen| now.since(seen) <= ONLINE),
        system_info: SystemInfo {
            hostname: row.get("hostname")?,
            platform: row.get("platform")?,
            platform_version: row.get("platform_version")?,
            kernel_version: row.get("kernel_version")?,
            cpu_cores: row.get("cpu_cores")?,
            memory_total_mb: row.get("memory_total_mb")?,
            disk_total_gb: row.get("disk_total_gb")?,
            last_boot_time: row.get("last_boot_time")?,
        },
        latest: any_row.map(|_| metrics_row(row)).transpose()?,
    })
}

fn metrics_row(row: &Row<'_>) -> rusqlite::Result<MetricsRow> {
    Ok(MetricsRow {
        received_at: Moment::from_micros(row.get("received_at")?).micros(),
        cpu_pct: row.get("cpu_pct")?,
        mem_used_pct: row.get("mem_used_pct")?,
        disk_used_pct: row.get("disk_used_pct")?,
        net_rx_bytes: row.get("net_rx_bytes")?,
        net_tx_bytes: row.get("net_tx_bytes")?,
        uptime_s: row.get("uptime_s")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_online_up_to_120_seconds_after_its_last_sample() {
        let lab = Lab::in_memory().unwrap();
        let id = lab.create_machine("m").unwrap().id;
        let online_after = |micros: i64| {
            let seen: i64 = 1_772_348_410_000_000;
            let update = "UPDATE luna_machines SET last_seen = ?2 WHERE id = ?1";
            lab.change_machine(update, id, seen).unwrap();
            let now = Moment::from_micros(seen + micros);
            lab.store().read(|db| list(db, now)).unwrap()[0].online
        };
        assert!(!lab.machines().unwrap()[0].online, "a new one is offline");
        assert!(online_after(0));
        assert!(online_after(120_000_000));
        assert!(!online_after(120_000_001));
        assert!(online_after(-5_000_000), "the clock was set back");
    }

    #[test]
    fn a_new_machine_does_not_print_its_key() {
        let made = Lab::in_memory().unwrap().create_machine("m").unwrap();
        assert_eq!(format!("{made:?}"), "NewMachine { id: 1, .. }");
    }

    #[test]
    fn only_the_newest_rows_are_kept() {
        let lab = Lab::in_memory().unwrap();
        let (old, busy) = (
            lab.create_machine("a").unwrap(),
            lab.create_machine("b").unwrap(),
        );
        let sample = |received: i64| Sample {
            net_rx_bytes: received,
            ..Sample::default()
        };
        record(lab.store(), old.id, &sample(-1)).unwrap();
        for number in 0..=KEPT {
            record(lab.store(), busy.id, &sample(number)).unwrap();
        }
        let rows = lab.machine_metrics(busy.id, u32::MAX).unwrap();
        let (first, last) = (rows.first().unwrap(), rows.last().unwrap());
        assert_eq!((first.net_rx_bytes, last.net_rx_bytes), (KEPT, 1));
        assert_eq!(lab.machine_metrics(old.id, 1).unwrap(), []);
        let machines = lab.machines().unwrap();
        assert_eq!(machines[0].latest, None);
        assert!(machines[0].online, "when it was seen is known all the same");
        assert_eq!(machines[1].latest.as_ref(), Some(first));
    }
}
