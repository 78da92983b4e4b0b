//! Parameters: checked against the object before anything reaches the kernel, written before anything is attached.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Map, Value};

use crate::bytes::length;
use crate::error::ParameterError;
use crate::parameter_place::Place;
use crate::scanned_map::ScannedMap;
use crate::scanned_object::{Global, ScannedObject};
use crate::syscall::MapHandle;
use crate::typed_value::{Encoder, listed, opaque};
use crate::value_texts::cidr;

/// More entries than this in one map are no parameter.
const MAX_ENTRIES: usize = 1 << 20;

/// All parameters of a program, as bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    /// Constants: set while the program is loaded, never again.
    pub(crate) constants: Vec<Patch>,
    /// Variables: pieces of data sections.
    pub(crate) variables: Vec<Patch>,
    pub(crate) maps: Vec<MapContent>,
}

/// New bytes for a global variable.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) name: String,
    pub(crate) section: String,
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What a map shall hold: all of it for maps with keys of their own, the named entries of arrays.
#[derive(Clone, Debug)]
pub(crate) struct MapContent {
    pub(crate) map: String,
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether entries that are not named here go away.
    pub(crate) complete: bool,
    pub(crate) max_entries: usize,
}

/// Checks and encodes. `parameters` is an object, or null for none.
pub(crate) fn prepare(
    object: &ScannedObject,
    parameters: &Value,
    encoder: Encoder<'_>,
    possible_cpus: usize,
) -> Result<Prepared, ParameterError> {
    let none = Map::new();
    let parameters = match parameters {
        Value::Object(parameters) => parameters,
        Value::Null => &none,
        _ => return Err(Place::root("parameters").error("an object by names is needed")),
    };
    let mut prepared = Prepared::default();
    for (name, value) in parameters {
        let place = Place::root(name);
        if let Some(global) = object.globals.get(name) {
            let patch = encode_global(name, global, value, encoder, &place)?;
            let constant = global.section.starts_with(".rodata");
            if constant {
                prepared.constants.push(patch);
            } else {
                prepared.variables.push(patch);
            }
        } else if let Some(map) = object.map(name) {
            prepared
                .maps
                .push(encode_map(map, value, encoder, possible_cpus, &place)?);
        } else {
            return Err(place.error(format!(
                "the program has no such parameter; it has {}",
                listed(object.parameter_names().into_iter())
            )));
        }
    }
    Ok(prepared)
}

fn encode_global(
    name: &str,
    global: &Global,
    value: &Value,
    encoder: Encoder<'_>,
    place: &Place<'_>,
) -> Result<Patch, ParameterError> {
    let mut bytes = global.initial.clone();
    encoder.encode(global.of, value, &mut bytes, place)?;
    Ok(Patch {
        name: name.to_owned(),
        section: global.section.clone(),
        offset: global.offset,
        bytes,
    })
}

fn encode_map(
    map: &ScannedMap,
    value: &Value,
    encoder: Encoder<'_>,
    possible_cpus: usize,
    place: &Place<'_>,
) -> Result<MapContent, ParameterError> {
    if !map.takes_entries() {
        return Err(place.error("maps of this type take no parameters"));
    }
    let one = MapEncoder {
        map,
        encoder,
        possible_cpus,
    };
    let entries = if map.is_array() {
        one.array(value, place)?
    } else {
        one.keyed(value, place)?
    };
    let max_entries = length(map.max_entries);
    if entries.len() > max_entries.min(MAX_ENTRIES) {
        return Err(place.error(format!(
            "{} entries do not fit into {max_entries}",
            entries.len()
        )));
    }
    Ok(MapContent {
        map: map.name.clone(),
        entries,
        complete: !map.is_array(),
        max_entries,
    })
}

