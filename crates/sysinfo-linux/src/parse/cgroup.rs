//! `<pid>/cgroup` and the files of a control group that limit it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::fields::{Malformed, good_lines, lines, number, words};

/// A control group that a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Names of the v1 controllers, separated by commas; empty for v2.
    pub controllers: Vec<u8>,
    /// Path of the group below its hierarchy's root.
    pub path: PathBuf,
}

impl Membership {
    /// Whether this is the one hierarchy of v2.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether this v1 hierarchy has the controller.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.controllers
            .split(|byte| *byte == b',')
            .any(|name| name == controller.as_bytes())
    }
}

/// Parses `<pid>/cgroup`.
///
/// # Errors
///
/// When there are lines, but none can be understood.
pub fn cgroup(bytes: &[u8]) -> Result<Vec<Membership>, Malformed> {
    good_lines(bytes, 0, "not a control group", membership)
}

fn membership(line: &[u8]) -> Option<Membership> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    number(parts.next()?)?;
    let controllers = parts.next()?.to_vec();
    let path = parts.next()?;
    Some(Membership {
        controllers,
        path: PathBuf::from(OsStr::from_bytes(path)),
    })
}

/// The number that a file of a control group holds; `None` for `max` and for what is none.
pub(crate) fn limit(bytes: &[u8]) -> Option<u64> {
    number(lines(bytes).next()?.trim_ascii())
}

/// The number after a name, in files of one name and one number a line.
pub(crate) fn named(bytes: &[u8], name: &str) -> Option<u64> {
    lines(bytes)
        .map(words)
        .find_map(|mut line| (line.next()? == name.as_bytes()).then(|| line.next())?)
        .and_then(number)
}

/// The two words of `cpu.max`: microseconds of quota (`None` is no limit) and of period.
pub(crate) fn cpu_max(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut words = words(lines(bytes).next()?).map(number);
    Some((words.next()??, words.next()??))
}

/// How many processors a list such as `0-3,8` names.
pub(crate) fn processors(bytes: &[u8]) -> Option<u64> {
    let list = lines(bytes).next()?.trim_ascii();
    let mut count = 0_u64;
    for range in list.split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b'-').map(number);
        let first = ends.next()??;
        let last = ends.next().unwrap_or(Some(first))?;
        let size = last.checked_sub(first)?.checked_add(1)?;
        count = count.checked_add(size)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_counted() {
        assert_eq!(processors(b"0-3,8\n"), Some(5));
        assert_eq!(processors(b"0\n"), Some(1));
        for bad in [
            &b"\n"[..],
            b"",
            b"3-1",
            b"a",
            b"0-",
            b"0-18446744073709551615",
        ] {
            assert_eq!(processors(bad), None, "{}", bad.escape_ascii());
        }
    }
}
