//! What is found in objects, and what is refused, without a kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeSet;

use bpf_host::{LocalPolicy, ProgramKind, ScannedObject, Target, function_name, function_number};

#[path = "ground/mod.rs"]
mod ground;
use ground::object;

fn refusal(name: &str) -> String {
    ScannedObject::read(&object(name))
        .expect_err(name)
        .to_string()
}

#[test]
fn programs_with_kinds_and_targets() {
    let traces = ScannedObject::read(&object("traces")).unwrap();
    let found: Vec<_> = traces
        .programs()
        .iter()
        .map(|program| (program.name.as_str(), program.kind, program.target.clone()))
        .collect();
    let tracepoint = Target::Tracepoint {
        category: "syscalls".to_owned(),
        name: "sys_enter_getpid".to_owned(),
    };
    let raw = |name: &str| {
        Some(Target::RawTracepoint {
            name: name.to_owned(),
        })
    };
    assert_eq!(
        found,
        [
            ("by_clock", ProgramKind::PerfEvent, None),
            (
                "by_raw_tracepoint",
                ProgramKind::RawTracepoint,
                raw("sys_enter")
            ),
            ("by_tracepoint", ProgramKind::Tracepoint, Some(tracepoint)),
            (
                "by_typed_tracepoint",
                ProgramKind::BtfTracepoint,
                raw("sched_switch")
            ),
        ]
    );
    assert_eq!(traces.license(), "GPL");
}

#[test]
fn hooks_are_read_from_section_names() {
    let target = |name: &str| {
        ScannedObject::read(&object(name)).unwrap().programs()[0]
            .target
            .clone()
            .unwrap()
    };
    assert_eq!(
        target("lsm"),
        Target::Lsm {
            hook: "file_open".to_owned()
        }
    );
    assert_eq!(
        target("fentry"),
        Target::Function {
            name: "do_nanosleep".to_owned()
        }
    );
    assert_eq!(
        target("kretprobe"),
        Target::Kprobe {
            symbol: "do_nanosleep".to_owned(),
            offset: 0
        }
    );
}

#[test]
fn maps_and_parameters_have_their_names() {
    let guard = ScannedObject::read(&object("guard")).unwrap();
    let maps: Vec<_> = guard
        .maps()
        .iter()
        .map(|map| {
            (
                map.name.as_str(),
                map.key_bytes,
                map.value_bytes,
                map.max_entries,
            )
        })
        .collect();
    assert_eq!(
        maps,
        [
            ("aegis_events", 0, 0, 65536),
            ("aegis_stats", 4, 24, 1),
            ("networks", 8, 1, 16),
            ("ports", 2, 1, 4)
        ]
    );
    assert_eq!(
        guard.parameter_names(),
        [
            "drop_port",
            "enforce",
            "seen",
            "aegis_events",
            "aegis_stats",
            "networks",
            "ports"
        ]
    );
}

