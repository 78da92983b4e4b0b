//! What a sample becomes: the body, judged by the server's rules, and the row.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod server_rules;
mod web_3;

use std::time::Duration;

use metricpush::{ROW_WORDS, Sample, SystemInfo};
use serde_json::Value;
use server_rules::{Stored, assert_well_made, seconds, store};
use web_3::{at, web_3};

fn web_3_system() -> SystemInfo {
    SystemInfo {
        hostname: Some("web-3".to_owned()),
        platform: Some("debian".to_owned()),
        platform_version: Some("13.1".to_owned()),
        kernel_version: Some("6.12.48+deb13-amd64".to_owned()),
        cpu_cores: Some(4),
        memory_total_mb: Some(7941),
        disk_total_gb: Some(78),
        last_boot_time: Some(at(1_772_262_010)),
    }
}

fn golden(name: &str, got: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    assert_eq!(got, wanted, "{name} (UPDATE_GOLDEN=1 writes it anew)");
}

/// Samples with all kinds of figures and gaps.
fn odd_samples() -> Vec<Sample> {
    let percents = [
        None,
        Some(0.0),
        Some(0.004),
        Some(33.333_333),
        Some(99.999),
        Some(100.000_001),
        Some(-1.0),
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(f64::MIN_POSITIVE),
        Some(f64::MAX),
    ];
    let counts = [
        None,
        Some(0),
        Some(1),
        Some(i64::MAX as u64),
        Some(i64::MAX as u64 + 1),
        Some(u64::MAX),
    ];
    let times = [0, 1_772_348_410, 253_402_300_799, 253_402_300_800];
    let mut samples = Vec::new();
    for (index, percent) in percents.into_iter().enumerate() {
        for (shift, count) in counts.into_iter().enumerate() {
            samples.push(Sample {
                hostname: None,
                cpu_percent: percent,
                memory_percent: percents[(index + shift) % percents.len()],
                disk_percent: percents[(index + 5) % percents.len()],
                network_bytes_sent: count,
                network_bytes_received: counts[(index + shift) % counts.len()],
                uptime: counts[(shift + 1) % counts.len()].map(Duration::from_secs),
                time: at(times[(index + shift) % times.len()]),
            });
        }
    }
    samples
}

#[test]
fn the_body_is_the_one_that_the_contract_prints() {
    golden("sample.json", &web_3().to_json(None));
    golden(
        "sample-system.json",
        &web_3().to_json(Some(&web_3_system())),
    );
}

#[test]
fn the_server_stores_what_was_measured() {
    for body in [
        web_3().to_json(None),
        web_3().to_json(Some(&web_3_system())),
    ] {
        assert_well_made(&body);
        let wanted = Stored {
            cpu_pct: 12.5,
            mem_used_pct: 40.1,
            disk_used_pct: 63.0,
            net_rx_bytes: 8200,
            net_tx_bytes: 9100,
            uptime_s: Some(86_400.0),
        };
        assert_eq!(store(&body), Ok(wanted));
    }
}

