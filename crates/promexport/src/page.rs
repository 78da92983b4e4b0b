//! One page of metrics, written sample by sample.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::buckets::Buckets;
use crate::escape;
use crate::family::{
    Counter, Gauge, Head, Histogram, Info, Kind, Labels, Series, StateSet, Unknown,
};
use crate::format::Format;
use crate::metadata;
use crate::name::{self, LabelName};
use crate::seen::Seen;
use crate::value::{Value, canonical_bound};

/// A page of metrics under construction: one call per sample, then [`finish`](Page::finish).
///
/// The page keeps three promises whatever it is given. Each family stands in one piece, at the place
/// where it first appeared, even if the calls alternate. No series occurs twice: the first sample stays.
/// And every parser of the format can read the whole page. A sample that would break a promise is left
/// out; [`refused`](Page::refused) counts those.
#[derive(Debug)]
pub struct Page {
    format: Format,
    /// Sorted by name, so that the same labels always make the same text.
    constants: Vec<Constant>,
    body: Vec<u8>,
    /// In order of appearance.
    families: Vec<Known>,
    /// Where in `families` the family with this stem is.
    by_stem: HashMap<Cow<'static, str>, usize>,
    /// The pieces of `body`, one for each change of family.
    pieces: Vec<Piece>,
    seen: Seen,
    /// The labels of the sample at hand, without braces.
    labels: Vec<u8>,
    refused: usize,
    first_refused: Option<String>,
}

#[derive(Debug)]
struct Constant {
    name: LabelName,
    /// `name="value"`
    text: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    kind: Kind,
    name: Cow<'static, str>,
    labels: Vec<&'static str>,
}

#[derive(Debug)]
struct Piece {
    family: usize,
    start: usize,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Page {
            format,
            constants: Vec::new(),
            body: Vec::new(),
            families: Vec::new(),
            by_stem: HashMap::new(),
            pieces: Vec::new(),
            seen: Seen::default(),
            labels: Vec::new(),
            refused: 0,
            first_refused: None,
        }
    }

    /// Puts a label in front of the labels of every sample from here on; an empty value takes it away.
    /// A family that has a label of the same name keeps its own.
    ///
    /// ```
    /// # use promexport::{Format, Gauge, LabelName, Page};
    /// const HOSTNAME: LabelName = LabelName::new("hostname");
    /// static LOAD: Gauge<0> = Gauge::new("node_load1", "Load over one minute.", []);
    ///
    /// let mut page = Page::new(Format::TEXT);
    /// page.constant(HOSTNAME, "db1");
    /// page.gauge(&LOAD, (), 0.5);
    /// assert!(page.finish().ends_with(b"node_load1{hostname=\"db1\"} 0.5\n"));
    /// ```
    pub fn constant(&mut self, name: LabelName, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.constants.retain(|constant| constant.name != name);
        // To Prometheus an empty label is none.
        if !value.is_empty() {
            let mut text = Vec::new();
            write_label(name.as_str(), value, &mut text);
            self.constants.push(Constant { name, text });
            self.constants
                .sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        }
    }

    /// How many samples were left out so far: doubles, families that clash with an earlier one,
    /// counters below zero.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The first sample that was left out, and why, in words for a log.
    #[must_use]
    pub fn first_refused(&self) -> Option<&str> {
        self.first_refused.as_deref()
    }

    /// The format the page is written in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The page as it goes out. What remains is an empty page of the same format and constant labels
    /// that keeps its memory.
    pub fn finish(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.body.len());
        let mut body = std::mem::replace(&mut self.body, next);
        if self.pieces.len() > self.families.len() {
            body = gathered(&body, &self.pieces);
        }
        if self.format.is_open_metrics() {
            body.extend_from_slice(b"# EOF\n");
        }
        self.restart(self.format);
        body
    }

    /// Drops what was written and begins again in another format, with the same constant labels.
    pub fn restart(&mut self, format: Format) {
        self.format = format;
        self.body.clear();
        self.families.clear();
        self.by_stem.clear();
        self.pieces.clear();
        self.seen.clear();
        self.refused = 0;
        self.first_refused = None;
    }
}

