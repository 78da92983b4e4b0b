//! What `lint` finds, and that it finds nothing in pages of this crate.

use promexport::{Format, lint};

use crate::full_page::full_page;

/// What `lint` says of a page, without the numbers of the lines.
fn faults(page: &str, format: Format) -> Vec<String> {
    lint(page.as_bytes(), format)
        .into_iter()
        .map(|complaint| complaint.what)
        .collect()
}

#[track_caller]
fn check(format: Format, page: &str, expected: &str) {
    let faults = faults(page, format);
    assert!(
        faults.iter().any(|fault| fault.contains(expected)),
        "{page}\n{faults:#?}"
    );
}

#[track_caller]
fn text(page: &str, expected: &str) {
    check(Format::TEXT, page, expected);
}

#[track_caller]
fn open_metrics(page: &str, expected: &str) {
    check(Format::OPEN_METRICS, page, expected);
}

#[test]
fn our_own_pages_are_without_fault() {
    for format in [Format::TEXT, Format::OPEN_METRICS] {
        assert_eq!(lint(&full_page(format), format), []);
    }
}

/// Each rule of promtool 2.42, as found by trying.
#[test]
fn what_promtool_complains_about_is_found() {
    for (name, kind, expected) in [
        ("x", "counter", "without the ending _total"),
        ("x_total", "gauge", "ending _total on a gauge"),
        ("x_bucket", "gauge", "ending _bucket"),
        ("x_count", "gauge", "ending _count"),
        ("x_sum", "counter", "ending _sum"),
        ("x_gauge_y", "untyped", "the type gauge"),
        ("x:y", "gauge", "colon"),
        ("fooBar", "gauge", "capital"),
        ("x_ms", "gauge", "abbreviated unit ms"),
        ("x_minutes", "gauge", "minutes is no base unit"),
        ("x_tebibytes", "gauge", "tebibytes is no base unit"),
        ("x_percent", "gauge", "percent is no base unit"),
    ] {
        text(
            &format!("# HELP {name} H.\n# TYPE {name} {kind}\n{name} 1\n"),
            expected,
        );
    }
    text("# TYPE x gauge\nx 1\n", "no HELP");
    text(
        "# HELP x H.\n# TYPE x gauge\nx{le=\"1\"} 1\n",
        "may be called le",
    );
    text(
        "# HELP x H.\n# TYPE x gauge\nx{quantile=\"1\"} 1\n",
        "may be called quantile",
    );
    text("# HELP x H.\n# TYPE x unknown\nx 1\n", "no such type here");
    text("# HELP x H.\n# TYPE x gauge\nx 1", "no newline");
    text("# HELP x H.\n# TYPE x gauge\r\nx 1\n", "carriage return");
    assert_eq!(
        faults(
            "# HELP x_total H.\n# TYPE x_total untyped\nx_total 1\n",
            Format::TEXT
        ),
        [""; 0]
    );
}

#[test]
fn what_promtool_lets_pass_is_found() {
    let head = "# HELP x H.\n# TYPE x gauge\n";
    text(
        &format!("{head}x{{a=\"1\",b=\"2\"}} 1\nx{{b=\"2\",a=\"1\"}} 2\n"),
        "already",
    );
    text(&format!("{head}x 1 1700000000000\n"), "something follows");
    text(&format!("{head}\nx 1\n"), "blank line");
    text("x 1\n", "no TYPE");
}

/// Each rule of the strict parser, as found by trying.
#[test]
fn what_the_strict_parser_refuses_is_found() {
    let head = "# TYPE x gauge\n# HELP x H.\n";
    open_metrics(&format!("{head}x 1\n"), "# EOF ends");
    open_metrics(&format!("{head}x 1\n# EOF\nx 2\n"), "follows # EOF");
    open_metrics(&format!("{head}# free\nx 1\n# EOF\n"), "comment");
    open_metrics(&format!("{head}x  1\n# EOF\n"), "something follows");
    open_metrics(&format!("{head}x 1_000\n# EOF\n"), "not a number");
    open_metrics(&format!("{head}x{{a=\"1\",}} 1\n# EOF\n"), "not name=");
    open_metrics(
        &format!("{head}x{{a=\"1\",a=\"2\"}} 1\n# EOF\n"),
        "occurs twice",
    );
    open_metrics(
        &format!("{head}x{{a=\"\\t\"}} 1\n# EOF\n"),
        "unknown escape",
    );
    open_metrics(
        &format!("{head}# HELP x H.\nx 1\n# EOF\n"),
        "HELP for the second time",
    );
    open_metrics(
        &format!("{head}x 1\n# UNIT x y\n# EOF\n"),
        "UNIT after samples",
    );
    open_metrics(
        &format!("{head}# UNIT x seconds\nx 1\n# EOF\n"),
        "does not end in its unit",
    );
    open_metrics(
        &format!("{head}x 1\n# TYPE y gauge\n# HELP y H.\ny 1\nx{{a=\"1\"}} 1\n# EOF\n"),
        "several pieces",
    );
    open_metrics(
        "# TYPE x untyped\n# HELP x H.\nx 1\n# EOF\n",
        "no such type here",
    );
    open_metrics(
        "# TYPE x counter\n# HELP x H.\nx_total -1\n# EOF\n",
        "not a number from zero up",
    );
    open_metrics(
        "# TYPE x info\n# HELP x H.\nx_info 2\n# EOF\n",
        "info that is not 1",
    );
    open_metrics(
        "# TYPE x stateset\n# HELP x H.\nx{x=\"a\"} 2\n# EOF\n",
        "neither 0 nor 1",
    );
    open_metrics(
        "# TYPE x stateset\n# HELP x H.\nx 1\n# EOF\n",
        "without its label",
    );
    let head = "# TYPE x histogram\n# HELP x H.\n";
    for (lines, expected) in [
        (
            "x_bucket{le=\"1.0\"} 1\nx_count 1\nx_sum 1\n",
            "not the count",
        ),
        (
            "x_bucket{le=\"+Inf\"} 1\nx_count 2\nx_sum 1\n",
            "not the count",
        ),
        (
            "x_bucket{le=\"2.0\"} 1\nx_bucket{le=\"1.0\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_count 1\n",
            "do not rise",
        ),
        (
            "x_bucket{le=\"1.0\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_count 1\n",
            "do not rise",
        ),
        (
            "x_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_count 1\n",
            "canonical",
        ),
    ] {
        open_metrics(&format!("{head}{lines}# EOF\n"), expected);
    }
}

#[test]
fn bytes_that_are_no_text_are_a_complaint() {
    assert_eq!(lint(b"\xff\n", Format::TEXT).len(), 1);
}

/// Every cut of a page loses its `# EOF`, and every changed byte is read without a panic.
#[test]
fn no_prefix_or_mutation_of_a_page_panics() {
    let page = full_page(Format::OPEN_METRICS);
    for end in (0..page.len() - 1).step_by(7) {
        assert!(
            !lint(&page[..end], Format::OPEN_METRICS).is_empty(),
            "{end}"
        );
    }
    let small = b"# TYPE x histogram\n# HELP x H.\nx_bucket{a=\"\\n\",le=\"+Inf\"} 1\nx_count{a=\"\\n\"} 1\n# EOF\n";
    for at in 0..small.len() {
        let _ = lint(&small[..at], Format::TEXT);
        for byte in 0..=255 {
            let mut mutated = small.to_vec();
            mutated[at] = byte;
            let _ = lint(&mutated, Format::OPEN_METRICS);
            let _ = lint(&mutated, Format::TEXT);
        }
    }
}
