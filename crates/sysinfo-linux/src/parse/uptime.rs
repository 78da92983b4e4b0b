//! `uptime`: for how long the host has been up.

use std::time::Duration;

use super::fields::{Malformed, hundredths, words};

/// Parses `uptime` to the time since the start.
///
/// # Errors
///
/// When the first word is no number.
pub fn uptime(bytes: &[u8]) -> Result<Duration, Malformed> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let first = words(line).next().and_then(hundredths);
    let hundredths = first.ok_or(Malformed::at(1, "the first word is no number of seconds"))?;
    Ok(Duration::from_millis(hundredths.saturating_mul(10)))
}
