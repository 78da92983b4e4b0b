//! The types of an object, read from its `.BTF` section: a pure, bounded parser.

use std::collections::BTreeMap;

use crate::bytes::{slice_at, text_at, u16_at, u32_at, u64_at};

const MAGIC: u16 = 0xeb9f;
/// More types than this are no program but a kernel.
const MAX_TYPES: usize = 200_000;
/// Chains of typedefs and qualifiers, and structs within structs, end here.
const MAX_DEPTH: u32 = 32;

/// All types of one object. Type 0 is `void`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Btf {
    types: Vec<Type>,
}

#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Void,
    Int {
        bytes: u32,
        signed: bool,
        boolean: bool,
    },
    Pointer {
        to: u32,
    },
    Array {
        element: u32,
        length: u32,
    },
    Record {
        bytes: u32,
        union: bool,
        members: Vec<Member>,
    },
    Enum {
        bytes: u32,
        signed: bool,
        values: Vec<(String, i128)>,
    },
    /// Typedef, const, volatile, restrict or a tag: another type under another name.
    Alias {
        to: u32,
    },
    Variable {
        of: u32,
    },
    Section {
        variables: Vec<u32>,
    },
    /// Functions, floats and what newer compilers add: nothing a parameter can be.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) of: u32,
    pub(crate) offset: usize,
    pub(crate) bit_field: bool,
}

