//! Records in the database: finding, saving, listing, and the history of their addresses.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};
use serde::Serialize;

use crate::answer::Refusal;
use crate::clock::Moment;
use crate::id::Id;
use crate::query::{Page, Query};
use crate::record::{Address, Record};

/// How many of the newest rows the history of addresses keeps, over all hosts.
const HISTORY_KEPT: i64 = 10_000;
/// The largest record. A page holds 100 of them.
const LARGEST_RECORD: usize = 256 * 1024;

/// A record as found, ready to be changed and saved.
pub(crate) struct Found {
    seq: i64,
    addresses_before: Vec<Address>,
    pub(crate) record: Record,
}

impl Found {
    /// Saves what was changed, and writes the history of the addresses that came or went.
    pub(crate) fn save(mut self, tx: &Transaction<'_>, by: &str) -> Result<Record, Refusal> {
        self.record.updated_at = Moment::now().micros();
        self.record.settle_extra()?;
        let json = to_json(&self.record)?;
        tx.execute(
            "UPDATE vps SET record = ?2 WHERE seq = ?1",
            params![self.seq, json],
        )?;
        write_history(tx, &self.record, &self.addresses_before, by)?;
        Ok(self.record)
    }
}

/// Saves a new record.
pub(crate) fn insert(tx: &Transaction<'_>, mut new: Record, by: &str) -> Result<Record, Refusal> {
    new.created_at = Moment::now().micros();
    new.updated_at.clone_from(&new.created_at);
    new.settle_extra()?;
    tx.execute("INSERT INTO vps (record) VALUES (?1)", [to_json(&new)?])?;
    write_history(tx, &new, &[], by)?;
    Ok(new)
}

/// Any record, also a deleted one.
pub(crate) fn by_id(db: &Connection, id: &Id) -> Result<Found, Refusal> {
    let found = db
        .query_row(
            "SELECT seq, record FROM vps WHERE id = ?1",
            [id.as_str()],
            found,
        )
        .optional()?;
    found.ok_or(Refusal::NotFound)
}

/// The record that an agent of this hostname means: not deleted, and of that name or merged with it.
pub(crate) fn by_hostname(db: &Connection, hostname: &str) -> rusqlite::Result<Option<Found>> {
    const NAMED: &str = "SELECT seq, record FROM vps
        WHERE hostname = ?1 AND status <> 'deleted' ORDER BY seq LIMIT 1";
    const MERGED: &str = "SELECT seq, record FROM vps
        WHERE merged IS NOT NULL AND status <> 'deleted' AND EXISTS (
            SELECT 1 FROM json_each(record, '$.extra.merged_hostnames') WHERE value = ?1)
        ORDER BY seq LIMIT 1";
    let named = db.query_row(NAMED, [hostname], found).optional()?;
    if named.is_some() {
        return Ok(named);
    }
    db.query_row(MERGED, [hostname], found).optional()
}

/// One page of a list, as the wire shows it.
#[derive(Serialize)]
pub(crate) struct Listed<T> {
    data: Vec<T>,
    total: i64,
    page: i64,
    per_page: i64,
}

impl<T> Listed<T> {
    pub(crate) fn new(data: Vec<T>, total: i64, page: &Page) -> Listed<T> {
        Listed {
            data,
            total,
            page: page.page,
            per_page: page.per_page,
        }
    }
}

/// The page of records that a query asks for. Without a status: all that are not deleted.
pub(crate) fn page(db: &Connection, query: &Query) -> Result<Listed<Record>, Refusal> {
    const WHERE: &str = "FROM vps WHERE
        iif(:status IS NULL, status <> 'deleted', status = :status)
        AND (:country IS NULL OR record ->> '$.country' = :country)
        AND (:provider_id IS NULL OR record ->> '$.provider_id' = :provider_id)
        AND (:purpose IS NULL OR record ->> '$.purpose' = :purpose)
        AND (:source IS NULL OR record ->> '$.source' = :source)
        AND (:tag IS NULL OR EXISTS (
            SELECT 1 FROM json_each(record, '$.tags') WHERE value = :tag))
        AND (:days IS NULL OR record ->> '$.expire_date' <= date('now', :days || ' days'))";
    let page = query.page()?;
    let days = query.integer("expiring_within_days")?;
    let filter = named_params! {
        ":status": query.get("status"), ":country": query.get("country"),
        ":provider_id": query.get("provider_id"), ":purpose": query.get("purpose"),
        ":source": query.get("source"), ":tag": query.get("tag"), ":days": days,
    };
    let total = db.query_row(&format!("SELECT count(*) {WHERE}"), filter, |row| {
        row.get(0)
    })?;
    let (limit, offset) = (page.per_page, page.offset());
    let list =
        format!("SELECT record {WHERE} ORDER BY hostname, seq LIMIT {limit} OFFSET {offset}");
    let data = db
        .prepare(&list)?
        .query_map(filter, |row| record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(Listed::new(data, total, &page))
}

/// The first records of a status, or of every status but `deleted`, by hostname; of each, what
/// `show` makes of it.
pub(crate) fn first<T>(
    db: &Connection,
    status: Option<&str>,
    limit: u32,
    show: impl Fn(&Record) -> T,
) -> rusqlite::Result<Vec<T>> {
    let mut list = db.prepare(
        "SELECT record FROM vps WHERE iif(?1 IS NULL, status <> 'deleted', status = ?1)
         ORDER BY hostname, seq LIMIT ?2",
    )?;
    let records = list.query_map(params![status, limit], |row| record(row, 0))?;
    records.map(|record| Ok(show(&record?))).collect()
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let record = record(row, 1)?;
    Ok(Found {
        seq: row.get(0)?,
        addresses_before: record.ip_addresses.clone(),
        record,
    })
}

fn record(row: &Row<'_>, column: usize) -> rusqlite::Result<Record> {
    let json = row.get_ref(column)?.as_str()?;
    serde_json::from_str(json).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, e.into())
    })
}

