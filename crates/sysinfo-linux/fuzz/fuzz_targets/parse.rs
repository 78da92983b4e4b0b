//! Every parser meets any bytes: `cargo fuzz run parse ../tests/fixtures/debian/proc`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sysinfo_linux::parse;

fuzz_target!(|bytes: &[u8]| {
    if let (Ok(now), Ok(earlier)) = (parse::stat(bytes), parse::stat(&bytes[..bytes.len() / 2])) {
        if let Some(usage) = now.total.usage_since(&earlier.total) {
            assert!((0.0..=1.0).contains(&usage.busy));
        }
    }
    if let Ok(meminfo) = parse::meminfo(bytes) {
        assert!(meminfo.available_or_estimate().is_none_or(|it| it <= meminfo.total_bytes));
    }
    if let Ok(arc) = parse::arcstats(bytes) {
        assert!(arc.evictable_bytes() <= arc.size_bytes);
    }
    let _ = parse::cgroup(bytes);
    let _ = parse::diskstats(bytes);
    let _ = parse::file_nr(bytes);
    let _ = parse::loadavg(bytes);
    let _ = parse::mountinfo(bytes);
    let _ = parse::net_dev(bytes);
    let _ = parse::os_release(bytes);
    let _ = parse::pressure(bytes);
    let _ = parse::process_start(bytes);
    let _ = parse::process_state(bytes);
    let _ = parse::uptime(bytes);
    let _ = parse::user_beancounters(bytes);
    let _ = parse::vmstat(bytes);
});
