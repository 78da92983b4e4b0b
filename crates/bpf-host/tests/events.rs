//! Records of the ring buffer, without a kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

use std::time::Duration;

use bpf_host::{Event, EventKind};

/// A record as `tests/bpf/guard.bpf.c` writes it.
fn record() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend([1_u16, 2].map(u16::to_ne_bytes).concat());
    bytes.extend(4_u32.to_ne_bytes());
    bytes.extend([1_000_000_007_u64, 42].map(u64::to_ne_bytes).concat());
    bytes.extend([77_u32, 4242].map(u32::to_ne_bytes).concat());
    bytes.extend(b"why?");
    bytes
}

#[test]
fn a_record_is_read_field_by_field() {
    let event = Event::parse(&record()).unwrap();
    assert_eq!(
        (event.kind, event.at, event.cgroup_id),
        (EventKind::Error, Duration::new(1, 7), 42)
    );
    assert_eq!(
        (event.process_id, event.code, event.payload.as_slice()),
        (77, 4242, &b"why?"[..])
    );
}

#[test]
fn what_stands_behind_the_payload_is_padding() {
    let padded = [record(), vec![0; 5]].concat();
    assert_eq!(Event::parse(&padded), Event::parse(&record()));
}

#[test]
fn cut_and_changed_records_end_quietly() {
    let whole = record();
    for length in 0..whole.len() {
        assert_eq!(Event::parse(&whole[..length]), None, "{length}");
    }
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            let parsed = Event::parse(&changed);
            assert!(at >= 4 || parsed.is_none_or(|event| event.kind != EventKind::Error));
        }
    }
}

#[test]
fn a_length_without_measure_is_no_event() {
    let mut huge = record();
    huge.splice(4..8, u32::MAX.to_ne_bytes());
    assert_eq!(Event::parse(&huge), None);
}

#[test]
fn hosts_and_events_can_be_given_to_another_thread() {
    fn sent<T: Send>() {}
    sent::<bpf_host::Host>();
    sent::<bpf_host::Events>();
}
