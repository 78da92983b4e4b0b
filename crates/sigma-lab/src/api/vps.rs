//! What people and tools do with records: list, create, change, retire, delete, merge.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::{self, Answer, Refusal};
use crate::body::wrong_shape;
use crate::clock::Moment;
use crate::id::Id;
use crate::query::Query;
use crate::record::{Fields, Record, Status};
use crate::rows;
use crate::store::Store;

/// The history's name for changes by operators, and the source of records they made.
const BY: &str = "manual";

pub(super) fn list(store: &Store, query: &Query) -> Result<Answer, Refusal> {
    answer::ok(&store.read(|db| rows::page(db, query))?)
}

pub(super) fn get(store: &Store, id: &Id) -> Result<Answer, Refusal> {
    answer::ok(&store.read(|db| rows::by_id(db, id))?.record)
}

pub(super) fn history(store: &Store, id: &Id, query: &Query) -> Result<Answer, Refusal> {
    let page = store.read(|db| {
        rows::by_id(db, id)?;
        rows::history(db, id, query)
    })?;
    answer::ok(&page)
}

/// Makes a record. Unless it says otherwise its `extra` is null, and an agent can store nothing there.
pub(super) fn create(store: &Store, fields: Fields) -> Result<Answer, Refusal> {
    let Some(hostname) = fields.hostname.clone() else {
        return Err(wrong_shape(&"missing field `hostname`"));
    };
    let mut new = Record::new(hostname, Status::Provisioning, BY)?;
    new.apply(fields)?;
    answer::ok(&store.write(|tx| rows::insert(tx, new, BY))?)
}

pub(super) fn update(store: &Store, id: &Id, fields: Fields) -> Result<Answer, Refusal> {
    answer::ok(&change(store, id, |record| record.apply(fields))?)
}

/// Soft: the record stays, but no agent finds it any more.
pub(super) fn delete(store: &Store, id: &Id) -> Result<Answer, Refusal> {
    change(store, id, |record| {
        record.status = Status::Deleted;
        Ok(())
    })?;
    answer::ok(&json!({ "deleted": true }))
}

pub(super) fn retire(store: &Store, id: &Id) -> Result<Answer, Refusal> {
    let retired = change(store, id, |record| {
        record.status = Status::Retired;
        record.monitoring_enabled = false;
        record.note("retired_at", Moment::now().nanos().into());
        Ok(())
    })?;
    answer::ok(&retired)
}

/// Brings a deleted record back, as a retired one.
pub(super) fn restore(store: &Store, id: &Id) -> Result<Answer, Refusal> {
    let restored = change(store, id, |record| {
        if record.status != Status::Deleted {
            return Err(Refusal::BadRequest("VPS is not deleted".to_owned()));
        }
        record.status = Status::Retired;
        Ok(())
    })?;
    answer::ok(&restored)
}

#[derive(Deserialize)]
pub(super) struct Merge {
    target_id: Id,
    source_id: Id,
}

#[derive(Serialize)]
struct Merged<'a> {
    merged_vps: Record,
    deleted_id: &'a Id,
}

/// The source is deleted; its hostname from now on means the target.
pub(super) fn merge(store: &Store, ids: &Merge) -> Result<Answer, Refusal> {
    if ids.target_id == ids.source_id {
        return Err(Refusal::BadRequest(
            "a VPS cannot be merged with itself".to_owned(),
        ));
    }
    let merged = store.write(|tx| {
        let mut target = rows::by_id(tx, &ids.target_id)?;
        let mut source = rows::by_id(tx, &ids.source_id)?;
        add_name(&mut target.record, &source.record.hostname);
        source.record.status = Status::Deleted;
        source.save(tx, BY)?;
        target.save(tx, BY)
    })?;
    answer::ok(&Merged {
        merged_vps: merged,
        deleted_id: &ids.source_id,
    })
}

fn add_name(target: &mut Record, hostname: &str) {
    let extra = target.extra.get_or_insert_with(Map::new);
    let names = extra.entry("merged_hostnames").or_insert_with(|| json!([]));
    if let Value::Array(names) = names
        && !names.iter().any(|name| name == hostname)
    {
        names.push(hostname.into());
    }
}

fn change(
    store: &Store,
    id: &Id,
    edit: impl FnOnce(&mut Record) -> Result<(), Refusal>,
) -> Result<Record, Refusal> {
    store.write(|tx| {
        let mut found = rows::by_id(tx, id)?;
        edit(&mut found.record)?;
        found.save(tx, BY)
    })
}
