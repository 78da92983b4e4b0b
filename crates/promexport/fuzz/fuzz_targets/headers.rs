//! No header makes the negotiation panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promexport::{Format, accepts_gzip};

fuzz_target!(|header: &[u8]| {
    let _ = Format::negotiate(Some(header)).content_type();
    let _ = accepts_gzip(Some(header));
});
