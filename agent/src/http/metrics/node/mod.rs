//! The host once more, under the names that node_exporter gives to the same facts: for dashboards and alerts that know no others.

mod clock;
mod cpu;
mod disk;
mod kept;
mod memory;
mod network;
mod sensors;
mod socket;
mod system;
mod tree;

use std::error::Error;
use std::time::Instant;

use promexport::{Counter, Gauge, Labels, Page, Unknown, Value};

use super::Writing;
use crate::place::Place;
pub(super) use kept::Kept;
use tree::Tree;

/// Whether a source could be read. What one file does not tell is left out and hides nothing else.
type Outcome = Result<(), Box<dyn Error>>;

type Source = fn(&mut Page, &mut Tree<'_>) -> Outcome;

/// Every source, by the name of the collector whose families it writes.
const SOURCES: &[(&str, Source)] = &[
    ("arp", network::arp),
    ("conntrack", socket::conntrack),
    ("cpu", cpu::cpu),
    ("cpufreq", cpu::frequency),
    ("diskstats", disk::diskstats),
    ("entropy", system::entropy),
    ("filefd", system::filefd),
    ("filesystem", disk::filesystem),
    ("hwmon", sensors::hwmon),
    ("loadavg", system::loadavg),
    ("meminfo", memory::meminfo),
    ("netclass", network::netclass),
    ("netdev", network::netdev),
    ("netstat", socket::netstat),
    ("pressure", system::pressure),
    ("processes", system::processes),
    ("schedstat", cpu::schedstat),
    ("sockstat", socket::sockstat),
    ("softnet", network::softnet),
    ("stat", cpu::stat),
    ("thermal_zone", sensors::thermal_zone),
    ("time", clock::time),
    ("timex", clock::timex),
    ("udp_queues", socket::udp_queues),
    ("uname", system::uname),
    ("vmstat", memory::vmstat),
];

static SUCCESS: Gauge<1> = Gauge::new(
    "node_scrape_collector_success",
    "Whether the source had something to tell.",
    ["collector"],
);
static DURATION: Gauge<1> = Gauge::new(
    "node_scrape_collector_duration_seconds",
    "How long reading the source took.",
    ["collector"],
);

pub(super) fn write(writing: &mut Writing, place: &Place, kept: &mut Kept) {
    let mut tree = Tree::new(place, kept);
    for (name, write) in SOURCES {
        if !writing.wants(name) {
            continue;
        }
        let page = &mut writing.page;
        let start = Instant::now();
        let outcome = write(page, &mut tree);
        if let Err(error) = &outcome {
            tracing::debug!(source = name, %error, "cannot be read");
        }
        page.gauge(&SUCCESS, [name], outcome.is_ok());
        page.gauge(&DURATION, [name], start.elapsed());
    }
}

/// A family of one of three kinds, for tables that mix them.
enum Family<const L: usize> {
    Counter(Counter<L>),
    Gauge(Gauge<L>),
    Unknown(Unknown<L>),
}

impl<const L: usize> Family<L> {
    const fn counter(name: &'static str, help: &'static str, labels: [&'static str; L]) -> Self {
        Self::Counter(Counter::new(name, help, labels))
    }

    const fn gauge(name: &'static str, help: &'static str, labels: [&'static str; L]) -> Self {
        Self::Gauge(Gauge::new(name, help, labels))
    }

    const fn unknown(name: &'static str, help: &'static str, labels: [&'static str; L]) -> Self {
        Self::Unknown(Unknown::new(name, help, labels))
    }

    fn write(&self, page: &mut Page, labels: impl Labels<L>, value: impl Into<Value>) {
        match self {
            Self::Counter(family) => page.counter(family, labels, value),
            Self::Gauge(family) => page.gauge(family, labels, value),
            Self::Unknown(family) => page.unknown(family, labels, value),
        }
    }
}
