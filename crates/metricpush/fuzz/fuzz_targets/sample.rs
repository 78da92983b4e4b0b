//! Any words as a row, and any figures as a sample: a body that is JSON, and a row that comes back.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use metricpush::Sample;

type Figures = (Option<f64>, Option<f64>, Option<u64>, Option<u64>, u32);

fuzz_target!(|input: (Vec<u64>, String, Figures)| {
    let (words, hostname, (cpu, disk, sent, uptime, seconds)) = input;
    if let Some(sample) = Sample::from_words(&words) {
        assert_eq!(sample.to_words().as_slice(), words);
    }
    let sample = Sample {
        hostname: Some(hostname.clone()),
        cpu_percent: cpu,
        disk_percent: disk,
        network_bytes_sent: sent,
        uptime: uptime.map(Duration::from_secs),
        ..Sample::at(UNIX_EPOCH + Duration::from_secs(seconds.into()))
    };
    let back = Sample {
        hostname: Some(hostname),
        ..Sample::from_words(&sample.to_words()).unwrap()
    };
    assert_eq!(back.to_json(None), sample.to_json(None));
    serde_json::from_str::<serde_json::Value>(&sample.to_json(None)).unwrap();
});
