//! The kernel's own settings for ports.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::PortRanges;

const MAX_FILE_BYTES: u64 = 256 * 1024;
/// The kernel's own default where the file cannot be read.
const PRIVILEGED_BELOW: u16 = 1024;

/// Ports that the kernel itself picks for connections: `ip_local_port_range` without `ip_local_reserved_ports`.
///
/// A port of these that is handed out may be gone a moment later.
pub fn ephemeral_ports(proc: &Path) -> io::Result<PortRanges> {
    let range = read(&proc.join("sys/net/ipv4/ip_local_port_range"))?;
    let reserved = read(&proc.join("sys/net/ipv4/ip_local_reserved_ports")).unwrap_or_default();
    let invalid = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{range:?} is no port range"),
        )
    };
    let mut bounds = range.split_ascii_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (bounds.next(), bounds.next()) else {
        return Err(invalid());
    };
    let range = PortRanges::single(first.max(1)..=last).ok_or_else(invalid)?;
    Ok(reserved
        .trim()
        .parse()
        .map_or_else(|_| range.clone(), |reserved| range.without(&reserved)))
}

/// The lowest port that any process may bind.
pub(crate) fn privileged_below(proc: &Path) -> u16 {
    let start = read(&proc.join("sys/net/ipv4/ip_unprivileged_port_start"));
    start
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(PRIVILEGED_BELOW)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}
