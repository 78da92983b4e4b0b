//! Times in whole seconds, as RFC 3339 in UTC.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serializer, de, ser};

/// The end of the year 9999, where the text form ends.
const LAST_SECOND: u64 = 253_402_300_799;

/// A time as text, whatever it is.
pub(crate) struct Date(pub(crate) SystemTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_writable(self.0) {
            write!(f, "{}", humantime::format_rfc3339_seconds(self.0))
        } else {
            f.write_str("a time outside of 1970 to 9999")
        }
    }
}

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    if is_writable(*time) {
        to.collect_str(&Date(*time))
    } else {
        Err(ser::Error::custom("a time is not between 1970 and 9999"))
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| de::Error::custom("a time is not like 2026-01-05T08:00:00Z"))
}

pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok().map(whole)
}

/// The time without its parts of a second.
pub(crate) fn whole(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    seconds
        .ok()
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .unwrap_or(time)
}

fn is_writable(time: SystemTime) -> bool {
    time.duration_since(UNIX_EPOCH)
        .is_ok_and(|since| since.as_secs() <= LAST_SECOND)
}
