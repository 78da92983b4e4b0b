//! Any label values and numbers give a page without fault, and gzip does not mind any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promexport::{Counter, Format, Gauge, LabelName, Page, gzip, lint};

static FIRST: Gauge<2> = Gauge::new("first", "First.", ["a", "b"]);
static SECOND: Counter<1> = Counter::new("second_seconds_total", "Second.", ["a"]);

fuzz_target!(|samples: Vec<(&[u8], &[u8], f64)>| {
    for format in [Format::TEXT, Format::OPEN_METRICS] {
        let mut page = Page::new(format);
        for (a, b, value) in &samples {
            page.constant(LabelName::new("c"), b);
            page.gauge(&FIRST, [a, b], *value);
            page.counter(&SECOND, [b], *value);
        }
        let body = page.finish();
        assert_eq!(lint(&body, format), []);
        assert!(gzip(&body).len() > 18);
    }
});
