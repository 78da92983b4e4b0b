//! The promises of a page, whatever it is given.

use promexport::{Counter, Format, Gauge, Info, LabelName, Page, StateSet, Unknown, lint};

static LOAD: Gauge<0> = Gauge::new("node_load1", "Load over one minute.", []);
static CPU: Counter<2> = Counter::new("cpu_seconds_total", "CPU time.", ["cpu", "mode"]);
static FREE: Gauge<1> = Gauge::new("free_bytes", "Bytes free.", ["mountpoint"]);

#[track_caller]
fn check(format: Format, fill: impl Fn(&mut Page), expected: &str) {
    let mut page = Page::new(format);
    fill(&mut page);
    assert_eq!(String::from_utf8(page.finish()).unwrap(), expected);
}

#[test]
fn the_example_of_the_openmetrics_specification_comes_out() {
    static SPECIFIED: Counter<0> = Counter::new(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        [],
    );
    check(
        Format::OPEN_METRICS,
        |page| page.counter(&SPECIFIED, (), 4.20072246e+06),
        "# TYPE process_cpu_seconds counter\n\
         # UNIT process_cpu_seconds seconds\n\
         # HELP process_cpu_seconds Total user and system CPU time spent in seconds.\n\
         process_cpu_seconds_total 4200722.46\n\
         # EOF\n",
    );
    check(
        Format::TEXT,
        |page| page.counter(&SPECIFIED, (), 4.20072246e+06),
        "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n\
         # TYPE process_cpu_seconds_total counter\n\
         process_cpu_seconds_total 4200722.46\n",
    );
}

#[test]
fn the_readme_shows_what_comes_out() {
    static CPU: Counter<2> = Counter::new(
        "node_cpu_seconds_total",
        "Seconds the CPUs spent in each mode.",
        ["cpu", "mode"],
    );
    static FREE: Gauge<1> = Gauge::new("node_filesystem_free_bytes", "Bytes free.", ["mountpoint"]);
    let mut page = Page::new(Format::TEXT);
    page.counter(&CPU, ["0", "idle"], 12.5);
    page.counter(&CPU, ["0", "user"], 0.25);
    page.gauge(&FREE, [b"/srv/\xff"], 4096_u64);
    let text = String::from_utf8(page.finish()).unwrap();
    assert!(include_str!("../../README.md").contains(&text), "{text}");
}

#[test]
fn an_empty_page_is_a_page() {
    check(Format::TEXT, |_| {}, "");
    check(Format::OPEN_METRICS, |_| {}, "# EOF\n");
}

#[test]
fn families_stand_in_one_piece_where_they_first_appeared() {
    for format in [Format::TEXT, Format::OPEN_METRICS] {
        let mut apart = Page::new(format);
        apart.counter(&CPU, ["0", "idle"], 1);
        apart.gauge(&FREE, ["/"], 5);
        apart.counter(&CPU, ["1", "idle"], 2);
        apart.gauge(&LOAD, (), 0.5);
        apart.gauge(&FREE, ["/srv"], 6);
        apart.counter(&CPU, ["2", "idle"], 3);
        let mut together = Page::new(format);
        for (cpu, seconds) in [("0", 1), ("1", 2), ("2", 3)] {
            together.counter(&CPU, [cpu, "idle"], seconds);
        }
        together.gauge(&FREE, ["/"], 5);
        together.gauge(&FREE, ["/srv"], 6);
        together.gauge(&LOAD, (), 0.5);
        assert_eq!(apart.finish(), together.finish());
    }
}

#[test]
fn no_series_occurs_twice_and_the_first_stays() {
    let mut page = Page::new(Format::TEXT);
    page.gauge(&FREE, [b"/srv/\xff"], 1);
    page.gauge(&LOAD, (), 1);
    page.gauge(&FREE, [b"/srv/\xfe"], 2);
    page.gauge(&LOAD, (), 2);
    page.gauge(&FREE, ["/srv/\u{fffd}"], 3);
    assert_eq!(page.refused(), 3);
    assert_eq!(
        page.first_refused(),
        Some("free_bytes{mountpoint=\"/srv/\u{fffd}\"}: the series is on the page already")
    );
    let body = page.finish();
    assert_eq!(lint(&body, Format::TEXT), []);
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("} 1\n") && text.contains("load1 1\n"));
    assert!(!text.contains("} 2\n") && !text.contains("load1 2\n") && !text.contains("} 3\n"));
}

#[test]
fn label_values_cannot_imitate_other_labels() {
    static PAIR: Gauge<2> = Gauge::new("pairs", "Pairs.", ["a", "b"]);
    let mut page = Page::new(Format::TEXT);
    page.gauge(&PAIR, ["x\",b=\"y", "z"], 1);
    page.gauge(&PAIR, ["x", "y\",b=\"z"], 2);
    page.gauge(&PAIR, ["", "x"], 3);
    page.gauge(&PAIR, ["x", ""], 4);
    assert_eq!(page.refused(), 0);
    assert_eq!(lint(&page.finish(), Format::TEXT), []);
}

