//! The handle of a lab, and the options it is made with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::HeaderMap;
use rusqlite::OptionalExtension;

use crate::api::Made;
use crate::error::{Error, Result};
use crate::key::{KeyHash, Role};
use crate::luna::Outage;
use crate::rate::RateLimit;
use crate::record::{Address, Record};
use crate::rows;
use crate::store::Store;

/// How many records [`Lab::vps`] returns at most.
const MOST_SHOWN: u32 = 1000;

/// How a lab is to behave. The default: in memory, keys required, no rate limit.
#[derive(Clone, Debug)]
pub struct Options {
    database: Option<PathBuf>,
    require_keys: bool,
    admin_key: Option<KeyHash>,
    rate_limit: Option<(u32, Duration)>,
    agent_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            database: None,
            require_keys: true,
            admin_key: None,
            rate_limit: None,
            agent_timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Keeps the database in this file, which is made if it is missing. Its directory must exist.
    #[must_use]
    pub fn database(mut self, file: impl Into<PathBuf>) -> Options {
        self.database = Some(file.into());
        self
    }

    /// With `false`, a request **without** a key is an admin's, as in a Sigma API that has no key
    /// configured. A wrong or empty key is refused even then.
    #[must_use]
    pub fn require_keys(mut self, required: bool) -> Options {
        self.require_keys = required;
        self
    }

    /// A key of role admin that the caller chose, without the blanks around it; an empty one is
    /// none. Only its SHA-256 is kept, and only in memory.
    #[must_use]
    pub fn admin_key(mut self, key: &str) -> Options {
        let key = key.trim();
        self.admin_key = (!key.is_empty()).then(|| KeyHash::of(key.as_bytes()));
        self
    }

    /// Answers 429 to an address after so many requests within a window. The real API's default is
    /// 100 in 60 seconds.
    #[must_use]
    pub fn rate_limit(mut self, requests: u32, window: Duration) -> Options {
        self.rate_limit = Some((requests, window));
        self
    }

    /// How long an agent may take to allocate ports, from dialling to its last byte: 10 seconds
    /// unless said otherwise.
    #[must_use]
    pub fn agent_timeout(mut self, timeout: Duration) -> Options {
        self.agent_timeout = timeout;
        self
    }
}

/// A Sigma API for one machine. A cheap handle: clones share the database, which is closed when the
/// last one is dropped.
#[derive(Clone)]
pub struct Lab {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    require_keys: bool,
    admin_key: Option<KeyHash>,
    rate_limit: Option<RateLimit>,
    agent_timeout: Duration,
    outage: Mutex<Option<Outage>>,
}

/// A record as a demo would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vps {
    /// Its UUID.
    pub id: String,
    /// The name by which its agent is known.
    pub hostname: String,
    /// The alias, empty when there is none.
    pub alias: String,
    /// provisioning, active, retiring, retired or suspended.
    pub status: String,
    /// The addresses, in the order of the agent.
    pub addresses: Vec<Address>,
    /// When an agent last registered or sent a heartbeat, RFC 3339.
    pub last_heartbeat: Option<String>,
}

impl Lab {
    /// A lab that forgets everything when its last handle is dropped.
    ///
    /// # Errors
    /// SQLite could not make a database in memory.
    pub fn in_memory() -> Result<Lab> {
        Lab::with(Options::default())
    }

    /// A lab on a file, which is made if it is missing and stays locked while the lab lives. Waits
    /// up to a second for another process to let go of it.
    ///
    /// # Errors
    /// The file is held by another process, damaged, of another program or of a newer release, or
    /// cannot be read and written.
    pub fn open(path: &Path) -> Result<Lab> {
        Lab::with(Options::default().database(path))
    }

    /// A lab that behaves as told.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub fn with(options: Options) -> Result<Lab> {
        let store = match &options.database {
            Some(path) => Store::open(path)?,
            None => Store::in_memory()?,
        };
        let inner = Inner {
            store,
            require_keys: options.require_keys,
            admin_key: options.admin_key,
            rate_limit: options
                .rate_limit
                .map(|(n, window)| RateLimit::new(n, window)),
            agent_timeout: options.agent_timeout,
            outage: Mutex::default(),
        };
        Ok(Lab {
            inner: Arc::new(inner),
        })
    }

    /// Makes a key: `sk_sigma_` and 40 hex digits. It is shown here and never again; the database
    /// keeps its SHA-256.
    ///
    /// # Errors
    /// The kernel gave no random numbers, or the database could not be written.
    pub fn create_key(&self, name: &str, role: Role) -> Result<String> {
        let made = Made::new(name.to_owned(), role).map_err(|e| Error::Random(e.into()))?;
        let store = self.store();
        store
            .write(|tx| made.save(tx))
            .map_err(|e| store.failure(e))?;
        Ok(made.key)
    }

    /// A new key in the place of all of the same name: those are refused from now on. For a program that makes
    /// its keys at each start.
    ///
    /// # Errors
    /// The kernel gave no random bytes, or the database could not be written.
    pub fn replace_key(&self, name: &str, role: Role) -> Result<String> {
        let made = Made::new(name.to_owned(), role).map_err(|e| Error::Random(e.into()))?;
        let store = self.store();
        store
            .write(|tx| {
                tx.execute("DELETE FROM api_keys WHERE name = ?1", [name])?;
                made.save(tx)
            })
            .map_err(|e| store.failure(e))?;
        Ok(made.key)
    }

    /// The records that are not deleted, by hostname; at most the first 1000.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn vps(&self) -> Result<Vec<Vps>> {
        let store = self.store();
        let shown = store.read(|db| rows::first(db, None, MOST_SHOWN, shown));
        shown.map_err(|e| store.failure(e))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn rate_limit(&self) -> Option<&RateLimit> {
        self.inner.rate_limit.as_ref()
    }

    pub(crate) fn agent_timeout(&self) -> Duration {
        self.inner.agent_timeout
    }

    pub(crate) fn outage(&self) -> &Mutex<Option<Outage>> {
        &self.inner.outage
    }

    /// The role of a request, by its `X-Api-Key`. A key that is sent must be right, also where none
    /// is required.
    pub(crate) fn role_of(&self, headers: &HeaderMap) -> rusqlite::Result<Option<Role>> {
        let Some(key) = headers.get("x-api-key") else {
            return Ok((!self.inner.require_keys).then_some(Role::Admin));
        };
        let hash = KeyHash::of(key.as_bytes());
        if self.inner.admin_key.as_ref() == Some(&hash) {
            return Ok(Some(Role::Admin));
        }
        let role = self.store().read(|db| {
            let managed = "SELECT role FROM api_keys WHERE hash = ?1";
            db.query_row(managed, [hash.as_bytes()], |row| row.get::<_, String>(0))
                .optional()
        })?;
        Ok(role.as_deref().and_then(Role::named))
    }
}

fn shown(record: &Record) -> Vps {
    let extra = record.extra.as_ref();
    let last_heartbeat = extra.and_then(|extra| extra.get("last_heartbeat")?.as_str());
    Vps {
        id: record.id.as_str().to_owned(),
        hostname: record.hostname.clone(),
        alias: record.alias.clone(),
        status: record.status.as_str().to_owned(),
        addresses: record.ip_addresses.clone(),
        last_heartbeat: last_heartbeat.map(str::to_owned),
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab")
            .field("database", &self.store().path())
            .finish_non_exhaustive()
    }
}
