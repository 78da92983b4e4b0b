//! What is said about an object, against what the compiler was told.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;

use std::collections::BTreeSet;

use bpf_artifact::{Digest, Limits, Map, inspect_archive, inspect_object};

use material::{OBJECT, archive, metadata};

#[test]
fn an_archive_is_looked_into() {
    let seen = inspect_archive(&archive(), &Limits::default()).unwrap();
    assert_eq!(seen.digest, Digest::of(&archive()));
    assert_eq!(seen.entries, ["program.o", "metadata.json"]);
    assert_eq!(seen.metadata, Some(metadata()));
    assert_eq!(seen.object, inspect_object(OBJECT).unwrap());
}

#[test]
fn programs_are_listed_with_what_they_call_themselves_and_through_others() {
    let seen = inspect_object(OBJECT).unwrap();
    let programs: Vec<_> = seen
        .programs
        .iter()
        .map(|program| {
            (
                program.name.as_str(),
                program.section.as_str(),
                program.instructions,
                program.helpers.clone(),
            )
        })
        .collect();
    // From linux/bpf.h.
    let (map_lookup_elem, ktime_get_ns, ringbuf_reserve, ringbuf_submit) = (1, 5, 131, 132);
    let watch = [
        map_lookup_elem,
        ktime_get_ns,
        ringbuf_reserve,
        ringbuf_submit,
    ];
    assert_eq!(
        programs,
        [
            ("guard", "xdp", 18, BTreeSet::from([map_lookup_elem])),
            ("watch", "cgroup_skb/egress", 15, BTreeSet::from(watch)),
        ]
    );
    assert!(
        seen.programs
            .iter()
            .all(|program| program.kernel_functions.is_empty())
    );
}

#[test]
fn calls_are_followed_into_callbacks_and_functions_and_out_to_the_kernel() {
    let seen = inspect_object(include_bytes!("fixtures/calls.o")).unwrap();
    let calls = |program: &str| {
        let program = seen
            .programs
            .iter()
            .find(|known| known.name == program)
            .unwrap();
        let helpers = program.helpers.iter().map(ToString::to_string);
        let kernel = program.kernel_functions.iter().cloned();
        helpers.chain(kernel).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(seen.programs.len(), 2, "`guarded` is none");
    // get_prandom_u32, loop; get_smp_processor_id.
    assert_eq!(calls("loops"), "7 181");
    assert_eq!(calls("locks"), "8 bpf_rcu_read_lock bpf_rcu_read_unlock");
}

#[test]
fn functions_longer_than_an_object_are_not_followed() {
    let mut endless = OBJECT.to_vec();
    // The symbol of `guard`: address 0, 144 bytes.
    let symbol = [[0; 8], 144_u64.to_le_bytes()].concat();
    let at = endless
        .windows(16)
        .position(|bytes| bytes == symbol)
        .unwrap();
    endless[at + 14] = 1;
    let error = inspect_object(&endless).unwrap_err().to_string();
    assert_eq!(
        error,
        "not an eBPF object: its functions overlap or call each other too much"
    );
}

#[test]
fn maps_are_described_as_the_source_declares_them() {
    let seen = inspect_object(OBJECT).unwrap();
    let described: Vec<_> = seen
        .maps
        .iter()
        .map(
            |Map {
                 name,
                 map_type,
                 key_bytes,
                 value_bytes,
                 max_entries,
                 pinned_by_name,
                 ..
             }| {
                (
                    name.as_str(),
                    *map_type,
                    *key_bytes,
                    *value_bytes,
                    *max_entries,
                    *pinned_by_name,
                )
            },
        )
        .collect();
    // 6 per-CPU array, 1 hash, 27 ring buffer.
    assert_eq!(
        described,
        [
            ("aegis_stats", Some(6), Some(4), Some(24), Some(1), false),
            ("ports", Some(1), Some(2), Some(1), Some(1024), true),
            ("aegis_events", Some(27), None, None, Some(65_536), false),
        ]
    );
}

#[test]
fn licence_sections_and_type_information_are_seen() {
    let seen = inspect_object(OBJECT).unwrap();
    assert_eq!(seen.license.as_deref(), Some("Dual MIT/GPL"));
    assert!(seen.has_btf && seen.has_btf_ext);
    let rodata = seen
        .sections
        .iter()
        .find(|section| section.name == ".rodata")
        .unwrap();
    assert_eq!(rodata.size, 2);
}

#[test]
fn what_is_no_object_for_ebpf_is_said_to_be_none() {
    let own = std::fs::read("/proc/self/exe").unwrap();
    assert_eq!(
        inspect_object(&own).unwrap_err().to_string(),
        "not an eBPF object: it is not ELF for little-endian eBPF"
    );
    assert!(inspect_object(b"").is_err());
    assert!(inspect_object(b"\x7fELF").is_err());
}

#[test]
fn an_object_without_types_still_names_its_maps() {
    let mut blind = OBJECT.to_vec();
    let magic = blind
        .windows(4)
        .position(|bytes| bytes == [0x9f, 0xeb, 1, 0])
        .unwrap();
    blind[magic] = 0;
    let maps = inspect_object(&blind).unwrap().maps;
    assert_eq!(
        maps.iter().map(|map| map.name.as_str()).collect::<Vec<_>>(),
        ["aegis_stats", "ports", "aegis_events"]
    );
    assert!(
        maps.iter()
            .all(|map| map.map_type.is_none() && map.max_entries.is_none())
    );
}
