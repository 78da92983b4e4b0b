//! JSON into bytes, as the object's own types want it.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;

use crate::btf::{Btf, Shape};
use crate::cgroup;
use crate::error::ParameterError;
use crate::interface;
use crate::parameter_place::Place;
use crate::value_texts::{
    address_text, characters, decimal_or_hex, duration_nanoseconds, in_unit_of, now_nanoseconds,
};

/// Structs within arrays within structs end here.
const MAX_DEPTH: u32 = 16;

/// Turns values into bytes.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    pub(crate) btf: &'a Btf,
    /// Where cgroup paths begin.
    pub(crate) cgroup_root: &'a Path,
}

/// How an integer lies in memory.
struct Integer {
    signed: bool,
    network_order: bool,
}

impl Encoder<'_> {
    /// Writes a value over `out`, which holds what stays where the value says nothing.
    pub(crate) fn encode(
        &self,
        of: u32,
        value: &Value,
        out: &mut [u8],
        place: &Place<'_>,
    ) -> Result<(), ParameterError> {
        self.encode_within(of, value, out, place, MAX_DEPTH)
    }

    fn encode_within(
        &self,
        of: u32,
        value: &Value,
        out: &mut [u8],
        place: &Place<'_>,
        depth: u32,
    ) -> Result<(), ParameterError> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| place.error("types are nested too deeply"))?;
        let (_, found, names) = self
            .btf
            .resolve(of)
            .ok_or_else(|| place.error("its type is not understood"))?;
        match &found.shape {
            Shape::Int { boolean: true, .. } => boolean(value, out, place),
            Shape::Int { signed, .. } => {
                let network_order = names.iter().any(|name| {
                    matches!(
                        *name,
                        "__be16" | "__be32" | "__be64" | "be16" | "be32" | "be64"
                    )
                });
                self.integer(
                    value,
                    out,
                    place,
                    &Integer {
                        signed: *signed,
                        network_order,
                    },
                )
            }
            Shape::Enum { signed, values, .. } => enumerated(value, out, place, *signed, values),
            Shape::Array { element, length } => {
                self.array(*element, *length, value, out, place, depth)
            }
            Shape::Record { .. } if self.is_address(found, value, out) => {
                address(value, out, place)
            }
            Shape::Record { union, members, .. } => {
                let Value::Object(fields) = value else {
                    return Err(place.error(format!(
                        "an object with the fields of the struct is needed, not {}",
                        kind(value)
                    )));
                };
                if *union && fields.len() != 1 {
                    return Err(place.error("of a union exactly one member is set"));
                }
                for (name, value) in fields {
                    let here = place.name(name);
                    let member = members.iter().find(|member| member.name == *name);
                    let member = member.ok_or_else(|| {
                        here.error(format!(
                            "the struct has no such field; it has {}",
                            listed(members.iter().map(|member| member.name.as_str()))
                        ))
                    })?;
                    if member.bit_field {
                        return Err(here.error("bit fields take no parameters"));
                    }
                    let size = self
                        .btf
                        .size(member.of)
                        .ok_or_else(|| here.error("its type has no size"))?;
                    let slot = member
                        .offset
                        .checked_add(size)
                        .and_then(|end| out.get_mut(member.offset..end));
                    let slot =
                        slot.ok_or_else(|| here.error("the field is outside of its struct"))?;
                    self.encode_within(member.of, value, slot, &here, depth)?;
                }
                Ok(())
            }
            Shape::Pointer { .. } => Err(place.error("pointers take no parameters")),
            _ => Err(place.error("its type takes no parameters")),
        }
    }

    /// `struct in_addr` and `struct in6_addr`, given as text.
    fn is_address(&self, found: &crate::btf::Type, value: &Value, out: &[u8]) -> bool {
        value.is_string()
            && matches!(
                (found.name.as_str(), out.len()),
                ("in_addr", 4) | ("in6_addr", 16)
            )
    }

    fn array(
        &self,
        element: u32,
        count: u32,
        value: &Value,
        out: &mut [u8],
        place: &Place<'_>,
        depth: u32,
    ) -> Result<(), ParameterError> {
        let size = self
            .btf
            .size(element)
            .filter(|size| *size > 0)
            .ok_or_else(|| place.error("its type has no size"))?;
        match value {
            Value::String(text) if self.is_char(element) => characters(text, out, place),
            Value::String(text) => address_text(text, out, place),
            Value::Array(values) => {
                if values.len() > crate::bytes::length(count) {
                    return Err(
                        place.error(format!("{} elements do not fit into {count}", values.len()))
                    );
                }
                for (index, (value, slot)) in
                    values.iter().zip(out.chunks_exact_mut(size)).enumerate()
                {
                    self.encode_within(element, value, slot, &place.index(index), depth)?;
                }
                Ok(())
            }
            _ => Err(place.error(format!("an array or a text is needed, not {}", kind(value)))),
        }
    }

    fn is_char(&self, element: u32) -> bool {
        self.btf
            .resolve(element)
            .is_some_and(|(_, found, _)| found.name == "char")
    }

    fn integer(
        &self,
        value: &Value,
        out: &mut [u8],
        place: &Place<'_>,
        integer: &Integer,
    ) -> Result<(), ParameterError> {
        match value {
            Value::Bool(flag) => put(i128::from(*flag), out, place, integer),
            Value::Number(_) => put(whole(value, place)?, out, place, integer),
            Value::String(text) => self.worded(text, out, place, integer),
            Value::Object(fields) => {
                let order = fields.iter().next().filter(|_| fields.len() == 1);
                let (network_order, number) = match order.map(|(name, number)| (name.as_str(), number)) {
                    Some(("network", number)) => (true, number),
                    Some(("host", number)) => (false, number),
                    _ => return Err(place.error("a number, or {\"network\": number} or {\"host\": number} to choose its byte order")),
                };
                put(
                    whole(number, place)?,
                    out,
                    place,
                    &Integer {
                        network_order,
                        ..*integer
                    },
                )
            }
            _ => Err(place.error(format!("a number is needed, not {}", kind(value)))),
        }
    }

    /// Numbers that are given by what they mean.
    fn worded(
        &self,
        text: &str,
        out: &mut [u8],
        place: &Place<'_>,
        integer: &Integer,
    ) -> Result<(), ParameterError> {
        if let (Ok(address), 4) = (text.parse::<Ipv4Addr>(), out.len()) {
            out.copy_from_slice(&address.octets());
            return Ok(());
        }
        let plain = Integer {
            network_order: false,
            ..*integer
        };
        if let Some(name) = text.strip_prefix("@ifindex:") {
            let index = interface::index(name)
                .map_err(|error| place.error(format!("interface `{name}`: {error}")))?;
            return put(i128::from(index), out, place, integer);
        }
        if let Some(path) = text
            .strip_prefix("@cgroup:")
            .or_else(|| text.starts_with('/').then_some(text))
        {
            let id = cgroup::id(self.cgroup_root, Path::new(path))
                .map_err(|error| place.error(format!("cgroup `{path}`: {error}")))?;
            return put(i128::from(id), out, place, &plain);
        }
        if text == "@now_ktime" {
            return put(now_nanoseconds(), out, place, &plain);
        }
        if let Some(number) = decimal_or_hex(text) {
            return put(number, out, place, integer);
        }
        if let Some(nanoseconds) = duration_nanoseconds(text) {
            return put(in_unit_of(place, nanoseconds)?, out, place, integer);
        }
        Err(place.error(format!("`{text}` is no number, address, cgroup path, @ifindex:NAME, @now_ktime or duration that fits here")))
    }
}

