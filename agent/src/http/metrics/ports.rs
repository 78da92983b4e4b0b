//! The ports' part of the page: the last scan's picture, with its own timestamp.

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use promexport::{Counter, Gauge, Page, Unknown};

use crate::ports::Ports;

static TOTAL: Unknown<0> = Unknown::new(
    "sigma_ports_total",
    "Ports in the scan range. Deprecated for its ending: use sigma_port_range_ports.",
    [],
);
static RANGE: Gauge<0> = Gauge::new("sigma_port_range_ports", "Ports in the scan range.", []);
static AVAILABLE: Gauge<0> = Gauge::new(
    "sigma_ports_available",
    "Ports of the scan range that nobody holds.",
    [],
);
static IN_USE: Gauge<0> = Gauge::new(
    "sigma_ports_in_use",
    "Ports of the scan range that somebody holds: all less those available.",
    [],
);
static USED: Gauge<1> = Gauge::new(
    "sigma_ports_used",
    "Ports of the scan range that somebody holds, by who does. Adds up with sigma_ports_available to all.",
    ["source"],
);
static LISTENING: Gauge<1> = Gauge::new(
    "sigma_ports_listening",
    "TCP ports of the whole host, in the scan range or not, on which somebody listens.",
    ["source"],
);
static OTHER: Gauge<1> = Gauge::new(
    "sigma_ports_other_detail",
    "Listening TCP ports of the whole host behind the source other, by process name.",
    ["process"],
);
static VERDICT: Gauge<1> = Gauge::new(
    "sigma_port_verdict_ports",
    "Ports of the scan range by what the last scan found.",
    ["verdict"],
);
static SECONDS: Gauge<0> = Gauge::new(
    "sigma_port_scan_duration_seconds",
    "How long the last scan took, owners included.",
    [],
);
static SECONDS_TOTAL: Counter<0> =
    Counter::new("sigma_port_scan_seconds_total", "Time spent in scans.", []);
static SCANS: Counter<1> = Counter::new(
    "sigma_port_scans_total",
    "Scans, by how they ended.",
    ["result"],
);
static LAST: Gauge<0> = Gauge::new(
    "sigma_port_scan_last_success_timestamp_seconds",
    "When the figures about ports were taken.",
    [],
);
static UNATTRIBUTED: Gauge<0> = Gauge::new(
    "sigma_port_sockets_unattributed",
    "Sockets whose owner could not be found, by the last scan.",
    [],
);

pub(super) fn write(page: &mut Page, ports: &Ports) {
    page.counter(&SCANS, ["success"], ports.succeeded.load(Ordering::Relaxed));
    page.counter(&SCANS, ["failure"], ports.failed.load(Ordering::Relaxed));
    page.counter(&SECONDS_TOTAL, (), ports.time_spent());
    // Before the first scan there is nothing to tell: zeros would look like figures.
    let Some(scanned) = ports.latest() else {
        return;
    };
    let (picture, summary) = (&scanned.picture, &scanned.summary);
    page.unknown(&TOTAL, (), summary.total);
    page.gauge(&RANGE, (), summary.total);
    page.gauge(&AVAILABLE, (), summary.available);
    page.gauge(&IN_USE, (), summary.total.saturating_sub(summary.available));
    for (source, ports) in &summary.used {
        page.gauge(&USED, [source], *ports);
    }
    for (source, ports) in &summary.listening {
        page.gauge(&LISTENING, [source], *ports);
    }
    for (name, ports) in &summary.other {
        page.gauge(&OTHER, [name.as_bytes()], *ports);
    }
    for (verdict, ports) in &summary.verdicts {
        page.gauge(&VERDICT, [verdict.as_str()], *ports);
    }
    page.gauge(&SECONDS, (), picture.timing.total);
    if let Ok(since) = scanned.at.duration_since(UNIX_EPOCH) {
        page.gauge(&LAST, (), since);
    }
    if let Some(attribution) = &picture.attribution {
        page.gauge(
            &UNATTRIBUTED,
            (),
            u64::try_from(attribution.unattributed).unwrap_or(u64::MAX),
        );
    }
}
