//! Which names the formats allow, decided in `const fn` so that the compiler can refuse a bad one.

use std::borrow::Cow;
use std::fmt;

use crate::family::Kind;

/// The endings that the formats keep for themselves.
const RESERVED: &[&str] = &[
    "_total", "_created", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum",
];

/// The units a name may end in; OpenMetrics then gets a `# UNIT` line.
const UNITS: &[&str] = &[
    "seconds", "bytes", "ratio", "celsius", "volts", "amperes", "joules", "watts", "grams",
    "meters", "hertz",
];

/// A name, a help text or a label that the formats do not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    name: Cow<'static, str>,
    why: &'static str,
}

impl BadName {
    pub(crate) fn new(name: Cow<'static, str>, why: &'static str) -> Self {
        BadName { name, why }
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad name {:?}: {}", self.name, self.why)
    }
}

impl std::error::Error for BadName {}

/// The name of a label that every sample of a page carries; see [`Page::constant`](crate::Page::constant).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName(Cow<'static, str>);

impl LabelName {
    /// A name known when compiling.
    ///
    /// # Panics
    ///
    /// If the formats do not allow the name: a build error in a `const`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        if let Some(why) = why_bad_label(name) {
            refuse(why);
        }
        LabelName(Cow::Borrowed(name))
    }

    /// A name known only when running.
    ///
    /// # Errors
    ///
    /// If the formats do not allow the name.
    pub fn try_new(name: impl Into<Cow<'static, str>>) -> Result<Self, BadName> {
        let name = name.into();
        match why_bad_label(&name) {
            Some(why) => Err(BadName::new(name, why)),
            None => Ok(LabelName(name)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Stops the compiler (or, outside of a `const`, the thread) with the reason.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a panic is how a const fn refuses its arguments when compiling"
)]
pub(crate) const fn refuse(why: &'static str) -> ! {
    panic!("{}", why)
}

/// What is wrong with a family, if anything.
pub(crate) const fn why_bad_family(
    kind: Kind,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Option<&'static str> {
    if !is_name(name) {
        return Some("a metric name has ASCII letters, digits and _ and starts with no digit");
    }
    if let Some(why) = why_bad_ending(kind, name) {
        return Some(why);
    }
    if help.trim_ascii().len() != help.len() || help.is_empty() {
        return Some("a help text is not empty and has no blanks at its ends");
    }
    why_bad_labels(name, labels)
}

/// What is wrong with a label's name, if anything.
const fn why_bad_label(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        return Some("a label name has ASCII letters, digits and _ and starts with no digit");
    }
    if matches!(name.as_bytes(), [b'_', b'_', ..]) {
        return Some("label names that start with __ belong to Prometheus itself");
    }
    if equal(name, "le") || equal(name, "quantile") {
        return Some("the labels le and quantile belong to histograms and summaries");
    }
    None
}

/// Whether a text occurs twice in a list.
pub(crate) const fn has_twice(texts: &[&str]) -> bool {
    let mut texts = texts;
    while let [first, rest @ ..] = texts {
        if contains(rest, first) {
            return true;
        }
        texts = rest;
    }
    false
}

/// The name without a reserved ending: what two families must not share on one page.
pub(crate) const fn stem(name: &str) -> &str {
    let mut endings = RESERVED;
    while let [ending, rest @ ..] = endings {
        if let Some(stem) = before(name, ending) {
            return stem;
        }
        endings = rest;
    }
    name
}

/// The unit that a name ends in.
pub(crate) const fn unit(name: &str) -> Option<&'static str> {
    let mut units = UNITS;
    while let [unit, rest @ ..] = units {
        if let Some(front) = before(name, unit)
            && let [_, .., b'_'] = front.as_bytes()
        {
            return Some(unit);
        }
        units = rest;
    }
    None
}

const fn why_bad_ending(kind: Kind, name: &str) -> Option<&'static str> {
    let front = stem(name);
    let is_reserved = front.len() < name.len();
    match kind {
        Kind::Counter if before(name, "_total").is_none() => {
            Some("the name of a counter ends in _total")
        }
        Kind::Info if before(name, "_info").is_none() => Some("the name of an info ends in _info"),
        Kind::Counter | Kind::Info if !is_name(front) || stem(front).len() < front.len() => {
            Some("before its ending the name must be a name without a reserved ending")
        }
        Kind::Gauge | Kind::Histogram | Kind::StateSet if is_reserved => {
            Some("this ending is reserved; a counter, an info or an unknown may have it")
        }
        _ => None,
    }
}

