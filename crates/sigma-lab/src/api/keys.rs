//! Managed keys: making one, and listing what is known of them.

use rusqlite::{Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer, Refusal};
use crate::clock::Moment;
use crate::id::Id;
use crate::key::{KeyHash, Role, new_key, shown_prefix};
use crate::query::Query;
use crate::rows::Listed;
use crate::store::Store;

#[derive(Deserialize)]
pub(super) struct Wanted {
    name: String,
    #[serde(default = "least")]
    role: Role,
}

fn least() -> Role {
    Role::Readonly
}

/// A key in the only moment when it is known.
#[derive(Serialize)]
pub(crate) struct Made {
    id: Id,
    name: String,
    pub(crate) key: String,
    key_prefix: String,
    role: Role,
    created_at: String,
}

pub(super) fn create(store: &Store, wanted: Wanted) -> Result<Answer, Refusal> {
    if wanted.name.trim().is_empty() {
        return Err(Refusal::BadRequest("name is required".to_owned()));
    }
    let made = Made::new(wanted.name, wanted.role)?;
    store.write(|tx| made.save(tx))?;
    answer::ok(&made)
}

impl Made {
    pub(crate) fn new(name: String, role: Role) -> Result<Made, getrandom::Error> {
        let key = new_key()?;
        let key_prefix = shown_prefix(&key).to_owned();
        Ok(Made {
            id: Id::new()?,
            name,
            key,
            key_prefix,
            role,
            created_at: Moment::now().micros(),
        })
    }

    pub(crate) fn save(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let hash = KeyHash::of(self.key.as_bytes());
        let (id, role) = (self.id.as_str(), self.role.as_str());
        tx.execute(
            "INSERT INTO api_keys (id, name, hash, key_prefix, role, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                self.name,
                hash.as_bytes(),
                self.key_prefix,
                role,
                self.created_at
            ],
        )?;
        Ok(())
    }
}

/// What a list shows of a key. Use is not recorded, so `last_used_at` is unknown.
#[derive(Serialize)]
struct Known {
    id: String,
    name: String,
    key_prefix: String,
    role: String,
    created_by: Option<String>,
    last_used_at: Option<String>,
    created_at: String,
    updated_at: String,
}

pub(super) fn list(store: &Store, query: &Query) -> Result<Answer, Refusal> {
    let page = query.page()?;
    let listed = store.read(|db| -> Result<_, Refusal> {
        let total = db.query_row("SELECT count(*) FROM api_keys", [], |row| row.get(0))?;
        let mut list = db.prepare(
            "SELECT id, name, key_prefix, role, created_at FROM api_keys
             ORDER BY seq LIMIT ?1 OFFSET ?2",
        )?;
        let rows = list.query_map([page.per_page, page.offset()], known)?;
        Ok(Listed::new(
            rows.collect::<Result<Vec<_>, _>>()?,
            total,
            &page,
        ))
    })?;
    answer::ok(&listed)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let created_at: String = row.get(4)?;
    Ok(Known {
        id: row.get(0)?,
        name: row.get(1)?,
        key_prefix: row.get(2)?,
        role: row.get(3)?,
        created_by: None,
        last_used_at: None,
        updated_at: created_at.clone(),
        created_at,
    })
}