fn boolean(value: &Value, out: &mut [u8], place: &Place<'_>) -> Result<(), ParameterError> {
    let Value::Bool(flag) = value else {
        return Err(place.error(format!("true or false is needed, not {}", kind(value))));
    };
    put(
        i128::from(*flag),
        out,
        place,
        &Integer {
            signed: false,
            network_order: false,
        },
    )
}

fn enumerated(
    value: &Value,
    out: &mut [u8],
    place: &Place<'_>,
    signed: bool,
    values: &[(String, i128)],
) -> Result<(), ParameterError> {
    let number = match value {
        Value::String(text) => values
            .iter()
            .find(|(name, _)| name == text)
            .map(|(_, number)| *number),
        _ => Some(whole(value, place)?)
            .filter(|number| values.iter().any(|(_, known)| known == number)),
    };
    let names = || listed(values.iter().map(|(name, _)| name.as_str()));
    let number = number.ok_or_else(|| place.error(format!("{value} is none of {}", names())))?;
    put(
        number,
        out,
        place,
        &Integer {
            signed,
            network_order: false,
        },
    )
}

/// Bytes from a text: an address of that length, or hex digits.
fn address(value: &Value, out: &mut [u8], place: &Place<'_>) -> Result<(), ParameterError> {
    address_text(value.as_str().unwrap_or_default(), out, place)
}

/// Bytes from hex digits, for keys and values without a type.
pub(crate) fn opaque(
    value: &Value,
    out: &mut [u8],
    place: &Place<'_>,
) -> Result<(), ParameterError> {
    match value {
        Value::Number(_) if matches!(out.len(), 1 | 2 | 4 | 8) => put(
            whole(value, place)?,
            out,
            place,
            &Integer {
                signed: false,
                network_order: false,
            },
        ),
        Value::String(text) => address_text(text, out, place),
        _ => Err(place.error("the map states no type here; give hex: and digits")),
    }
}

/// Puts a number into as many bytes as there are, if it fits.
fn put(
    number: i128,
    out: &mut [u8],
    place: &Place<'_>,
    integer: &Integer,
) -> Result<(), ParameterError> {
    let bits = u32::try_from(out.len() * 8).unwrap_or(0);
    if !(8..=64).contains(&bits) {
        return Err(place.error(format!("numbers of {bits} bits take no parameters")));
    }
    let (least, most) = if integer.signed {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    } else {
        (0, (1_i128 << bits) - 1)
    };
    if !(least..=most).contains(&number) {
        return Err(place.error(format!("{number} is outside of {least} to {most}")));
    }
    let big = number.to_be_bytes();
    let from = big.len().saturating_sub(out.len());
    out.copy_from_slice(big.get(from..).unwrap_or_default());
    if !integer.network_order && cfg!(target_endian = "little") {
        out.reverse();
    }
    Ok(())
}

fn whole(value: &Value, place: &Place<'_>) -> Result<i128, ParameterError> {
    let number = value
        .as_u64()
        .map(i128::from)
        .or_else(|| value.as_i64().map(i128::from));
    number.ok_or_else(|| place.error(format!("a whole number is needed, not {value}")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The first names of a list, as a person would read them out.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.take(20).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
