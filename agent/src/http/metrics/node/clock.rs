//! The clock: what time it is, and how well the kernel knows.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use promexport::{Gauge, Page};

use super::tree::Tree;
use super::{Family, Outcome};
use crate::sandbox;

static NOW: Gauge<0> = Gauge::new("node_time_seconds", "The time of day.", []);

/// The result of `adjtimex` for a clock that nobody keeps.
const TIME_ERROR: i32 = 5;
/// The status bit that says that offset and jitter are nanoseconds, not microseconds.
const STA_NANO: i32 = 0x2000;
const MICROSECOND: f64 = 1e6;
const NANOSECOND: f64 = 1e9;
/// Frequencies are parts per million with 16 bits behind the point.
const SCALED_PPM: f64 = 65_536e6;

static TIMEX: [Family<0>; 17] = [
    gauge(
        "node_timex_sync_status",
        "Whether something keeps the clock right.",
    ),
    gauge("node_timex_offset_seconds", "How far the clock is off."),
    gauge(
        "node_timex_frequency_adjustment_ratio",
        "How much faster the clock is made.",
    ),
    gauge(
        "node_timex_maxerror_seconds",
        "How far the clock can be off at most.",
    ),
    gauge(
        "node_timex_estimated_error_seconds",
        "How far the clock probably is off.",
    ),
    gauge(
        "node_timex_status",
        "The status bits of the clock, as a number.",
    ),
    gauge(
        "node_timex_loop_time_constant",
        "How slowly the clock is corrected.",
    ),
    gauge("node_timex_tick_seconds", "Time between two ticks."),
    gauge(
        "node_timex_pps_frequency_hertz",
        "Frequency of the pulse per second.",
    ),
    gauge(
        "node_timex_pps_jitter_seconds",
        "Jitter of the pulse per second.",
    ),
    gauge(
        "node_timex_pps_shift_seconds",
        "Interval of the pulse per second.",
    ),
    gauge(
        "node_timex_pps_stability_hertz",
        "How much that frequency changed lately.",
    ),
    counter(
        "node_timex_pps_jitter_total",
        "Times that the jitter was too large.",
    ),
    counter(
        "node_timex_pps_calibration_total",
        "Intervals of calibration.",
    ),
    counter("node_timex_pps_error_total", "Errors of calibration."),
    counter(
        "node_timex_pps_stability_exceeded_total",
        "Times that the frequency changed too much.",
    ),
    gauge(
        "node_timex_tai_offset_seconds",
        "How far atomic time is ahead.",
    ),
];

const fn gauge(name: &'static str, help: &'static str) -> Family<0> {
    Family::gauge(name, help, [])
}

const fn counter(name: &'static str, help: &'static str) -> Family<0> {
    Family::counter(name, help, [])
}

pub(super) fn time(page: &mut Page, _: &mut Tree<'_>) -> Outcome {
    page.gauge(&NOW, (), SystemTime::now().duration_since(UNIX_EPOCH)?);
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers than these"
)]
pub(super) fn timex(page: &mut Page, _: &mut Tree<'_>) -> Outcome {
    // `SystemCallFilter=@system-service` of systemd kills whoever calls `adjtimex`, and there is no way to ask first.
    if sandbox::is_filtered_by_others() {
        return Err("a filter of system calls may end who asks for the state of the clock".into());
    }
    let (state, told) = read()?;
    let fine = if told.status & STA_NANO != 0 {
        NANOSECOND
    } else {
        MICROSECOND
    };
    let values = [
        f64::from(u8::from(state != TIME_ERROR)),
        told.offset as f64 / fine,
        1.0 + told.freq as f64 / SCALED_PPM,
        told.maxerror as f64 / MICROSECOND,
        told.esterror as f64 / MICROSECOND,
        f64::from(told.status),
        told.constant as f64,
        told.tick as f64 / MICROSECOND,
        told.ppsfreq as f64 / SCALED_PPM,
        told.jitter as f64 / fine,
        f64::from(told.shift),
        told.stabil as f64 / SCALED_PPM,
        told.jitcnt as f64,
        told.calcnt as f64,
        told.errcnt as f64,
        told.stbcnt as f64,
        f64::from(told.tai),
    ];
    for (family, value) in TIMEX.iter().zip(values) {
        family.write(page, (), value);
    }
    Ok(())
}

/// The state of the kernel's clock. Changes nothing, so it needs no rights; sandboxes may forbid it all the same.
#[allow(unsafe_code, reason = "no safe crate offers adjtimex")]
fn read() -> io::Result<(i32, libc::timex)> {
    // SAFETY: `timex` is numbers and padding, for which zeros are valid.
    let mut told: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `told` is a whole `timex` that lives through the call; its `modes` are 0, so the kernel only writes to it.
    match unsafe { libc::adjtimex(&raw mut told) } {
        -1 => Err(io::Error::last_os_error()),
        state => Ok((state, told)),
    }
}
