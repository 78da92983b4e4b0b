//! Values that are given as texts: addresses, networks, durations, names.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::ParameterError;
use crate::parameter_place::Place;

pub(crate) fn address_text(
    text: &str,
    out: &mut [u8],
    place: &Place<'_>,
) -> Result<(), ParameterError> {
    let bytes = if let Some(digits) = text.strip_prefix("hex:") {
        hex(digits)
    } else {
        match out.len() {
            4 => text
                .parse::<Ipv4Addr>()
                .ok()
                .map(|address| address.octets().to_vec()),
            6 => mac(text),
            16 => text
                .parse::<Ipv6Addr>()
                .ok()
                .map(|address| address.octets().to_vec()),
            _ => None,
        }
    };
    let bytes = bytes.filter(|bytes| bytes.len() == out.len());
    let wanted = match out.len() {
        4 => "an IPv4 address",
        6 => "a MAC address",
        16 => "an IPv6 address",
        _ => "an array",
    };
    let bytes = bytes.ok_or_else(|| {
        place.error(format!(
            "`{text}` is neither {wanted} nor hex: and {} bytes in hex digits",
            out.len()
        ))
    })?;
    out.copy_from_slice(&bytes);
    Ok(())
}

/// The key of a longest-prefix map: prefix length, then the address in network order.
pub(crate) fn cidr(text: &str, out: &mut [u8], place: &Place<'_>) -> Result<(), ParameterError> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let octets = match (address.parse(), out.len()) {
        (Ok(std::net::IpAddr::V4(address)), 8) => address.octets().to_vec(),
        (Ok(std::net::IpAddr::V6(address)), 20) => address.octets().to_vec(),
        _ => {
            return Err(place.error(format!(
                "`{text}` is no network of {} bytes",
                out.len().saturating_sub(4)
            )));
        }
    };
    let most = octets.len() * 8;
    let length = if prefix.is_empty() {
        Some(most)
    } else {
        prefix.parse().ok().filter(|length| *length <= most)
    };
    let length = length
        .ok_or_else(|| place.error(format!("`{text}`: a prefix length is at most {most}")))?;
    let host_bit = |bit: usize| {
        octets
            .get(bit / 8)
            .is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1)
    };
    if (length..most).any(host_bit) {
        return Err(place.error(format!(
            "`{text}` has bits set behind its prefix; which network is meant?"
        )));
    }
    let (head, tail) = out.split_at_mut(4);
    head.copy_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
    tail.copy_from_slice(&octets);
    Ok(())
}

pub(crate) fn decimal_or_hex(text: &str) -> Option<i128> {
    match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let pairs = (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2));
    pairs
        .map(|pair| u8::from_str_radix(pair?, 16).ok())
        .collect()
}

fn mac(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?)
        .collect::<Option<_>>()?;
    (bytes.len() == 6).then_some(bytes)
}

pub(crate) fn duration_nanoseconds(text: &str) -> Option<i128> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    let one: i128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    number.parse::<i128>().ok()?.checked_mul(one)
}

/// Durations need to know what the number counts; the end of the name says it.
pub(crate) fn in_unit_of(place: &Place<'_>, nanoseconds: i128) -> Result<i128, ParameterError> {
    const UNITS: [(&str, i128); 7] = [
        ("_ns", 1),
        ("_us", 1_000),
        ("_ms", 1_000_000),
        ("_sec", 1_000_000_000),
        ("_secs", 1_000_000_000),
        ("_seconds", 1_000_000_000),
        ("_s", 1_000_000_000),
    ];
    let name = place.last_name();
    let unit = UNITS
        .iter()
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, unit)| *unit);
    let unit = unit.ok_or_else(|| {
        place
            .error("a duration needs a name that says its unit (.._ns, .._ms, .._s); give a number")
    })?;
    if nanoseconds % unit != 0 {
        return Err(place.error("the duration is no whole number of the unit that the name says"));
    }
    Ok(nanoseconds / unit)
}

/// What `bpf_ktime_get_ns()` says now.
pub(crate) fn now_nanoseconds() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

pub(crate) fn characters(
    text: &str,
    out: &mut [u8],
    place: &Place<'_>,
) -> Result<(), ParameterError> {
    if text.len() >= out.len() || text.contains('\0') {
        return Err(place.error(format!(
            "at most {} bytes of text fit here, and no NUL",
            out.len().saturating_sub(1)
        )));
    }
    out.fill(0);
    for (to, from) in out.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok(())
}
