//! The six kinds of metric family, declared once as `static` and checked by the compiler.

use std::borrow::Cow;

use crate::name::{self, BadName};

/// What a family measures; decides its type line and the endings of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    StateSet,
    Unknown,
}

/// A family without its labels, so that code over it exists once and not once per number of labels.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
}

impl Head {
    /// The name without its reserved ending.
    pub(crate) fn stem(&self) -> Cow<'static, str> {
        match &self.name {
            Cow::Borrowed(name) => Cow::Borrowed(name::stem(name)),
            Cow::Owned(name) => Cow::Owned(name::stem(name).to_owned()),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Family<const L: usize> {
    pub(crate) head: Head,
    pub(crate) labels: [&'static str; L],
}

impl<const L: usize> Family<L> {
    const fn new(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; L],
    ) -> Self {
        if let Some(why) = name::why_bad_family(kind, name, help, &labels) {
            name::refuse(why);
        }
        let (name, help) = (Cow::Borrowed(name), Cow::Borrowed(help));
        Family {
            head: Head { kind, name, help },
            labels,
        }
    }

    fn try_new(
        kind: Kind,
        name: Cow<'static, str>,
        help: Cow<'static, str>,
        labels: [&'static str; L],
    ) -> Result<Self, BadName> {
        match name::why_bad_family(kind, &name, &help, &labels) {
            Some(why) => Err(BadName::new(name, why)),
            None => Ok(Family {
                head: Head { kind, name, help },
                labels,
            }),
        }
    }
}

impl<const L: usize> Family<L> {
    pub(crate) fn series<'a>(&'a self, values: &'a [&'a [u8]; L]) -> Series<'a> {
        Series {
            head: &self.head,
            names: &self.labels,
            values,
        }
    }
}

/// One series of a family: what a sample says beside its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) head: &'a Head,
    pub(crate) names: &'a [&'static str],
    pub(crate) values: &'a [&'a [u8]],
}

macro_rules! family {
    ($(#[$doc:meta])* $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $kind<const L: usize>(pub(crate) Family<L>);

        impl<const L: usize> $kind<L> {
            /// A family known when compiling: its name, its help text and the names of its labels.
            ///
            /// # Panics
            ///
            /// If the formats do not allow one of the names: a build error in a `static` or `const`.
            #[must_use]
            pub const fn new(name: &'static str, help: &'static str, labels: [&'static str; L]) -> Self {
                $kind(Family::new(Kind::$kind, name, help, labels))
            }

            /// A family whose name is known only when running.
            ///
            /// # Errors
            ///
            /// If the formats do not allow one of the names.
            pub fn try_new(
                name: impl Into<Cow<'static, str>>,
                help: impl Into<Cow<'static, str>>,
                labels: [&'static str; L],
            ) -> Result<Self, BadName> {
                Family::try_new(Kind::$kind, name.into(), help.into(), labels).map($kind)
            }
        }
    };
}

family! {
    /// Something that only rises while the process lives; its name ends in `_total`.
    ///
    /// ```
    /// # use promexport::Counter;
    /// static CPU: Counter<2> =
    ///     Counter::new("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", ["cpu", "mode"]);
    /// ```
    ///
    /// A name that the formats do not allow does not compile:
    ///
    /// ```compile_fail
    /// # use promexport::Counter;
    /// static CPU: Counter<0> = Counter::new("node_cpu_seconds", "The ending _total is missing.", []);
    /// ```
    Counter
}
family! {
    /// Something that rises and falls.
    ///
    /// ```compile_fail
    /// # use promexport::Gauge;
    /// static PORTS: Gauge<0> = Gauge::new("ports_total", "The ending _total is for counters.", []);
    /// ```
    Gauge
}
family! {
    /// How often values fell below each of a few bounds; see [`Buckets`](crate::Buckets).
    Histogram
}
family! {
    /// Texts that describe something, as labels on a sample that is always 1; its name ends in `_info`.
    Info
}
family! {
    /// A figure of no declared type: the way out for names that history has fixed.
    ///
    /// It alone may have a reserved ending (such as `_total` on what is no counter). The type line says
    /// `untyped` in text 0.0.4 and `unknown` in OpenMetrics.
    Unknown
}

/// Which of a fixed list of states hold, one sample per state.
///
/// ```
/// # use promexport::{Format, Page, StateSet};
/// static JOB: StateSet<1, 3> =
///     StateSet::new("job_state", "What each job does.", ["job"], ["idle", "running", "failed"]);
///
/// let mut page = Page::new(Format::TEXT);
/// page.stateset(&JOB, ["scan"], |state| state == "running");
/// assert!(page.finish().ends_with(b"job_state{job=\"scan\",job_state=\"failed\"} 0\n"));
/// ```
#[derive(Debug, Clone)]
pub struct StateSet<const L: usize, const S: usize> {
    pub(crate) family: Family<L>,
    pub(crate) states: [&'static str; S],
}

impl<const L: usize, const S: usize> StateSet<L, S> {
    /// A family known when compiling: its name, its help text, the names of its labels and its states.
    ///
    /// # Panics
    ///
    /// If the formats do not allow one of the names, or if there are no states or one twice: a build
    /// error in a `static` or `const`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; L],
        states: [&'static str; S],
    ) -> Self {
        if S == 0 || name::has_twice(&states) {
            name::refuse("the states of a state set are at least one, and distinct");
        }
        StateSet {
            family: Family::new(Kind::StateSet, name, help, labels),
            states,
        }
    }
}

/// The label values of one sample, in the order in which the family names its labels.
///
/// An array of anything that is bytes: `["eth0"]`, `[mount.as_bytes(), b"ext4"]`. A family without
/// labels takes `()`. The bytes need not be UTF-8.
pub trait Labels<const L: usize> {
    /// The values as bytes.
    fn values(&self) -> [&[u8]; L];
}

impl Labels<0> for () {
    fn values(&self) -> [&[u8]; 0] {
        []
    }
}

impl<V: AsRef<[u8]>, const L: usize> Labels<L> for [V; L] {
    fn values(&self) -> [&[u8]; L] {
        self.each_ref().map(AsRef::as_ref)
    }
}
