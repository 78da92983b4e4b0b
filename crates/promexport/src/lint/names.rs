//! What promtool says about names: endings, units, words.

const ABBREVIATIONS: &[&str] = &[
    "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
];
const NOT_BASE: &[&str] = &[
    "minutes",
    "hours",
    "days",
    "weeks",
    "bits",
    "kelvins",
    "fahrenheit",
    "rankine",
    "inches",
    "yards",
    "miles",
    "kilograms",
    "pounds",
    "percent",
];
const BASE: &[&str] = &[
    "seconds", "bytes", "meters", "grams", "joules", "volts", "amperes", "hertz", "celsius", "bits",
];
const PREFIXES: &[&str] = &[
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mebi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const TYPE_WORDS: &[&str] = &["counter", "gauge", "summary", "untyped", "histogram"];

/// Complaints about the name that a family has in text 0.0.4, given its type.
pub(super) fn complaints(name: &str, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    let untyped = matches!(kind, "untyped" | "unknown");
    let counts = matches!(kind, "histogram" | "gaugehistogram" | "summary");
    for (ending, allowed) in [
        ("_total", kind == "counter" || untyped),
        ("_bucket", matches!(kind, "histogram" | "gaugehistogram")),
        ("_count", counts),
        ("_sum", counts),
    ] {
        if name.ends_with(ending) && !allowed {
            found.push(format!("ending {ending} on a {kind}"));
        }
    }
    if kind == "counter" && !name.ends_with("_total") {
        found.push("counter without the ending _total".to_owned());
    }
    if name.contains(':') {
        found.push("colon, which is for recording rules".to_owned());
    }
    if name.contains(|letter: char| letter.is_ascii_uppercase()) {
        found.push("capital letter".to_owned());
    }
    found.extend(name.split('_').filter_map(complaint_about_word));
    found
}

fn complaint_about_word(word: &str) -> Option<String> {
    let prefixed = || {
        PREFIXES
            .iter()
            .filter_map(|prefix| word.strip_prefix(prefix))
            .any(|unit| BASE.contains(&unit))
    };
    if ABBREVIATIONS.contains(&word) {
        Some(format!("abbreviated unit {word}"))
    } else if NOT_BASE.contains(&word) || prefixed() {
        Some(format!("{word} is no base unit"))
    } else if TYPE_WORDS.contains(&word) {
        Some(format!("the type {word} in the name"))
    } else {
        None
    }
}