#[test]
fn called_functions_are_listed() {
    let guard = ScannedObject::read(&object("guard")).unwrap();
    let names: BTreeSet<_> = guard
        .functions()
        .iter()
        .map(|number| function_name(*number))
        .collect();
    let expected = [
        "bpf_ktime_get_ns",
        "bpf_map_lookup_elem",
        "bpf_ringbuf_reserve",
        "bpf_ringbuf_submit",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
}

/// An object in which a name is written over, wherever it stands.
fn renamed(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = object(name);
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn names_that_would_leave_the_folder_of_pins_are_refused() {
    for (from, to, words) in [
        (
            b"\0guard\0",
            b"\0/ab_c\0",
            "program `/ab_c` has a name that is not made of",
        ),
        (
            b"\0ports\0",
            b"\0a/..b\0",
            "map `a/..b` has a name that is not made of",
        ),
    ] {
        let refusal = ScannedObject::read(&renamed("guard", from, to))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
}

/// Numbers as in `linux/bpf.h`.
#[test]
fn functions_have_the_numbers_of_the_kernel() {
    let known = [
        ("bpf_map_lookup_elem", 1),
        ("probe_write_user", 36),
        ("bpf_override_return", 58),
        ("bpf_send_signal", 109),
        ("bpf_loop", 181),
        ("bpf_cgrp_storage_delete", 211),
    ];
    for (name, number) in known {
        assert_eq!(function_number(name), Some(number), "{name}");
    }
    assert_eq!(function_number("bpf_nonsense"), None);
    assert_eq!(function_name(9_999), "function 9999");
}

#[test]
fn everything_unsupported_has_its_own_refusal() {
    for (name, words) in [
        ("kfunc", "kfuncs"),
        (
            "kconfig",
            "kernel configuration variables (`LINUX_KERNEL_VERSION`)",
        ),
        ("pinned", "map `shared` asks to be pinned by name"),
        ("tailcall", "map `jumps`: tail calls are not supported"),
        ("unlicensed", "it states no licence"),
        (
            "section_cgroup_skb",
            "section `cgroup/skb`: a direction is missing: say cgroup_skb/ingress or cgroup_skb/egress",
        ),
        (
            "section_fmod_ret",
            "section `fmod_ret/security_file_open`: programs that modify return values",
        ),
        (
            "section_kprobe_multi",
            "section `kprobe.multi/do_*`: kprobes on many symbols",
        ),
        (
            "section_netfilter",
            "section `netfilter`: netfilter programs are not supported",
        ),
        (
            "section_nonsense",
            "section `nonsense`: no program type has this section name",
        ),
    ] {
        let refusal = refusal(name);
        assert!(
            refusal.starts_with("the object is refused: ") && refusal.contains(words),
            "{name}: {refusal}"
        );
    }
    for (bytes, words) in [
        (&b""[..], "not a 64-bit ELF file"),
        (b"\x7fELF", "not a 64-bit ELF file"),
        (&vec![0; (4 << 20) + 1], "more than the 4194304 allowed"),
    ] {
        let refusal = ScannedObject::read(bytes).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
    let own_binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(own_binary.len() > 4 << 20 || ScannedObject::read(&own_binary).is_err());
}

#[test]
fn forbidden_functions_and_kinds_are_refused_by_the_rules_of_the_host() {
    let signal = ScannedObject::read(&object("signal")).unwrap();
    let refusal = LocalPolicy::default()
        .check_object(&signal)
        .unwrap_err()
        .to_string();
    assert_eq!(
        refusal,
        "refused by the rules of this host: the object calls bpf_send_signal"
    );

    let lenient = LocalPolicy::default()
        .with_denied_functions(&["bpf_override_return"])
        .unwrap();
    lenient.check_object(&signal).unwrap();
    assert_eq!(
        LocalPolicy::default()
            .with_denied_functions(&["bpf_typo"])
            .unwrap_err(),
        "bpf_typo"
    );

    let network_only = LocalPolicy {
        allowed_kinds: Some([ProgramKind::Xdp].into()),
        ..LocalPolicy::default()
    };
    let traces = ScannedObject::read(&object("traces")).unwrap();
    let refusal = network_only.check_object(&traces).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "refused by the rules of this host: program `by_clock` is of the kind perf_event"
    );
}

#[test]
fn kinds_have_names_that_lead_back() {
    for kind in ProgramKind::ALL {
        assert_eq!(ProgramKind::from_name(kind.name()), Some(kind));
    }
}

#[test]
fn cut_objects_end_quietly() {
    for name in ["guard", "family"] {
        let whole = object(name);
        for length in 0..whole.len() {
            let _ = ScannedObject::read(&whole[..length]);
        }
    }
}

#[test]
fn changed_objects_end_quietly() {
    for name in ["family", "typed"] {
        let whole = object(name);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= [0x01, 0x80, 0xff][at % 3];
            let _ = ScannedObject::read(&changed);
        }
    }
}
