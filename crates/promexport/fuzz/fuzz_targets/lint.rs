//! No page makes `lint` panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promexport::{Format, lint};

fuzz_target!(|page: &[u8]| {
    for format in [Format::TEXT, Format::OPEN_METRICS] {
        let _ = lint(page, format);
    }
});