impl Btf {
    /// Parses a whole section.
    pub(crate) fn parse(section: &[u8]) -> Result<Self, &'static str> {
        if u16_at(section, 0) != Some(MAGIC) {
            return Err("no BTF of this machine's byte order");
        }
        let (Some(types), Some(strings)) = (part(section, 8), part(section, 16)) else {
            return Err("the BTF header points outside of its section");
        };
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err("the BTF strings have no end");
        }
        let mut parsed = vec![Type {
            name: String::new(),
            shape: Shape::Void,
        }];
        let mut at = 0;
        while at < types.len() {
            if parsed.len() > MAX_TYPES {
                return Err("more BTF types than any program has");
            }
            let (one, used) = parse_type(types, at, strings).ok_or("a BTF type is cut off")?;
            parsed.push(one);
            at = at.saturating_add(used);
        }
        let parsed = Self { types: parsed };
        if parsed.types.iter().all(|one| parsed.has_all(one)) {
            Ok(parsed)
        } else {
            Err("a BTF type refers to one that is not there")
        }
    }

    /// The strings of a section, for what refers to them from outside.
    pub(crate) fn strings(section: &[u8]) -> &[u8] {
        part(section, 16).unwrap_or_default()
    }

    fn has_all(&self, one: &Type) -> bool {
        let has = |id: &u32| self.get(*id).is_some();
        let is_entry = |id: &u32| {
            let found = self.get(*id).map(|one| &one.shape);
            matches!(found, Some(Shape::Variable { .. } | Shape::Other))
        };
        match &one.shape {
            Shape::Pointer { to: id }
            | Shape::Alias { to: id }
            | Shape::Array { element: id, .. }
            | Shape::Variable { of: id } => has(id),
            Shape::Record { members, .. } => members.iter().all(|member| has(&member.of)),
            Shape::Section { variables } => variables.iter().all(is_entry),
            Shape::Void | Shape::Int { .. } | Shape::Enum { .. } | Shape::Other => true,
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Type> {
        self.types.get(usize::try_from(id).ok()?)
    }

    /// The type below all typedefs and qualifiers, with the outermost names on the way.
    pub(crate) fn resolve(&self, id: u32) -> Option<(u32, &Type, Vec<&str>)> {
        let mut names = Vec::new();
        let mut current = id;
        for _ in 0..MAX_DEPTH {
            let found = self.get(current)?;
            if !found.name.is_empty() {
                names.push(found.name.as_str());
            }
            match found.shape {
                Shape::Alias { to } => current = to,
                _ => return Some((current, found, names)),
            }
        }
        None
    }

    /// Bytes that a value of the type takes.
    pub(crate) fn size(&self, id: u32) -> Option<usize> {
        self.size_within(id, MAX_DEPTH)
    }

    fn size_within(&self, id: u32, depth: u32) -> Option<usize> {
        let (_, found, _) = self.resolve(id)?;
        let bytes = match found.shape {
            Shape::Int { bytes, .. } | Shape::Record { bytes, .. } | Shape::Enum { bytes, .. } => {
                bytes
            }
            Shape::Pointer { .. } => 8,
            Shape::Array { element, length } => {
                let one = self.size_within(element, depth.checked_sub(1)?)?;
                return one.checked_mul(usize::try_from(length).ok()?);
            }
            _ => return None,
        };
        usize::try_from(bytes).ok()
    }

    /// The type of the variable of that name.
    pub(crate) fn variable(&self, name: &str) -> Option<u32> {
        self.types.iter().find_map(|one| match one.shape {
            Shape::Variable { of } if one.name == name => Some(of),
            _ => None,
        })
    }

    /// The first thing in a section, whatever it is.
    pub(crate) fn first_in(&self, section: &str) -> Option<&str> {
        let ids = self.types.iter().find_map(|one| match &one.shape {
            Shape::Section { variables } if one.name == section => variables.first(),
            _ => None,
        });
        Some(self.get(*ids?)?.name.as_str())
    }

    /// The variables of a data section: name and type.
    pub(crate) fn section(&self, name: &str) -> Vec<(&str, u32)> {
        let variables = self.types.iter().find_map(|one| match &one.shape {
            Shape::Section { variables } if one.name == name => Some(variables),
            _ => None,
        });
        let variables = variables.map(Vec::as_slice).unwrap_or_default();
        let named = variables.iter().filter_map(|&id| match self.get(id) {
            Some(Type {
                name,
                shape: Shape::Variable { of },
            }) => Some((name.as_str(), *of)),
            _ => None,
        });
        named.collect()
    }
}

/// A part of the section whose offset and length stand at that place of the header.
fn part(section: &[u8], at: usize) -> Option<&[u8]> {
    let field = |at: usize| usize::try_from(u32_at(section, at)?).ok();
    let body = section.get(field(4)?..)?;
    slice_at(body, field(at)?, field(at.checked_add(4)?)?)
}

/// One type and the bytes that it took.
fn parse_type(types: &[u8], at: usize, strings: &[u8]) -> Option<(Type, usize)> {
    let name = text_at(strings, usize::try_from(u32_at(types, at)?).ok()?)?.to_owned();
    let info = u32_at(types, at.checked_add(4)?)?;
    let size_or_type = u32_at(types, at.checked_add(8)?)?;
    let count = usize::try_from(info & 0xffff).ok()?;
    let flag = info >> 31 == 1;
    let body = at.checked_add(12)?;
    let (shape, extra) = match (info >> 24) & 0x1f {
        1 => {
            let encoding = u32_at(types, body)?;
            let (signed, boolean) = (encoding >> 24 & 1 == 1, encoding >> 26 & 1 == 1);
            (
                Shape::Int {
                    bytes: size_or_type,
                    signed,
                    boolean,
                },
                4,
            )
        }
        2 => (Shape::Pointer { to: size_or_type }, 0),
        3 => {
            let (element, length) = (u32_at(types, body)?, u32_at(types, body.checked_add(8)?)?);
            (Shape::Array { element, length }, 12)
        }
        kind @ (4 | 5) => {
            let members = parse_members(types, body, strings, count, flag)?;
            (
                Shape::Record {
                    bytes: size_or_type,
                    union: kind == 5,
                    members,
                },
                count.checked_mul(12)?,
            )
        }
        6 => (
            Shape::Enum {
                bytes: size_or_type,
                signed: flag,
                values: parse_values(types, body, strings, count, flag, false)?,
            },
            count.checked_mul(8)?,
        ),
        8..=11 | 18 => (Shape::Alias { to: size_or_type }, 0),
        7 | 12 | 16 => (Shape::Other, 0),
        13 => (Shape::Other, count.checked_mul(8)?),
        14 => (Shape::Variable { of: size_or_type }, 4),
        15 => {
            let ids = (0..count).map(|one| u32_at(types, body.checked_add(one.checked_mul(12)?)?));
            (
                Shape::Section {
                    variables: ids.collect::<Option<_>>()?,
                },
                count.checked_mul(12)?,
            )
        }
        17 => (Shape::Other, 4),
        19 => (
            Shape::Enum {
                bytes: size_or_type,
                signed: flag,
                values: parse_values(types, body, strings, count, flag, true)?,
            },
            count.checked_mul(12)?,
        ),
        _ => return None,
    };
    slice_at(types, body, extra)?;
    Some((Type { name, shape }, extra.checked_add(12)?))
}

fn parse_members(
    types: &[u8],
    body: usize,
    strings: &[u8],
    count: usize,
    flag: bool,
) -> Option<Vec<Member>> {
    let one = |number: usize| {
        let at = body.checked_add(number.checked_mul(12)?)?;
        let name = text_at(strings, usize::try_from(u32_at(types, at)?).ok()?)?.to_owned();
        let place = u32_at(types, at.checked_add(8)?)?;
        // With the flag the upper byte is the width of a bit field.
        let (bits, width) = if flag {
            (place & 0x00ff_ffff, place >> 24)
        } else {
            (place, 0)
        };
        let bit_field = width != 0 || bits % 8 != 0;
        Some(Member {
            name,
            of: u32_at(types, at.checked_add(4)?)?,
            offset: usize::try_from(bits / 8).ok()?,
            bit_field,
        })
    };
    (0..count).map(one).collect()
}

/// The names and numbers of an enum, of 32 or of 64 bits.
fn parse_values(
    types: &[u8],
    body: usize,
    strings: &[u8],
    count: usize,
    signed: bool,
    wide: bool,
) -> Option<Vec<(String, i128)>> {
    let each = if wide { 12 } else { 8 };
    let one = |number: usize| {
        let at = body.checked_add(number.checked_mul(each)?)?;
        let name = text_at(strings, usize::try_from(u32_at(types, at)?).ok()?)?.to_owned();
        let low = u32_at(types, at.checked_add(4)?)?;
        let high = if wide {
            u32_at(types, at.checked_add(8)?)?
        } else {
            0
        };
        let raw = u64::from(high) << 32 | u64::from(low);
        let value = match (signed, wide) {
            (false, _) => i128::from(raw),
            (true, false) => i128::from(low.cast_signed()),
            (true, true) => i128::from(raw.cast_signed()),
        };
        Some((name, value))
    };
    (0..count).map(one).collect()
}

impl Btf {
    /// The numbers of a struct by the names of their fields, summed over several of its kind.
    pub(crate) fn sum_of_counters<'v>(
        &self,
        of: u32,
        values: impl Iterator<Item = &'v [u8]>,
    ) -> Option<BTreeMap<String, u64>> {
        let Shape::Record { members, .. } = &self.resolve(of)?.1.shape else {
            return None;
        };
        let mut sums = BTreeMap::new();
        for value in values {
            for member in members.iter().filter(|member| !member.bit_field) {
                let number = match self.size(member.of) {
                    Some(8) => u64_at(value, member.offset),
                    Some(4) => u32_at(value, member.offset).map(u64::from),
                    _ => None,
                };
                if let Some(number) = number {
                    let sum: &mut u64 = sums.entry(member.name.clone()).or_default();
                    *sum = sum.saturating_add(number);
                }
            }
        }
        Some(sums)
    }
}