const fn why_bad_labels(family: &str, labels: &[&str]) -> Option<&'static str> {
    let mut rest = labels;
    while let [label, tail @ ..] = rest {
        if let Some(why) = why_bad_label(label) {
            return Some(why);
        }
        rest = tail;
    }
    if has_twice(labels) {
        return Some("a label name occurs twice");
    }
    if contains(labels, family) {
        return Some("a label has the name of its family");
    }
    None
}

const fn is_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if let [] | [b'0'..=b'9', ..] = rest {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !byte.is_ascii_alphanumeric() && *byte != b'_' {
            return false;
        }
        rest = tail;
    }
    true
}

const fn contains(texts: &[&str], wanted: &str) -> bool {
    let mut texts = texts;
    while let [text, rest @ ..] = texts {
        if equal(text, wanted) {
            return true;
        }
        texts = rest;
    }
    false
}

const fn equal(a: &str, b: &str) -> bool {
    match before(a, b) {
        Some(front) => front.is_empty(),
        None => false,
    }
}

/// The text in front of its `ending`.
const fn before<'a>(text: &'a str, ending: &str) -> Option<&'a str> {
    let Some(at) = text.len().checked_sub(ending.len()) else {
        return None;
    };
    let Some((front, back)) = text.split_at_checked(at) else {
        return None;
    };
    let (mut back, mut ending) = (back.as_bytes(), ending.as_bytes());
    while let ([a, back_rest @ ..], [b, ending_rest @ ..]) = (back, ending) {
        if *a != *b {
            return None;
        }
        (back, ending) = (back_rest, ending_rest);
    }
    Some(front)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(kind: Kind, name: &str) -> Option<&'static str> {
        why_bad_family(kind, name, "Help.", &[])
    }

    #[test]
    fn endings_belong_to_their_kinds() {
        for (kind, good, bad) in [
            (Kind::Counter, "a_total", "a"),
            (Kind::Counter, "a_seconds_total", "a_total_seconds"),
            (Kind::Counter, "a_total", "a_count_total"),
            (Kind::Counter, "a_total", "_total"),
            (Kind::Info, "a_info", "a_information"),
            (Kind::Gauge, "a", "a_total"),
            (Kind::Gauge, "count", "a_count"),
            (Kind::Histogram, "a_seconds", "a_bucket"),
            (Kind::StateSet, "a", "a_created"),
            (Kind::Unknown, "a_total", "a-total"),
        ] {
            assert_eq!(why(kind, good), None, "{good}");
            assert!(why(kind, bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn names_are_ascii_words() {
        for bad in ["", "1a", "a b", "a:b", "é", "a\n", "a.b"] {
            assert!(why(Kind::Gauge, bad).is_some(), "{bad:?}");
        }
        for good in ["a", "_a", "A1", "node_memory_MemTotal_bytes"] {
            assert_eq!(why(Kind::Gauge, good), None, "{good:?}");
        }
    }

    #[test]
    fn labels_are_distinct_and_not_reserved() {
        for bad in [
            &["a", "a"][..],
            &["__a"],
            &["le"],
            &["quantile"],
            &["x"],
            &[""],
            &["a", "b", "a"],
        ] {
            assert!(
                why_bad_family(Kind::Gauge, "x", "Help.", bad).is_some(),
                "{bad:?}"
            );
        }
        assert_eq!(
            why_bad_family(Kind::Gauge, "x", "Help.", &["a", "b", "_c"]),
            None
        );
    }

    #[test]
    fn help_is_a_text() {
        for bad in ["", " ", " a", "a\n"] {
            assert!(
                why_bad_family(Kind::Gauge, "x", bad, &[]).is_some(),
                "{bad:?}"
            );
        }
        assert_eq!(why_bad_family(Kind::Gauge, "x", "Two\nlines.", &[]), None);
    }

    #[test]
    fn units_are_whole_words_behind_something() {
        assert_eq!(unit("a_seconds"), Some("seconds"));
        assert_eq!(unit("seconds"), None);
        assert_eq!(unit("_seconds"), None);
        assert_eq!(unit("milliseconds"), None);
        assert_eq!(unit("a_ports"), None);
    }
}
