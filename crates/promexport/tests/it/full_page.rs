//! A page with everything in it that the crate can write.

use std::time::{Duration, UNIX_EPOCH};

use promexport::{
    Buckets, Counter, Format, Gauge, Histogram, Info, LabelName, Page, StateSet, Unknown,
};

const HOSTNAME: LabelName = LabelName::new("hostname");

static TARGET: Info<1> = Info::new("target_info", "What is scraped here.", ["os"]);
static BUILD: Info<2> = Info::new("sigma_build_info", "The build.", ["version", "commit"]);
static PORTS: Unknown<0> = Unknown::new(
    "sigma_ports_total",
    "Deprecated: use \"sigma_port_range_ports\".\nSee C:\\docs.",
    [],
);
static CPU: Counter<2> = Counter::new(
    "node_cpu_seconds_total",
    "Seconds the CPUs spent in each mode.",
    ["cpu", "mode"],
);
static SCANS: Counter<0> = Counter::new("sigma_port_scans_total", "Scans so far.", []);
static FREE: Gauge<1> = Gauge::new(
    "node_filesystem_free_bytes",
    "Bytes free to everyone.",
    ["mountpoint"],
);
static ODD: Gauge<1> = Gauge::new("odd_numbers", "Numbers that are none.", ["which"]);
static PROCESSES: Gauge<1> = Gauge::new("process_names", "Any bytes as a name.", ["name"]);
static STATE: StateSet<1, 3> = StateSet::new(
    "sigma_loop_state",
    "What each loop does.",
    ["loop"],
    ["idle", "running", "failed"],
);
static LATENCY: Histogram<1> = Histogram::new(
    "http_request_duration_seconds",
    "Time to answer.",
    ["route"],
);

/// Names of processes as a hostile host may have them.
pub(crate) fn evil_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"evil\xff\"\n"[..],
        b"",
        b"a\\",
        b"\\n",
        b"\"",
        b"} 1",
        b"a,b=\"c\"",
        b"\r\n# EOF\n",
        b"\xe2\x82",
        b"\0x",
        b" ",
        b"trailing \\\"",
        "größe\u{2028}\u{feff}\u{85}".as_bytes(),
        b"# HELP x y",
    ]
    .map(<[u8]>::to_vec)
    .into();
    names.push((0..=255).collect());
    names
}

pub(crate) fn fill(page: &mut Page) {
    page.constant(HOSTNAME, "db1");
    page.info(&TARGET, ["linux"]);
    page.info(&BUILD, ["1.2.3", "abc"]);
    page.unknown(&PORTS, (), 20_001);
    for (mode, seconds) in [("idle", 12.5), ("user", 0.25)] {
        page.counter(&CPU, ["0", mode], seconds);
    }
    page.counter_since(
        &SCANS,
        (),
        7_u64,
        UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
    );
    page.gauge(&FREE, ["/"], u64::MAX);
    for (which, number) in [
        ("nan", f64::NAN),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("tiny", 5e-324),
        ("huge", f64::MAX),
        ("tenth", -0.1),
        ("third", 1.0 / 3.0),
    ] {
        page.gauge(&ODD, [which], number);
    }
    for name in evil_names() {
        page.gauge(&PROCESSES, [name], 1);
    }
    page.stateset(&STATE, ["scan"], |state| state == "running");
    page.stateset(&STATE, ["push"], |_| false);
    let buckets = Buckets::new([0.0001, 0.005, 0.1, 1.0, 10.0, 1e6]);
    for seconds in [0.003, 0.005, 0.2, 2e6] {
        buckets.observe(seconds);
    }
    page.histogram(&LATENCY, ["/metrics"], &buckets);
    page.histogram(&LATENCY, ["/ports"], &Buckets::new([1.0]));
}

pub(crate) fn full_page(format: Format) -> Vec<u8> {
    let mut page = Page::new(format);
    fill(&mut page);
    assert_eq!(page.first_refused(), None);
    page.finish()
}