/// One call per sample.
#[allow(
    clippy::needless_pass_by_value,
    reason = "an array or () at the call reads best without &"
)]
impl Page {
    /// Adds a sample of a counter. One that is negative or NaN is refused.
    pub fn counter<const L: usize>(
        &mut self,
        family: &Counter<L>,
        labels: impl Labels<L>,
        value: impl Into<Value>,
    ) {
        self.count(family.0.series(&labels.values()), value.into(), None);
    }

    /// Adds a sample of a counter that says since when it counts. The time stands on OpenMetrics pages
    /// only, as a series of its own that ends in `_created`.
    pub fn counter_since<const L: usize>(
        &mut self,
        family: &Counter<L>,
        labels: impl Labels<L>,
        value: impl Into<Value>,
        since: SystemTime,
    ) {
        self.count(family.0.series(&labels.values()), value.into(), Some(since));
    }

    /// Adds a sample of a gauge.
    pub fn gauge<const L: usize>(
        &mut self,
        family: &Gauge<L>,
        labels: impl Labels<L>,
        value: impl Into<Value>,
    ) {
        self.sample(family.0.series(&labels.values()), value.into());
    }

    /// Adds a sample of no declared type.
    pub fn unknown<const L: usize>(
        &mut self,
        family: &Unknown<L>,
        labels: impl Labels<L>,
        value: impl Into<Value>,
    ) {
        self.sample(family.0.series(&labels.values()), value.into());
    }

    /// Adds texts that describe something.
    pub fn info<const L: usize>(&mut self, family: &Info<L>, labels: impl Labels<L>) {
        self.sample(family.0.series(&labels.values()), true.into());
    }

    /// Adds one sample for each state of the family: 1 where `holds` says so, else 0.
    pub fn stateset<const L: usize, const S: usize>(
        &mut self,
        family: &StateSet<L, S>,
        labels: impl Labels<L>,
        holds: impl Fn(&str) -> bool,
    ) {
        if !self.begin(family.family.series(&labels.values())) {
            return;
        }
        let name = &*family.family.head.name;
        for state in family.states {
            self.write_line(name, "", Some((name, state)), holds(state).into());
        }
    }

    /// Adds the buckets, the count and the sum of a histogram.
    pub fn histogram<const L: usize, const B: usize>(
        &mut self,
        family: &Histogram<L>,
        labels: impl Labels<L>,
        buckets: &Buckets<B>,
    ) {
        if !self.begin(family.0.series(&labels.values())) {
            return;
        }
        let name = &*family.0.head.name;
        let mut count = 0;
        for (bound, up_to_bound) in buckets.cumulative() {
            count = up_to_bound;
            self.write_line(
                name,
                "_bucket",
                Some(("le", &canonical_bound(bound))),
                count.into(),
            );
        }
        self.write_line(name, "_count", None, count.into());
        self.write_line(name, "_sum", None, buckets.sum().into());
    }
}

impl Page {
    fn count(&mut self, series: Series<'_>, value: Value, since: Option<SystemTime>) {
        if !value.can_count() {
            self.write_labels(series);
            self.refuse(series.head, "a counter is a number from zero up");
            return;
        }
        if !self.sample(series, value) || !self.format.is_open_metrics() {
            return;
        }
        if let Some(since) = since.and_then(|since| since.duration_since(UNIX_EPOCH).ok()) {
            self.write_line(
                name::stem(&series.head.name),
                "_created",
                None,
                since.into(),
            );
        }
    }

    /// Writes the one line of most kinds. Whether it was written.
    fn sample(&mut self, series: Series<'_>, value: Value) -> bool {
        let begun = self.begin(series);
        if begun {
            self.write_line(&series.head.name, "", None, value);
        }
        begun
    }

