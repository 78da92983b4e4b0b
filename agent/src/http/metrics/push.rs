//! What the page tells of the push of samples.

use promexport::{Counter, Gauge, Page};

use crate::push::Totals;

static SENT: Counter<1> = Counter::new(
    "sigma_push_samples_total",
    "Samples by what became of them: sent, sent after an outage, refused for good.",
    ["result"],
);
static WAITING: Gauge<0> = Gauge::new(
    "sigma_push_backlog_samples",
    "Samples that could not be sent and wait.",
    [],
);
static BYTES: Gauge<0> = Gauge::new(
    "sigma_push_backlog_bytes",
    "Space on disk that waiting samples take.",
    [],
);
static ON_DISK: Gauge<0> = Gauge::new(
    "sigma_push_backlog_on_disk",
    "Whether the disk takes samples; where it does not, memory keeps some.",
    [],
);
static DROPPED: Counter<1> = Counter::new(
    "sigma_push_backlog_dropped_samples_total",
    "Waiting samples that were given up, by what for; those on disk are counted over restarts.",
    ["reason"],
);

pub(super) fn write(page: &mut Page, totals: &Totals) {
    page.counter(&SENT, ["sent"], totals.sent);
    page.counter(&SENT, ["backfilled"], totals.backfilled);
    page.counter(&SENT, ["refused"], totals.refused);
    let backlog = &totals.backlog;
    page.gauge(&WAITING, (), backlog.samples);
    page.gauge(&BYTES, (), backlog.bytes);
    if let Some(on_disk) = backlog.on_disk {
        page.gauge(&ON_DISK, (), on_disk);
    }
    for (reason, count) in [
        ("size", backlog.dropped.by_size),
        ("age", backlog.dropped.by_age),
        ("damage", backlog.dropped.by_damage),
        ("memory", backlog.dropped_from_memory),
    ] {
        page.counter(&DROPPED, [reason], count);
    }
}
