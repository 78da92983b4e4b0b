//! What probes report: whether an address could be reached.

use rusqlite::{Row, named_params, params};
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer, Refusal};
use crate::clock::Moment;
use crate::id::Id;
use crate::query::Query;
use crate::record::check_address;
use crate::rows::{self, Listed};
use crate::store::Store;

/// How many of the newest reports are kept.
const KEPT: i64 = 10_000;

#[derive(Deserialize)]
pub(super) struct Report {
    vps_id: Id,
    ip: String,
    #[serde(default)]
    check_type: String,
    #[serde(default)]
    source: String,
    success: bool,
    latency_ms: Option<i32>,
}

#[derive(Serialize)]
struct Check {
    id: String,
    vps_id: String,
    ip: String,
    check_type: String,
    source: String,
    success: bool,
    latency_ms: Option<i32>,
    checked_at: String,
}

pub(super) fn create(store: &Store, report: Report) -> Result<Answer, Refusal> {
    check_address(&report.ip)?;
    let check = Check {
        id: Id::new()?.as_str().to_owned(),
        vps_id: report.vps_id.as_str().to_owned(),
        ip: report.ip,
        check_type: report.check_type,
        source: report.source,
        success: report.success,
        latency_ms: report.latency_ms,
        checked_at: Moment::now().micros(),
    };
    store.write(|tx| {
        rows::by_id(tx, &report.vps_id)?;
        tx.execute(
            "INSERT INTO ip_checks
                 (id, vps_id, ip, check_type, source, success, latency_ms, checked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                check.id,
                check.vps_id,
                check.ip,
                check.check_type,
                check.source,
                check.success,
                check.latency_ms,
                check.checked_at
            ],
        )?;
        Ok::<_, Refusal>(rows::keep_newest(tx, "ip_checks", KEPT)?)
    })?;
    answer::ok(&check)
}

/// One page of reports, newest first.
pub(super) fn list(store: &Store, query: &Query) -> Result<Answer, Refusal> {
    const WHERE: &str = "FROM ip_checks WHERE (:vps_id IS NULL OR vps_id = :vps_id)
        AND (:ip IS NULL OR ip = :ip) AND (:source IS NULL OR source = :source)
        AND (:check_type IS NULL OR check_type = :check_type)
        AND (:success IS NULL OR success = (:success = 'true'))";
    let page = query.page()?;
    let filter = named_params! {
        ":vps_id": query.get("vps_id"), ":ip": query.get("ip"), ":source": query.get("source"),
        ":check_type": query.get("check_type"), ":success": query.get("success"),
    };
    let (limit, offset) = (page.per_page, page.offset());
    let list = format!(
        "SELECT id, vps_id, ip, check_type, source, success, latency_ms, checked_at {WHERE}
         ORDER BY seq DESC LIMIT {limit} OFFSET {offset}"
    );
    let listed = store.read(|db| -> Result<_, Refusal> {
        let total = db.query_row(&format!("SELECT count(*) {WHERE}"), filter, |row| {
            row.get(0)
        })?;
        let data = db
            .prepare(&list)?
            .query_map(filter, check)?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Listed::new(data, total, &page))
    })?;
    answer::ok(&listed)
}

fn check(row: &Row<'_>) -> rusqlite::Result<Check> {
    Ok(Check {
        id: row.get(0)?,
        vps_id: row.get(1)?,
        ip: row.get(2)?,
        check_type: row.get(3)?,
        source: row.get(4)?,
        success: row.get(5)?,
        latency_ms: row.get(6)?,
        checked_at: row.get(7)?,
    })
}