struct MapEncoder<'a> {
    map: &'a ScannedMap,
    encoder: Encoder<'a>,
    possible_cpus: usize,
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl MapEncoder<'_> {
    /// `[value, value]`, or the value alone if there is but one entry.
    fn array(&self, value: &Value, place: &Place<'_>) -> Result<Entries, ParameterError> {
        let values = match value {
            Value::Array(values) if self.map.max_entries != 1 || !self.value_is_array() => {
                values.as_slice()
            }
            _ if self.map.max_entries == 1 => std::slice::from_ref(value),
            _ => return Err(place.error("an array of the map's entries is needed")),
        };
        let mut entries = Entries::new();
        for (index, value) in values
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_null())
        {
            let here = place.index(index);
            let key = u32::try_from(index).map_err(|_| here.error("too many entries"))?;
            if key >= self.map.max_entries {
                return Err(here.error(format!("the map has {} entries", self.map.max_entries)));
            }
            entries.insert(key.to_ne_bytes().to_vec(), self.value(value, &here)?);
        }
        Ok(entries)
    }

    fn value_is_array(&self) -> bool {
        let found = self.map.value.and_then(|of| self.encoder.btf.resolve(of));
        found.is_some_and(|(_, found, _)| matches!(found.shape, crate::btf::Shape::Array { .. }))
    }

    /// `{"key": value}` for keys that are text, `[{"key": .., "value": ..}]` for all.
    fn keyed(&self, value: &Value, place: &Place<'_>) -> Result<Entries, ParameterError> {
        let mut entries = Entries::new();
        let mut add = |key: &Value, value: &Value, here: &Place<'_>| {
            let (key, value) = (
                self.key(key, &here.name("key"))?,
                self.value(value, &here.name("value"))?,
            );
            entries
                .insert(key, value)
                .map_or(Ok(()), |_| Err(here.error("the key appears twice")))
        };
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    add(&Value::String(key.clone()), value, &place.name(key))?;
                }
            }
            Value::Array(list) => {
                for (index, entry) in list.iter().enumerate() {
                    let here = place.index(index);
                    let (Some(key), Some(value), Some(2)) = (
                        entry.get("key"),
                        entry.get("value"),
                        entry.as_object().map(Map::len),
                    ) else {
                        return Err(here.error("an object with `key` and `value` is needed"));
                    };
                    add(key, value, &here)?;
                }
            }
            _ => {
                return Err(place.error(
                    "an object {key: value} or an array of {\"key\": .., \"value\": ..} is needed",
                ));
            }
        }
        Ok(entries)
    }

    fn key(&self, value: &Value, place: &Place<'_>) -> Result<Vec<u8>, ParameterError> {
        let mut out = vec![0; length(self.map.key_bytes)];
        match (value, self.map.key) {
            (Value::String(text), _) if self.map.is_trie() && out.len() > 4 => {
                cidr(text, &mut out, place)?;
            }
            (_, Some(of)) => self.encoder.encode(of, value, &mut out, place)?,
            (_, None) => opaque(value, &mut out, place)?,
        }
        Ok(out)
    }

    fn value(&self, value: &Value, place: &Place<'_>) -> Result<Vec<u8>, ParameterError> {
        let mut out = vec![0; length(self.map.value_bytes)];
        match self.map.value {
            Some(of) => self.encoder.encode(of, value, &mut out, place)?,
            None => opaque(value, &mut out, place)?,
        }
        if self.map.is_per_cpu() {
            out.resize(out.len().next_multiple_of(8), 0);
            out = out.repeat(self.possible_cpus);
        }
        Ok(out)
    }
}

/// Writes pieces of a data section. Others of its variables keep what they have.
pub(crate) fn write_variables<'p>(
    section: MapHandle<'_>,
    patches: impl Iterator<Item = &'p Patch>,
) -> io::Result<()> {
    const FIRST: [u8; 4] = [0; 4];
    let mut content = section.lookup(&FIRST)?;
    for patch in patches {
        let end = patch.offset.saturating_add(patch.bytes.len());
        let slot = content
            .get_mut(patch.offset..end)
            .ok_or(io::ErrorKind::InvalidInput)?;
        slot.copy_from_slice(&patch.bytes);
    }
    section.update(&FIRST, &content)
}

/// Whether a section holds these bytes already.
pub(crate) fn holds(section: MapHandle<'_>, patch: &Patch) -> io::Result<bool> {
    let content = section.lookup(&[0; 4])?;
    let end = patch.offset.saturating_add(patch.bytes.len());
    Ok(content.get(patch.offset..end) == Some(patch.bytes.as_slice()))
}

/// Makes a map hold what it shall. New entries come before old ones go, if there is room for both.
pub(crate) fn write_map(map: MapHandle<'_>, content: &MapContent) -> io::Result<()> {
    let obsolete = if content.complete {
        obsolete_keys(map, content)?
    } else {
        Vec::new()
    };
    let tight = obsolete.len().saturating_add(content.entries.len()) > content.max_entries;
    if tight {
        delete(map, &obsolete)?;
    }
    for (key, value) in &content.entries {
        map.update(key, value)?;
    }
    if tight {
        Ok(())
    } else {
        delete(map, &obsolete)
    }
}

fn delete(map: MapHandle<'_>, keys: &[Vec<u8>]) -> io::Result<()> {
    for key in keys {
        match map.delete(key) {
            // The program itself may have been faster.
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn obsolete_keys(map: MapHandle<'_>, content: &MapContent) -> io::Result<Vec<Vec<u8>>> {
    let keys = keys(map, content.max_entries)?;
    Ok(keys
        .into_iter()
        .filter(|key| !content.entries.contains_key(key))
        .collect())
}

/// All keys, or as many as the map can hold: a map that changes meanwhile must not hold us up.
fn keys(map: MapHandle<'_>, most: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while keys.len() < most {
        match map.next_key(keys.last().map(Vec::as_slice))? {
            Some(key) => keys.push(key),
            None => break,
        }
    }
    Ok(keys)
}

/// What a map holds of that content's keys now, in order to put it back.
pub(crate) fn remember(map: MapHandle<'_>, content: &MapContent) -> io::Result<MapContent> {
    let keys = if content.complete {
        keys(map, content.max_entries)?
    } else {
        content.entries.keys().cloned().collect()
    };
    let mut entries = Entries::new();
    for key in keys {
        if let Ok(value) = map.lookup(&key) {
            entries.insert(key, value);
        }
    }
    Ok(MapContent {
        entries,
        ..content.clone()
    })
}

#[cfg(test)]
mod tests;
