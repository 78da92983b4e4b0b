//! The maps of an object, from their definitions in BTF.

use std::collections::BTreeMap;

use crate::btf::{Btf, Shape};
use crate::object_checks::{Checked, check_name};

const MAX_MAPS: usize = 128;

/// One map of an object, data sections left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannedMap {
    /// Its name.
    pub name: String,
    /// `BPF_MAP_TYPE_*`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// How many entries it takes.
    pub max_entries: u32,
    pub(crate) key: Option<u32>,
    pub(crate) value: Option<u32>,
}

impl ScannedMap {
    /// One value per processor.
    pub(crate) fn is_per_cpu(&self) -> bool {
        matches!(self.map_type, 5 | 6 | 10)
    }

    /// Entries with the keys 0 to n-1, which always exist.
    pub(crate) fn is_array(&self) -> bool {
        matches!(self.map_type, 2 | 6)
    }

    pub(crate) fn is_trie(&self) -> bool {
        self.map_type == 11
    }

    /// Maps whose entries user space reads and writes by key.
    pub(crate) fn takes_entries(&self) -> bool {
        matches!(self.map_type, 1 | 2 | 5 | 6 | 9 | 10 | 11)
    }
}

pub(crate) fn collect_maps(btf: &Btf) -> Checked<Vec<ScannedMap>> {
    let mut maps = BTreeMap::new();
    for (name, of) in btf.section(".maps") {
        check_name("map", name)?;
        let map = scan_map(btf, name, of)?;
        maps.insert(name.to_owned(), map);
    }
    if maps.len() > MAX_MAPS {
        return Err(format!(
            "{} maps are more than the {MAX_MAPS} allowed",
            maps.len()
        ));
    }
    Ok(maps.into_values().collect())
}

fn scan_map(btf: &Btf, name: &str, of: u32) -> Checked<ScannedMap> {
    let wrong = || format!("map `{name}`: its definition is not understood");
    let (_, definition, _) = btf.resolve(of).ok_or_else(wrong)?;
    let Shape::Record { members, .. } = &definition.shape else {
        return Err(wrong());
    };
    let mut map = ScannedMap {
        name: name.to_owned(),
        map_type: 0,
        key_bytes: 0,
        value_bytes: 0,
        max_entries: 0,
        key: None,
        value: None,
    };
    for member in members {
        match member.name.as_str() {
            "type" => map.map_type = number(btf, member.of).ok_or_else(wrong)?,
            "key_size" => map.key_bytes = number(btf, member.of).ok_or_else(wrong)?,
            "value_size" => map.value_bytes = number(btf, member.of).ok_or_else(wrong)?,
            "max_entries" => map.max_entries = number(btf, member.of).ok_or_else(wrong)?,
            "key" => map.key = Some(pointed(btf, member.of).ok_or_else(wrong)?),
            "value" => map.value = Some(pointed(btf, member.of).ok_or_else(wrong)?),
            "pinning" if number(btf, member.of) != Some(0) => {
                return Err(format!(
                    "map `{name}` asks to be pinned by name, and so could be shared or stolen; leave `pinning` out"
                ));
            }
            _ => {}
        }
    }
    let size = |of: u32| btf.size(of).and_then(|size| u32::try_from(size).ok());
    if let Some(key) = map.key {
        map.key_bytes = size(key).ok_or_else(wrong)?;
    }
    if let Some(value) = map.value {
        map.value_bytes = size(value).ok_or_else(wrong)?;
    }
    match map.map_type {
        0 | 34.. => Err(format!(
            "map `{name}`: map type {} is not known",
            map.map_type
        )),
        3 => Err(format!(
            "map `{name}`: tail calls are not supported, nothing would fill this map"
        )),
        26 => Err(format!("map `{name}`: struct_ops are not supported")),
        29 => Err(format!("map `{name}`: task storage is not supported")),
        31 => Err(format!("map `{name}`: user ring buffers are not supported")),
        33 => Err(format!("map `{name}`: arenas are not supported")),
        _ => Ok(map),
    }
}

/// `__uint(name, N)` is a pointer to an array of N.
fn number(btf: &Btf, of: u32) -> Option<u32> {
    let (_, found, _) = btf.resolve(pointed(btf, of)?)?;
    match found.shape {
        Shape::Array { length, .. } => Some(length),
        _ => None,
    }
}

/// `__type(name, T)` is a pointer to T.
fn pointed(btf: &Btf, of: u32) -> Option<u32> {
    match btf.resolve(of)?.1.shape {
        Shape::Pointer { to } => Some(to),
        _ => None,
    }
}