fn to_json(record: &Record) -> Result<String, Refusal> {
    let json = serde_json::to_string(record).map_err(|e| Refusal::Internal(e.to_string()))?;
    if json.len() > LARGEST_RECORD {
        let why = format!("the record would be larger than {LARGEST_RECORD} bytes");
        return Err(Refusal::BadRequest(why));
    }
    Ok(json)
}

/// An address that came or went. A changed label is no event.
#[derive(Serialize)]
struct HistoryEntry {
    id: String,
    vps_id: String,
    action: String,
    ip: String,
    label: String,
    source: String,
    created_at: String,
}

fn write_history(
    tx: &Transaction<'_>,
    record: &Record,
    before: &[Address],
    by: &str,
) -> Result<(), Refusal> {
    let missing_in = |list: &[Address], address: &Address| list.iter().all(|a| a.ip != address.ip);
    let after = &record.ip_addresses;
    let removed = before
        .iter()
        .filter(|a| missing_in(after, a))
        .map(|a| ("removed", a));
    let added = after
        .iter()
        .filter(|a| missing_in(before, a))
        .map(|a| ("added", a));
    let mut insert = tx.prepare(
        "INSERT INTO ip_history (id, vps_id, action, ip, label, source, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (action, address) in removed.chain(added) {
        let (id, vps_id) = (Id::new()?, record.id.as_str());
        let Address { ip, label } = address;
        insert.execute(params![
            id.as_str(),
            vps_id,
            action,
            ip,
            label,
            by,
            record.updated_at
        ])?;
    }
    Ok(keep_newest(tx, "ip_history", HISTORY_KEPT)?)
}

/// Deletes all but the newest rows of a table that only grows.
pub(crate) fn keep_newest(tx: &Transaction<'_>, table: &str, kept: i64) -> rusqlite::Result<()> {
    let outdated = format!("DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?1");
    tx.execute(&outdated, [kept])?;
    Ok(())
}

/// One page of a record's history, newest first.
pub(crate) fn history(
    db: &Connection,
    id: &Id,
    query: &Query,
) -> Result<impl Serialize + use<>, Refusal> {
    const WHERE: &str = "FROM ip_history WHERE vps_id = :id
        AND (:action IS NULL OR action = :action) AND (:ip IS NULL OR ip = :ip)";
    let page = query.page()?;
    let filter = named_params! {
        ":id": id.as_str(), ":action": query.get("action"), ":ip": query.get("ip"),
    };
    let total = db.query_row(&format!("SELECT count(*) {WHERE}"), filter, |row| {
        row.get(0)
    })?;
    let (limit, offset) = (page.per_page, page.offset());
    let list = format!(
        "SELECT id, vps_id, action, ip, label, source, created_at {WHERE}
         ORDER BY created_at DESC, seq LIMIT {limit} OFFSET {offset}"
    );
    let mut list = db.prepare(&list)?;
    let data = list
        .query_map(filter, history_entry)?
        .collect::<Result<_, _>>()?;
    Ok(Listed::<HistoryEntry>::new(data, total, &page))
}

fn history_entry(row: &Row<'_>) -> rusqlite::Result<HistoryEntry> {
    Ok(HistoryEntry {
        id: row.get(0)?,
        vps_id: row.get(1)?,
        action: row.get(2)?,
        ip: row.get(3)?,
        label: row.get(4)?,
        source: row.get(5)?,
        created_at: row.get(6)?,
    })
}
