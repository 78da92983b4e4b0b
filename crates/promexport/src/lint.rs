//! Finds fault with a page: for the tests of those who write pages.

mod line;
mod names;

use std::collections::{HashMap, HashSet};
use std::fmt;

use line::{Line, Sample};

use crate::format::Format;
use crate::value::canonical_bound;

/// One fault of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Complaint {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Finds fault with a page.
///
/// Checks what the formats demand, what `promtool check metrics` advises on names, and what both let pass
/// although it is wrong: the same series twice, blank lines, timestamps, bounds in other spellings.
/// A page of this crate can only offend against the advice on names.
///
/// ```
/// # use promexport::{Format, lint};
/// let page = b"# HELP up_minutes Time.\n# TYPE up_minutes gauge\nup_minutes 1\nup_minutes 2\n";
/// let complaints: Vec<String> = lint(page, Format::TEXT).iter().map(ToString::to_string).collect();
/// assert_eq!(complaints, [
///     "line 1: up_minutes: minutes is no base unit",
///     "line 4: up_minutes: the series is on the page already",
/// ]);
/// ```
#[must_use]
pub fn lint(body: &[u8], format: Format) -> Vec<Complaint> {
    let mut lint = Lint::new(format);
    match std::str::from_utf8(body) {
        Ok(text) => lint.page(text),
        Err(_) => lint.complain("the page is not UTF-8".to_owned()),
    }
    lint.complaints.sort_by_key(|complaint| complaint.line);
    lint.complaints
}

struct Lint<'a> {
    open_metrics: bool,
    line: usize,
    families: HashMap<&'a str, Family<'a>>,
    /// The family that the last line belonged to.
    current: &'a str,
    series: HashSet<(&'a str, Vec<(&'a str, String)>)>,
    buckets: Option<Bucket<'a>>,
    eof: bool,
    complaints: Vec<Complaint>,
}

/// What was said about a family so far.
#[derive(Default)]
struct Family<'a> {
    line: usize,
    kind: Option<&'a str>,
    help: Option<&'a str>,
    unit: Option<&'a str>,
    has_samples: bool,
}

/// The last bucket of a histogram.
struct Bucket<'a> {
    labels: Vec<(&'a str, String)>,
    bound: f64,
    count: f64,
}

impl<'a> Lint<'a> {
    fn new(format: Format) -> Self {
        Lint {
            open_metrics: format.is_open_metrics(),
            line: 1,
            families: HashMap::new(),
            current: "",
            series: HashSet::new(),
            buckets: None,
            eof: false,
            complaints: Vec::new(),
        }
    }

    fn complain(&mut self, what: String) {
        self.complaints.push(Complaint {
            line: self.line,
            what,
        });
    }

    fn page(&mut self, text: &'a str) {
        for (at, line) in text.split_terminator('\n').enumerate() {
            self.line = at + 1;
            if self.eof {
                self.complain("something follows # EOF".to_owned());
            }
            if line.ends_with('\r') {
                self.complain("carriage return".to_owned());
            }
            match line::parse(line) {
                Ok(Line::Metadata { word, name, text }) => self.metadata(word, name, text),
                Ok(Line::Sample(sample)) => self.sample(&sample),
                Ok(Line::Eof) => self.eof = true,
                Err(what) => self.complain(what.to_owned()),
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            self.complain("no newline at the end".to_owned());
        }
        if self.eof != self.open_metrics {
            self.complain("# EOF ends a page of OpenMetrics and no other".to_owned());
        }
        self.families_as_a_whole();
    }

    fn metadata(&mut self, word: &'a str, name: &'a str, text: &'a str) {
        self.enter(name);
        let family = self.families.entry(name).or_default();
        let field = match word {
            "TYPE" => &mut family.kind,
            "UNIT" => &mut family.unit,
            _ => &mut family.help,
        };
        let again = field.replace(text).is_some();
        if again {
            self.complain(format!("{name}: {word} for the second time"));
        } else if family.has_samples {
            self.complain(format!("{name}: {word} after samples"));
        }
        match word {
            "TYPE" if !self.kinds().contains(&text) => {
                self.complain(format!("{name}: no such type here: {text:?}"));
            }
            "UNIT" if !self.open_metrics => {
                self.complain(format!("{name}: UNIT outside of OpenMetrics"));
            }
            "UNIT"
                if name
                    .strip_suffix(text)
                    .is_none_or(|front| !front.ends_with('_')) =>
            {
                self.complain(format!("{name}: does not end in its unit {text:?}"));
            }
            _ => {}
        }
    }

    fn kinds(&self) -> &'static [&'static str] {
        if self.open_metrics {
            &[
                "counter",
                "gauge",
                "histogram",
                "gaugehistogram",
                "stateset",
                "info",
                "summary",
                "unknown",
            ]
        } else {
            &["counter", "gauge", "histogram", "summary", "untyped"]
        }
    }

    /// The lines of a family begin or go on.
    fn enter(&mut self, name: &'a str) {
        if self.current == name {
            return;
        }
        self.current = name;
        self.buckets = None;
        let line = self.line;
        let is_new = !self.families.contains_key(name);
        self.families.entry(name).or_insert(Family {
            line,
            ..Family::default()
        });
        if !is_new {
            self.complain(format!("{name}: the family stands in several pieces"));
        }
    }