#[test]
fn the_checker_refuses_what_the_server_refuses() {
    let invalid = "Invalid request body";
    let table = [
        (r#"{"cpu_pct":100.01}"#, "cpu_pct must be between 0 and 100"),
        (
            r#"{"mem_used_pct":-0.1}"#,
            "mem_used_pct must be between 0 and 100",
        ),
        (
            r#"{"disk_used_pct":101}"#,
            "disk_used_pct must be between 0 and 100",
        ),
        (r#"{"cpu_pct":"12"}"#, invalid),
        (r#"{"net_rx_bytes":10.0}"#, invalid),
        (r#"{"net_tx_bytes":1e3}"#, invalid),
        (r#"{"net_tx_bytes":9223372036854775808}"#, invalid),
        (r#"{"timestamp":1772348410}"#, invalid),
        (r#"{"timestamp":"2026-03-01 07:00:10Z"}"#, invalid),
        (r#"{"timestamp":"2026-03-01T07:00:10"}"#, invalid),
        (r#"{"timestamp":"2026-02-30T07:00:10Z"}"#, invalid),
        (r#"{"system_info":{"cpu_cores":2.5}}"#, invalid),
        (r#"{"system_info":{"last_boot_time":1}}"#, invalid),
        ("[]", invalid),
        ("", invalid),
    ];
    for (body, words) in table {
        assert_eq!(store(body), Err(words.to_owned()), "{body}");
    }
    assert_eq!(store("{}"), Ok(Stored::default()));
}

#[test]
fn no_figure_makes_the_server_refuse_the_sample() {
    let system = SystemInfo {
        cpu_cores: Some(u64::MAX),
        last_boot_time: Some(at(253_402_300_800)),
        ..web_3_system()
    };
    for sample in odd_samples() {
        for body in [sample.to_json(None), sample.to_json(Some(&system))] {
            assert_well_made(&body);
            store(&body).unwrap_or_else(|why| panic!("{why}: {body}"));
        }
    }
}

#[test]
fn what_is_unknown_is_left_out_and_never_zero() {
    let nothing = Sample::at(at(1_772_348_410));
    let only_time = r#"{"timestamp":"2026-03-01T07:00:10Z"}"#;
    assert_eq!(nothing.to_json(None), only_time);
    assert_eq!(nothing.to_json(Some(&SystemInfo::default())), only_time);
    let not_numbers = Sample {
        cpu_percent: Some(f64::NAN),
        memory_percent: Some(f64::INFINITY),
        disk_percent: Some(f64::NEG_INFINITY),
        hostname: Some(" \t".to_owned()),
        ..nothing.clone()
    };
    assert_eq!(not_numbers.to_json(None), only_time);
    let idle = Sample {
        cpu_percent: Some(0.0),
        network_bytes_sent: Some(0),
        ..nothing
    };
    let wanted = r#"{"cpu_percent":0.0,"network_bytes_sent":0,"timestamp":"2026-03-01T07:00:10Z","cpu_pct":0.0,"net_tx_bytes":0}"#;
    assert_eq!(idle.to_json(None), wanted);
}

#[test]
fn a_time_that_rfc_3339_cannot_say_is_left_out() {
    let sample = Sample::at(at(253_402_300_800));
    assert_eq!(sample.timestamp(), None);
    assert_eq!(sample.to_json(None), "{}");
    assert_eq!(
        Sample::at(at(1_772_348_410) + Duration::from_nanos(999_999_999)).timestamp(),
        Some("2026-03-01T07:00:10Z".to_owned())
    );
}

#[test]
fn hostile_names_stay_inside_their_text() {
    for name in [
        "a\",\"cpu_pct\":1,\"b\":\"",
        "back\\slash\\",
        "line\nend\r\u{0}\u{1b}[31m\u{7f}\u{85}",
        "größe-東京-🦀",
        "\u{2028}\u{202e}",
    ] {
        let sample = Sample {
            hostname: Some(format!("  {name}\n")),
            ..web_3()
        };
        let system = SystemInfo {
            platform: Some(name.to_owned()),
            ..web_3_system()
        };
        let body = sample.to_json(Some(&system));
        let read: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read["hostname"], name.trim());
        assert_eq!(read["system_info"]["platform"], name.trim());
        assert_eq!(store(&body).unwrap().cpu_pct, 12.5);
    }
}

#[test]
fn timestamps_say_the_second_of_the_sample() {
    for wanted in (0..253_402_300_799).step_by(997_000_001) {
        let text = Sample::at(at(wanted)).timestamp().unwrap();
        assert_eq!(seconds(&text), Some(wanted), "{text}");
    }
}

#[test]
fn a_row_has_its_words_in_their_places() {
    assert_eq!(
        web_3().to_words(),
        [
            1_772_348_410,
            1250,
            4010,
            6300,
            9100,
            8200,
            86_400,
            0b11_1111
        ]
    );
    let gaps = Sample {
        cpu_percent: None,
        memory_percent: None,
        network_bytes_sent: Some(0),
        ..web_3()
    };
    assert_eq!(
        gaps.to_words(),
        [1_772_348_410, 0, 0, 6300, 0, 8200, 86_400, 0b11_1100]
    );
    assert_eq!(ROW_WORDS, 8);
}

#[test]
fn a_row_read_back_gives_the_same_body() {
    for sample in odd_samples() {
        let words = sample.to_words();
        let back = Sample::from_words(&words).unwrap();
        assert_eq!(back.to_json(None), sample.to_json(None));
        assert_eq!(back.to_words(), words);
    }
    let named = Sample {
        hostname: web_3().hostname,
        ..Sample::from_words(&web_3().to_words()).unwrap()
    };
    assert_eq!(named, web_3());
}

#[test]
fn rows_of_samples_in_a_row_differ_little() {
    let later = Sample {
        time: at(1_772_348_420),
        cpu_percent: Some(13.1),
        network_bytes_sent: Some(9900),
        uptime: Some(Duration::from_secs(86_410)),
        ..web_3()
    };
    let (first, second) = (web_3().to_words(), later.to_words());
    let differences: Vec<u64> = first
        .iter()
        .zip(second)
        .map(|(one, other)| other - one)
        .collect();
    assert_eq!(differences, [10, 60, 0, 0, 800, 0, 10, 0]);
}

#[test]
fn words_that_no_sample_wrote_are_refused() {
    let good = web_3().to_words();
    let with = |at: usize, word: u64| {
        let mut words = good;
        words[at] = word;
        Sample::from_words(&words)
    };
    for count in 0..ROW_WORDS {
        assert_eq!(Sample::from_words(&good[..count]), None);
    }
    assert_eq!(Sample::from_words(&[good.as_slice(), &[0]].concat()), None);
    for percent in 1..=3 {
        assert!(with(percent, 10_000).is_some());
        for too_much in [10_001, 65_536, u64::MAX] {
            assert_eq!(with(percent, too_much), None);
        }
    }
    for count in 4..=6 {
        assert!(with(count, i64::MAX as u64).is_some());
        assert_eq!(with(count, i64::MAX as u64 + 1), None);
    }
    assert_eq!(with(0, u64::MAX), None, "no clock shows that");
    for bit in 6..64 {
        assert_eq!(with(7, 0b11_1111 | 1 << bit), None, "a later version");
    }
    for bit in 0..6 {
        assert_eq!(with(7, 0b11_1111 & !(1 << bit)), None, "figure, no flag");
    }
}

#[test]
fn every_changed_byte_of_a_row_is_refused_or_read_as_written() {
    let good: Vec<u8> = web_3()
        .to_words()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    for at in 0..good.len() {
        for byte in 0..=255 {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let words: Vec<u64> = bytes
                .chunks_exact(8)
                .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                .collect();
            if let Some(sample) = Sample::from_words(&words) {
                assert_eq!(sample.to_words().as_slice(), words);
                store(&sample.to_json(None)).unwrap();
            }
        }
    }
}
