//! As much of BTF as it takes to describe maps.

use std::collections::BTreeMap;

use super::{MAX_NAME_BYTES, Map};

const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;
const POINTER_BYTES: u32 = 8;
/// `LIBBPF_PIN_BY_NAME`.
const PIN_BY_NAME: u32 = 1;
/// How many maps are described, and how many members of each are looked at.
const MAX_MAPS: usize = 1024;
const MAX_MEMBERS: usize = 64;
/// How deep types may nest before they are taken for a circle.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pointer,
    Array,
    /// Structures, unions, numbers, enumerations: what says its own size.
    Sized,
    /// Another name for a type, or a qualifier.
    Alias,
    Variable,
    DataSection,
    Other,
}

#[derive(Clone, Copy)]
struct Type<'a> {
    kind: Kind,
    name: u32,
    /// Its size, or the type it refers to.
    size_or_type: u32,
    /// What follows it: members, variables, bounds.
    tail: &'a [u8],
}

pub(super) struct Btf<'a> {
    /// By id; the ids of BTF begin at 1.
    types: Vec<Type<'a>>,
    strings: &'a [u8],
}

impl<'a> Btf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Btf<'a>> {
        let magic = u16::from_le_bytes(*bytes.first_chunk()?);
        let body = bytes.get(size(u32_at(bytes, 4)?)?..)?;
        let part = |at: usize| {
            let start = size(u32_at(bytes, at)?)?;
            body.get(start..start.checked_add(size(u32_at(bytes, at + 4)?)?)?)
        };
        let types = read_types(part(8)?)?;
        (magic == MAGIC).then_some(Btf {
            types,
            strings: part(16)?,
        })
    }

    /// The variables of `.maps`, by name.
    pub(super) fn maps(&self) -> BTreeMap<String, Map> {
        let is_maps = |found: &&Type<'_>| {
            found.kind == Kind::DataSection && self.name(found.name) == Some(".maps")
        };
        let sections = self.types.iter().filter(is_maps);
        let variables = sections.flat_map(|section| section.tail.chunks_exact(TYPE_BYTES));
        variables
            .take(MAX_MAPS)
            .filter_map(|entry| self.map(u32_at(entry, 0)?))
            .map(|map| (map.name.clone(), map))
            .collect()
    }

    /// A map is a variable of a structure whose members say everything: `__uint(type, X)` is a pointer to an array
    /// of X elements, `__type(key, T)` a pointer to T.
    fn map(&self, id: u32) -> Option<Map> {
        let variable = self.get(id).filter(|found| found.kind == Kind::Variable)?;
        let structure = self.get(variable.size_or_type)?;
        let mut map = Map {
            name: self.name(variable.name)?.to_owned(),
            ..Map::default()
        };
        for member in structure.tail.chunks_exact(TYPE_BYTES).take(MAX_MEMBERS) {
            let (name, pointer) = (
                self.name(u32_at(member, 0)?)?,
                self.get(u32_at(member, 4)?)?,
            );
            let number = || u32_at(self.get(pointer.size_or_type)?.tail, 8);
            match name {
                "type" => map.map_type = number(),
                "max_entries" => map.max_entries = number(),
                "key_size" => map.key_bytes = number(),
                "value_size" => map.value_bytes = number(),
                "key" => map.key_bytes = self.bytes(pointer.size_or_type),
                "value" => map.value_bytes = self.bytes(pointer.size_or_type),
                "pinning" => map.pinned_by_name = number() == Some(PIN_BY_NAME),
                _ => {}
            }
        }
        Some(map)
    }

    /// The size of a value of this type.
    fn bytes(&self, mut id: u32) -> Option<u32> {
        let mut times = 1_u32;
        for _ in 0..MAX_DEPTH {
            let found = self.get(id)?;
            match found.kind {
                Kind::Sized => return times.checked_mul(found.size_or_type),
                Kind::Pointer => return times.checked_mul(POINTER_BYTES),
                Kind::Alias => id = found.size_or_type,
                Kind::Array => {
                    id = u32_at(found.tail, 0)?;
                    times = times.checked_mul(u32_at(found.tail, 8)?)?;
                }
                _ => return None,
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<&Type<'a>> {
        self.types.get(size(id)?.checked_sub(1)?)
    }

    fn name(&self, at: u32) -> Option<&'a str> {
        let rest = self.strings.get(size(at)?..)?;
        let name = rest.get(..MAX_NAME_BYTES).unwrap_or(rest);
        std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()
    }
}

fn read_types(mut bytes: &[u8]) -> Option<Vec<Type<'_>>> {
    let mut types = Vec::new();
    while !bytes.is_empty() {
        let (name, info, size_or_type) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        let (kind, tail_bytes) = kind(info);
        let (tail, rest) = bytes.get(TYPE_BYTES..)?.split_at_checked(tail_bytes)?;
        types.push(Type {
            kind,
            name,
            size_or_type,
            tail,
        });
        bytes = rest;
    }
    Some(types)
}

/// What kind of type it is, and how many bytes follow it.
fn kind(info: u32) -> (Kind, usize) {
    let [low, high, _, kind] = info.to_le_bytes();
    let members = usize::from(u16::from_le_bytes([low, high]));
    match kind & 0x1f {
        1 => (Kind::Sized, 4),
        2 => (Kind::Pointer, 0),
        3 => (Kind::Array, 12),
        4 | 5 | 19 => (Kind::Sized, 12 * members),
        6 => (Kind::Sized, 8 * members),
        8..=11 | 18 => (Kind::Alias, 0),
        13 => (Kind::Other, 8 * members),
        14 => (Kind::Variable, 4),
        15 => (Kind::DataSection, 12 * members),
        16 => (Kind::Sized, 0),
        17 => (Kind::Other, 4),
        _ => (Kind::Other, 0),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn size(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}