    fn sample(&mut self, sample: &Sample<'a>) {
        let name = sample.name;
        let (family, ending) = self.family_of(name);
        self.enter(family);
        let known = self.families.entry(family).or_default();
        known.has_samples = true;
        let kind = known.kind.unwrap_or("unknown");
        if !self.series.insert((name, sample.labels_without(""))) {
            self.complain(format!("{name}: the series is on the page already"));
        }
        self.sample_value(sample, family, kind, ending);
        self.sample_labels(sample, kind, ending);
        if kind == "histogram" {
            self.histogram(sample, ending);
        }
    }

    /// The family that a sample of this name belongs to, and the ending that the family's name lacks.
    fn family_of(&self, name: &'a str) -> (&'a str, &'a str) {
        let splits = [
            "_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info",
        ]
        .into_iter()
        .filter_map(|ending| name.strip_suffix(ending))
        .map(|family| (family, name.strip_prefix(family).unwrap_or_default()));
        splits
            .chain([(name, "")])
            .find(|(family, ending)| {
                let kind = self.families.get(family).and_then(|family| family.kind);
                kind.is_some_and(|kind| self.endings(kind).contains(ending))
            })
            .unwrap_or((name, ""))
    }

    fn endings(&self, kind: &str) -> &'static [&'static str] {
        match (kind, self.open_metrics) {
            ("counter", true) => &["_total", "_created"],
            ("info", true) => &["_info"],
            ("histogram", true) => &["_bucket", "_count", "_sum", "_created"],
            ("histogram", false) => &["_bucket", "_count", "_sum"],
            ("gaugehistogram", true) => &["_bucket", "_gcount", "_gsum"],
            ("summary", true) => &["", "_count", "_sum", "_created"],
            ("summary", false) => &["", "_count", "_sum"],
            _ => &[""],
        }
    }

    fn sample_value(&mut self, sample: &Sample<'a>, family: &str, kind: &str, ending: &str) {
        let Sample { name, value, .. } = *sample;
        let counts = kind == "counter" || matches!(ending, "_bucket" | "_count" | "_gcount");
        let is_state = value == 0.0 || value == 1.0;
        if counts && (value.is_nan() || value < 0.0) {
            self.complain(format!("{name}: a count that is not a number from zero up"));
        } else if kind == "info" && value != 1.0 {
            self.complain(format!("{name}: an info that is not 1"));
        } else if kind == "stateset" && (!is_state || sample.label(family).is_none()) {
            self.complain(format!(
                "{name}: a state without its label, or neither 0 nor 1"
            ));
        }
    }

    fn sample_labels(&mut self, sample: &Sample<'a>, kind: &str, ending: &str) {
        for (label, _) in &sample.labels {
            let allowed = match *label {
                "le" => ending == "_bucket",
                "quantile" => kind == "summary" && ending.is_empty(),
                label => {
                    !label.starts_with("__") && !label.contains(|c: char| c.is_ascii_uppercase())
                }
            };
            if !allowed {
                self.complain(format!(
                    "{}: no label may be called {label} here",
                    sample.name
                ));
            }
        }
    }

    /// Bounds and counts rise up to +Inf, and the count is that of +Inf.
    fn histogram(&mut self, sample: &Sample<'a>, ending: &str) {
        let name = sample.name;
        let labels = sample.labels_without("le");
        let last = self.buckets.take().filter(|last| last.labels == labels);
        if ending == "_count" {
            if last.is_none_or(|last| last.bound != f64::INFINITY || last.count != sample.value) {
                self.complain(format!(
                    "{name}: is not the count of the bucket +Inf just above"
                ));
            }
        } else if ending == "_bucket" {
            let spelled = sample.label("le").unwrap_or_default();
            let bound = spelled.parse().unwrap_or(f64::NAN);
            if canonical_bound(bound) != spelled {
                self.complain(format!(
                    "{name}: le={spelled:?} is not the canonical spelling"
                ));
            }
            if last.is_some_and(|last| last.bound >= bound || last.count > sample.value) {
                self.complain(format!("{name}: bounds or counts do not rise"));
            }
            self.buckets = Some(Bucket {
                labels,
                bound,
                count: sample.value,
            });
        }
    }

    /// What shows only when the page was read to its end.
    fn families_as_a_whole(&mut self) {
        for (name, family) in std::mem::take(&mut self.families) {
            self.line = family.line;
            if family.help.is_none_or(str::is_empty) {
                self.complain(format!("{name}: no HELP"));
            }
            let Some(kind) = family.kind else {
                self.complain(format!("{name}: no TYPE"));
                continue;
            };
            if family.unit.is_some() && matches!(kind, "info" | "stateset") {
                self.complain(format!("{name}: a {kind} has no unit"));
            }
            let counter_ending = if self.open_metrics && kind == "counter" {
                "_total"
            } else {
                ""
            };
            for what in names::complaints(&format!("{name}{counter_ending}"), kind) {
                self.complain(format!("{name}: {what}"));
            }
        }
    }
}