#[test]
fn a_family_that_clashes_with_an_earlier_one_is_left_out() {
    static COUNTER: Counter<0> = Counter::new("ports_total", "Counted.", []);
    static UNKNOWN: Unknown<0> = Unknown::new("ports_total", "Given.", []);
    static CREATED: Unknown<0> = Unknown::new("ports_created", "Given.", []);
    static GAUGE: Gauge<0> = Gauge::new("ports", "Measured.", []);
    static INFO: Info<0> = Info::new("ports_info", "Told.", []);
    let mut page = Page::new(Format::OPEN_METRICS);
    page.counter(&COUNTER, (), 1);
    page.unknown(&UNKNOWN, (), 2);
    page.unknown(&CREATED, (), 3);
    page.gauge(&GAUGE, (), 4);
    page.info(&INFO, ());
    page.counter(&COUNTER, (), 5);
    assert_eq!(page.refused(), 5);
    let text = String::from_utf8(page.finish()).unwrap();
    assert_eq!(
        text,
        "# TYPE ports counter\n# HELP ports Counted.\nports_total 1\n# EOF\n"
    );
}

#[test]
fn a_counter_below_zero_is_left_out() {
    let mut page = Page::new(Format::OPEN_METRICS);
    for bad in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        page.counter(&CPU, ["0", "idle"], bad);
    }
    page.counter(&CPU, ["0", "idle"], -1_i64);
    assert_eq!(page.refused(), 4);
    assert_eq!(page.finish(), b"# EOF\n");
}

#[test]
fn constant_labels_stand_first_unless_the_family_has_its_own() {
    static OWN: Gauge<1> = Gauge::new("own", "Has the label itself.", ["hostname"]);
    check(
        Format::TEXT,
        |page| {
            page.constant(LabelName::new("zone"), b"a\"b");
            page.constant(LabelName::new("hostname"), "wrong");
            page.constant(LabelName::new("hostname"), "db1");
            page.gauge(&LOAD, (), 1);
            page.gauge(&OWN, ["db2"], 2);
        },
        "# HELP node_load1 Load over one minute.\n# TYPE node_load1 gauge\n\
         node_load1{hostname=\"db1\",zone=\"a\\\"b\"} 1\n\
         # HELP own Has the label itself.\n# TYPE own gauge\n\
         own{zone=\"a\\\"b\",hostname=\"db2\"} 2\n",
    );
}

#[test]
fn the_same_labels_in_another_order_are_the_same_series() {
    static AB: Gauge<2> = Gauge::new("x", "X.", ["a", "b"]);
    static BA: Gauge<2> = Gauge::new("x", "X.", ["b", "a"]);
    static NONE: Gauge<0> = Gauge::new("x", "X.", []);
    let mut page = Page::new(Format::TEXT);
    page.gauge(&AB, ["1", "2"], 1);
    page.gauge(&BA, ["2", "1"], 2);
    page.gauge(&NONE, (), 3);
    assert_eq!(page.refused(), 2);

    page.restart(Format::TEXT);
    page.constant(LabelName::new("c"), "1");
    page.constant(LabelName::new("d"), "2");
    page.gauge(&AB, ["1", "2"], 1);
    page.constant(LabelName::new("c"), "1");
    page.constant(LabelName::new("e"), "");
    page.gauge(&AB, ["1", "2"], 2);
    assert_eq!(page.refused(), 1);
}

#[test]
fn a_constant_cannot_hide_the_state() {
    static STATE: StateSet<0, 1> = StateSet::new("state", "A state.", [], ["on"]);
    let mut page = Page::new(Format::OPEN_METRICS);
    page.constant(LabelName::new("state"), "off");
    page.stateset(&STATE, (), |_| true);
    assert_eq!(lint(&page.finish(), Format::OPEN_METRICS), []);
}

#[test]
fn a_page_is_used_again_without_traces() {
    let fill = |page: &mut Page| {
        page.gauge(&LOAD, (), 1);
        page.gauge(&FREE, ["/"], 2);
        page.gauge(&LOAD, (), 3);
    };
    let mut page = Page::new(Format::TEXT);
    page.constant(LabelName::new("hostname"), "db1");
    fill(&mut page);
    let first = page.finish();
    assert_eq!(page.refused(), 0);
    fill(&mut page);
    assert_eq!(page.finish(), first);
    fill(&mut page);
    page.restart(Format::OPEN_METRICS);
    assert_eq!(page.finish(), b"# EOF\n");
}

#[test]
fn names_known_only_when_running_are_checked_as_well() {
    let family = Gauge::try_new("node_memory_MemFree_bytes".to_owned(), "Free.", []).unwrap();
    let mut page = Page::new(Format::TEXT);
    page.gauge(&family, (), 1);
    page.gauge(&LOAD, (), 2);
    page.gauge(&family, (), 3);
    assert_eq!(page.refused(), 1);
    let error = Gauge::<0>::try_new("bad name", "Help.", []).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("bad name \"bad name\": a metric name has"),
        "{error}"
    );
    assert!(LabelName::try_new("le").is_err());
}
