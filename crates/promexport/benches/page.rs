//! How long a page of an ordinary host takes. `cargo bench -p promexport`
#![allow(clippy::print_stdout, reason = "a benchmark shows its figures")]

use std::hint::black_box;
use std::time::Instant;

use promexport::{Counter, Format, Gauge, LabelName, Page, gzip};

static CPU: Counter<2> = Counter::new(
    "node_cpu_seconds_total",
    "Seconds the CPUs spent in each mode.",
    ["cpu", "mode"],
);
static RECEIVED: Counter<1> = Counter::new(
    "node_network_receive_bytes_total",
    "Bytes received.",
    ["device"],
);
static FREE: Gauge<2> = Gauge::new(
    "node_filesystem_free_bytes",
    "Bytes free.",
    ["device", "mountpoint"],
);
const HOSTNAME: LabelName = LabelName::new("hostname");
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// A page of `16 * 8 + 10 + 12` = 150 samples in 23 families for `scale` = 1, of four times that for 4.
fn fill(page: &mut Page, singles: &[Gauge<0>], scale: usize) {
    for cpu in 0..16 * scale {
        let number = cpu.to_string();
        for (at, mode) in MODES.into_iter().enumerate() {
            page.counter(
                &CPU,
                [&*number, mode],
                1234.56 + (cpu * 8 + at) as f64 * 17.03,
            );
        }
    }
    for device in 0..5 * scale {
        let name = format!("eth{device}");
        page.counter(&RECEIVED, [&name], 123_456_789_u64 * device as u64);
    }
    for disk in 0..5 * scale {
        let (device, mount) = (format!("/dev/sda{disk}"), format!("/srv/data/{disk}"));
        page.gauge(&FREE, [&device, &mount], 98_765_432_100_u64 + disk as u64);
    }
    for (at, family) in singles.iter().take(12 * scale).enumerate() {
        page.gauge(family, (), at as f64 + 0.25);
    }
}

/// The median of many runs, in microseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..2001)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::unwrap_used, reason = "a benchmark may stop")]
fn main() {
    let singles: Vec<Gauge<0>> = (0..48)
        .map(|at| {
            Gauge::try_new(
                format!("node_memory_part_{at}_bytes"),
                "Bytes of memory.",
                [],
            )
            .unwrap()
        })
        .collect();
    for (scale, format) in [
        (1, Format::TEXT),
        (1, Format::OPEN_METRICS),
        (4, Format::TEXT),
        (4, Format::OPEN_METRICS),
    ] {
        let mut page = Page::new(format);
        page.constant(HOSTNAME, "db1.example.net");
        fill(&mut page, &singles, scale);
        let body = page.finish();
        let kept = median(|| {
            fill(&mut page, &singles, scale);
            black_box(page.finish());
        });
        let fresh = median(|| {
            let mut page = Page::new(format);
            page.constant(HOSTNAME, "db1.example.net");
            fill(&mut page, &singles, scale);
            black_box(page.finish());
        });
        let packed = median(|| {
            black_box(gzip(&body));
        });
        println!(
            "{} samples, {} bytes: kept page {kept:.1} µs, fresh page {fresh:.1} µs, \
             gzip {packed:.1} µs to {} bytes",
            150 * scale,
            body.len(),
            gzip(&body).len()
        );
        if let Some(path) = std::env::args().nth(1).filter(|path| path.starts_with('/')) {
            std::fs::write(path, body).unwrap();
        }
    }
}
