//! The host of the contract's example.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricpush::Sample;

/// The example's figures. Its time: `date -u -d 2026-03-01T07:00:10Z +%s`.
pub(crate) fn web_3() -> Sample {
    Sample {
        hostname: Some("web-3".to_owned()),
        cpu_percent: Some(12.5),
        memory_percent: Some(40.1),
        disk_percent: Some(63.0),
        network_bytes_sent: Some(9100),
        network_bytes_received: Some(8200),
        uptime: Some(Duration::from_secs(86_400)),
        ..Sample::at(at(1_772_348_410))
    }
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
