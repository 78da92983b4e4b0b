//! The database: one SQLite file or memory, held by one process, opened only if it is sound and ours.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Result};

/// How long opening waits for another process to let go of the file.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// "SigL": tells our files from other programs' databases.
const APPLICATION_ID: i32 = 0x5369_674c;
/// Rises with every step that is added to `SCHEMA`.
const SCHEMA_VERSION: i32 = 2;
/// What makes each version of the one before it. A step that has been released is never changed.
const SCHEMA: [&str; 2] = [VERSION_1, VERSION_2];

/// A record is kept as the JSON that the wire shows; what is searched for is computed from it, so
/// that nothing can disagree.
const VERSION_1: &str = "
CREATE TABLE vps (
    seq INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    id TEXT NOT NULL AS (record ->> '$.id'),
    hostname TEXT NOT NULL AS (record ->> '$.hostname'),
    status TEXT NOT NULL AS (record ->> '$.status'),
    merged TEXT AS (record ->> '$.extra.merged_hostnames')
) STRICT;
CREATE UNIQUE INDEX vps_by_id ON vps (id);
CREATE INDEX vps_by_hostname ON vps (hostname);
CREATE INDEX vps_that_were_merged ON vps (seq) WHERE merged IS NOT NULL;
CREATE TABLE ip_history (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    vps_id TEXT NOT NULL,
    action TEXT NOT NULL,
    ip TEXT NOT NULL,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX ip_history_by_vps ON ip_history (vps_id);
CREATE TABLE ip_checks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    vps_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    check_type TEXT NOT NULL,
    source TEXT NOT NULL,
    success INTEGER NOT NULL,
    latency_ms INTEGER,
    checked_at TEXT NOT NULL
) STRICT;
CREATE TABLE api_keys (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    key_prefix TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
";

/// The machines of the LunaSentri endpoint. Moments are microseconds since 1970. When a machine was
/// last seen stands with it, because its rows of metrics are given up one day.
const VERSION_2: &str = "
CREATE TABLE luna_machines (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL DEFAULT 1,
    last_seen INTEGER,
    hostname TEXT,
    platform TEXT,
    platform_version TEXT,
    kernel_version TEXT,
    cpu_cores INTEGER,
    memory_total_mb INTEGER,
    disk_total_gb INTEGER,
    last_boot_time TEXT
) STRICT;
CREATE TABLE luna_metrics (
    seq INTEGER PRIMARY KEY,
    machine_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    cpu_pct REAL NOT NULL,
    mem_used_pct REAL NOT NULL,
    disk_used_pct REAL NOT NULL,
    net_rx_bytes INTEGER NOT NULL,
    net_tx_bytes INTEGER NOT NULL,
    uptime_s REAL
) STRICT;
CREATE INDEX luna_metrics_by_machine ON luna_metrics (machine_id);
";

/// The one connection. Each use is a few short statements: microseconds in memory and on one
/// machine's file, so callers stay on their async thread.
pub(crate) struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    pub(crate) fn in_memory() -> Result<Store> {
        let path = PathBuf::from(":memory:");
        let mut connection = Connection::open_in_memory().map_err(|e| failed(&path, e))?;
        complete_schema(&mut connection, 0).map_err(|e| failed(&path, e))?;
        Ok(Store {
            connection: Mutex::new(connection),
            path,
        })
    }

    /// Opens or creates a file. It stays locked until the last handle is dropped, so no later
    /// statement ever waits for somebody else.
    pub(crate) fn open(path: &Path) -> Result<Store> {
        // SQLite gives some relative names a meaning of their own.
        let path = std::path::absolute(path).map_err(|e| failed(path, e))?;
        create_private(&path).map_err(|e| failed(&path, e))?;
        let mut connection = connect(&path).map_err(|e| failed(&path, e))?;
        let found = inspect(&mut connection).map_err(|e| failed(&path, e))?;
        match found {
            Found::Version(SCHEMA_VERSION) => {}
            Found::Version(older) => {
                complete_schema(&mut connection, older).map_err(|e| failed(&path, e))?;
            }
            Found::Unusable(why) => return Err(Error::Unusable { path, why }),
        }
        use_wal(&connection).map_err(|e| failed(&path, e))?;
        Ok(Store {
            connection: Mutex::new(connection),
            path,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One error of this store, for callers outside HTTP.
    pub(crate) fn failure(&self, source: rusqlite::Error) -> Error {
        failed(&self.path, source)
    }

    /// Runs reading statements.
    pub(crate) fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        work(&self.lock())
    }

    /// Runs statements that are all kept or, on an error, all undone. Nothing comes between them:
    /// what is looked up and then inserted is inserted once.
    pub(crate) fn write<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// A panic elsewhere undid its transaction, so the connection is fit for use.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records are nobody else's business: a new file is the owner's alone, and so are SQLite's files
/// beside it, which copy its mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}

/// What a file turned out to hold.
enum Found {
    /// A sound database of ours; an empty file counts as version 0.
    Version(i32),
    Unusable(String),
}

/// Looks before anything is written. The transaction takes the lock, which is then kept.
fn inspect(connection: &mut Connection) -> rusqlite::Result<Found> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |pragma: &str| transaction.pragma_query_value(None, pragma, |row| row.get(0));
    let (application, version): (i32, i32) = (number("application_id")?, number("user_version")?);
    let objects: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, version, objects) == (0, 0, 0) {
        return Ok(Found::Version(0));
    }
    if application != APPLICATION_ID {
        return Ok(Found::Unusable("it belongs to another program".to_owned()));
    }
    if !(1..=SCHEMA_VERSION).contains(&version) {
        let why = format!("its version is {version}, this release knows 1 to {SCHEMA_VERSION}");
        return Ok(Found::Unusable(why));
    }
    let health: String = transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if health != "ok" {
        return Ok(Found::Unusable(format!("it is damaged: {health}")));
    }
    Ok(Found::Version(version))
}

/// Takes the steps that a database of that version lacks: all of them, or none.
fn complete_schema(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let taken = usize::try_from(version).unwrap_or_default();
    for step in SCHEMA.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// With WAL and NORMAL a killed process loses nothing; a power cut may lose the last moments.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")
}

fn failed(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let path = path.to_owned();
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(source);
    match boxed
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code)
    {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Locked { path },
        _ => Error::Database {
            path,
            source: boxed,
        },
    }
}
