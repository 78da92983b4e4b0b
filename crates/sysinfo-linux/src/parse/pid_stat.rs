//! `<pid>/stat`: the state of a process and when it was started.

use std::time::Duration;

use super::fields::{Malformed, number, words};
use super::stat::CpuTimes;

/// Parses the state of a process (`R`, `S`, `D`, …) out of `<pid>/stat`; the first 128 bytes are enough.
///
/// # Errors
///
/// When there is no state after the name.
pub fn process_state(bytes: &[u8]) -> Result<char, Malformed> {
    match words(after_name(bytes)).next() {
        Some([letter]) if letter.is_ascii_alphabetic() => Ok(char::from(*letter)),
        _ => Err(Malformed::at(1, "no state after the name")),
    }
}

/// Parses how long after the kernel's start the process was started, out of `<pid>/stat`.
///
/// # Errors
///
/// When there is no such field.
pub fn process_start(bytes: &[u8]) -> Result<Duration, Malformed> {
    // Field 22 of the file; the state is field 3.
    let ticks = words(after_name(bytes)).nth(19).and_then(number);
    let ticks = ticks.ok_or(Malformed::at(1, "no time of start"))?;
    let millis_per_tick = 1000 / CpuTimes::TICKS_PER_SECOND;
    Ok(Duration::from_millis(ticks.saturating_mul(millis_per_tick)))
}

/// A name can hold anything, even parentheses and newlines: the last `)` ends it.
fn after_name(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b')');
    end.and_then(|end| bytes.get(end + 1..)).unwrap_or_default()
}