    /// Prepares labels and family of a series. Whether it may be written.
    fn begin(&mut self, series: Series<'_>) -> bool {
        self.write_labels(series);
        let Some(family) = self.enter(series) else {
            self.refuse(
                series.head,
                "another family on the page has this name or its stem",
            );
            return false;
        };
        let is_new = self.seen.insert(family, &self.labels);
        if !is_new {
            self.refuse(series.head, "the series is on the page already");
        }
        is_new
    }

    fn write_labels(&mut self, series: Series<'_>) {
        let Series {
            head,
            names,
            values,
        } = series;
        self.labels.clear();
        for constant in &self.constants {
            let name = constant.name.as_str();
            let is_state = head.kind == Kind::StateSet && head.name == name;
            if !is_state && !names.contains(&name) {
                separate(&mut self.labels);
                self.labels.extend_from_slice(&constant.text);
            }
        }
        for (name, value) in names.iter().zip(values) {
            separate(&mut self.labels);
            write_label(name, value, &mut self.labels);
        }
    }

    /// Makes this family the one that is being written, with its metadata if it is new.
    fn enter(&mut self, series: Series<'_>) -> Option<usize> {
        if let Some(current) = self.pieces.last().map(|piece| piece.family)
            && self.is_family(current, series)
        {
            return Some(current);
        }
        let start = self.body.len();
        if let Some(&family) = self.by_stem.get(name::stem(&series.head.name)) {
            if !self.is_family(family, series) {
                return None;
            }
            self.pieces.push(Piece { family, start });
            return Some(family);
        }
        let Series { head, names, .. } = series;
        let family = self.families.len();
        self.by_stem.insert(head.stem(), family);
        self.families.push(Known {
            kind: head.kind,
            name: head.name.clone(),
            labels: names.to_vec(),
        });
        self.pieces.push(Piece { family, start });
        metadata::write(head, self.format, &mut self.body);
        Some(family)
    }

    fn is_family(&self, at: usize, series: Series<'_>) -> bool {
        self.families.get(at).is_some_and(|known| {
            known.kind == series.head.kind
                && known.name == series.head.name
                && known.labels == series.names
        })
    }

    /// Writes a line with the labels at hand and one that belongs to the kind: `le` or the state.
    fn write_line(
        &mut self,
        name: &str,
        ending: &str,
        own_label: Option<(&str, &str)>,
        value: Value,
    ) {
        let out = &mut self.body;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(ending.as_bytes());
        if !self.labels.is_empty() || own_label.is_some() {
            out.push(b'{');
            out.extend_from_slice(&self.labels);
            if let Some((name, value)) = own_label {
                if !self.labels.is_empty() {
                    out.push(b',');
                }
                write_label(name, value.as_bytes(), out);
            }
            out.push(b'}');
        }
        out.push(b' ');
        value.write(out);
        out.push(b'\n');
    }

    #[cold]
    fn refuse(&mut self, head: &Head, why: &str) {
        self.refused += 1;
        if self.first_refused.is_none() {
            let labels = String::from_utf8_lossy(&self.labels);
            self.first_refused = Some(format!("{}{{{labels}}}: {why}", head.name));
        }
    }
}

fn write_label(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape::label_value(value, out);
    out.push(b'"');
}

fn separate(labels: &mut Vec<u8>) {
    if !labels.is_empty() {
        labels.push(b',');
    }
}

/// The body with the pieces of each family side by side.
fn gathered(body: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let ends = pieces
        .iter()
        .skip(1)
        .map(|piece| piece.start)
        .chain([body.len()]);
    let mut spans: Vec<_> = pieces.iter().zip(ends).collect();
    spans.sort_by_key(|(piece, _)| piece.family);
    let mut out = Vec::with_capacity(body.len());
    for (piece, end) in spans {
        out.extend_from_slice(body.get(piece.start..end).unwrap_or_default());
    }
    out
}
