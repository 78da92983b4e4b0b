//! Every type a parameter can have, and every way to get one wrong; against a real object.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn with(name: &str, parameters: &Value) -> Result<Prepared, ParameterError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bpf/objects/{name}.o"));
    let object = ScannedObject::read(&std::fs::read(path).unwrap()).unwrap();
    let encoder = Encoder {
        btf: &object.btf,
        cgroup_root: Path::new("/nowhere"),
    };
    prepare(&object, parameters, encoder, 3)
}

fn constant(parameters: &Value) -> Vec<u8> {
    with("typed", parameters).unwrap().constants.remove(0).bytes
}

fn entries(name: &str, parameters: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    with(name, parameters)
        .unwrap()
        .maps
        .remove(0)
        .entries
        .into_iter()
        .collect()
}

#[track_caller]
fn refused(parameters: &Value, words: &str) {
    let error = with("typed", parameters).unwrap_err();
    assert!(!error.needs_reload);
    assert_eq!(error.to_string(), format!("parameter {words}"));
}

#[test]
fn numbers_take_their_own_width_and_order() {
    assert_eq!(constant(&json!({"small": 255})), [255]);
    assert_eq!(constant(&json!({"wide": -2})), (-2_i64).to_ne_bytes());
    assert_eq!(constant(&json!({"wide": "0x10"})), 16_i64.to_ne_bytes());
    assert_eq!(constant(&json!({"flag": true})), [1]);
    assert_eq!(
        entries("typed", &json!({"row": [1, null, 65535]})),
        [
            (vec![0; 4], vec![1, 0]),
            (2_u32.to_ne_bytes().to_vec(), vec![255, 255])
        ]
    );
    assert_eq!(
        entries("typed", &json!({"row": [{"network": 443}]}))[0].1,
        443_u16.to_be_bytes()
    );
}

#[test]
fn numbers_outside_of_their_type_are_refused() {
    refused(&json!({"small": 256}), "small: 256 is outside of 0 to 255");
    refused(&json!({"small": -1}), "small: -1 is outside of 0 to 255");
    refused(
        &json!({"small": 1.5}),
        "small: a whole number is needed, not 1.5",
    );
    refused(
        &json!({"wide": u64::MAX}),
        "wide: 18446744073709551615 is outside of -9223372036854775808 to 9223372036854775807",
    );
    refused(
        &json!({"flag": 1}),
        "flag: true or false is needed, not a number",
    );
    refused(
        &json!({"small": null}),
        "small: a number is needed, not null",
    );
    refused(
        &json!({"row": [1, 2, 3, 4]}),
        "row[3]: the map has 3 entries",
    );
    refused(
        &json!({"small": "many"}),
        "small: `many` is no number, address, cgroup path, @ifindex:NAME, @now_ktime or duration that fits here",
    );
}

/// The places in the struct are those of `tests/bpf/typed.bpf.c`.
#[test]
fn structs_are_filled_by_the_names_of_their_fields() {
    let rule = json!({
        "address": "10.1.2.3", "port": 443, "host_port": 443, "mac": "02:00:00:00:00:0a", "on": true, "level": -3,
        "cgroup": 7, "wait_ms": "2s", "mode": "ENFORCE", "name": "web", "address6": "::1", "either": {"bytes": "hex:01020304"}, "list": [1, 2]
    });
    let entries = entries("typed", &json!({"rules": {"5": rule}}));
    let (key, value) = &entries[0];
    assert_eq!(key, &5_u32.to_ne_bytes());
    assert_eq!(value[..4], [10, 1, 2, 3]);
    assert_eq!(value[4..6], 443_u16.to_be_bytes());
    assert_eq!(value[6..8], 443_u16.to_ne_bytes());
    assert_eq!(value[8..14], [2, 0, 0, 0, 0, 10]);
    assert_eq!(value[14..16], [1, 0xfd]);
    assert_eq!(value[16..24], 7_u64.to_ne_bytes());
    assert_eq!(value[24..28], 2000_u32.to_ne_bytes());
    assert_eq!(value[28..32], 1_u32.to_ne_bytes());
    assert_eq!(value[32..40], *b"web\0\0\0\0\0");
    assert_eq!(value[40..56], std::net::Ipv6Addr::LOCALHOST.octets());
    assert_eq!(value[56..60], [1, 2, 3, 4]);
    assert_eq!(
        value[60..66],
        [1_u16.to_ne_bytes(), 2_u16.to_ne_bytes(), [0, 0]].concat()
    );
}

#[test]
fn a_struct_keeps_what_the_object_starts_it_with() {
    let first = constant(&json!({"first": {"level": 1}}));
    assert_eq!((first[6], first[15]), (9, 1));
}

#[test]
fn wrong_fields_are_named_with_their_place() {
    let rule = |rule: Value| json!({"rules": [{"key": 1, "value": rule}]});
    refused(
        &rule(json!({"prot": 1})),
        "rules[0].value.prot: the struct has no such field; it has address, port, host_port, mac, on, level, cgroup, wait_ms, mode, name, address6, either, list, low",
    );
    refused(
        &rule(json!({"port": 65536})),
        "rules[0].value.port: 65536 is outside of 0 to 65535",
    );
    refused(
        &rule(json!({"name": "12345678"})),
        "rules[0].value.name: at most 7 bytes of text fit here, and no NUL",
    );
    refused(
        &rule(json!({"mac": "02:00"})),
        "rules[0].value.mac: `02:00` is neither a MAC address nor hex: and 6 bytes in hex digits",
    );
    refused(
        &rule(json!({"list": [1, 2, 3, 4]})),
        "rules[0].value.list: 4 elements do not fit into 3",
    );
    refused(
        &rule(json!({"list": [1, 70000]})),
        "rules[0].value.list[1]: 70000 is outside of 0 to 65535",
    );
    refused(
        &rule(json!({"mode": "OFF"})),
        "rules[0].value.mode: \"OFF\" is none of MONITOR, ENFORCE",
    );
    refused(
        &rule(json!({"mode": 2})),
        "rules[0].value.mode: 2 is none of MONITOR, ENFORCE",
    );
    refused(
        &rule(json!({"either": {"number": 1, "bytes": [1]}})),
        "rules[0].value.either: of a union exactly one member is set",
    );
    refused(
        &rule(json!({"low": 1})),
        "rules[0].value.low: bit fields take no parameters",
    );
    refused(
        &rule(json!({"wait_ms": "1500us"})),
        "rules[0].value.wait_ms: the duration is no whole number of the unit that the name says",
    );
    refused(
        &rule(json!({"cgroup": "5s"})),
        "rules[0].value.cgroup: a duration needs a name that says its unit (.._ns, .._ms, .._s); give a number",
    );
    refused(
        &rule(json!(7)),
        "rules[0].value: an object with the fields of the struct is needed, not a number",
    );
    refused(
        &rule(json!({"cgroup": "/x"})),
        "rules[0].value.cgroup: cgroup `/x`: No such file or directory (os error 2)",
    );
    refused(
        &rule(json!({"cgroup": "/../etc"})),
        "rules[0].value.cgroup: cgroup `/../etc`: the path leads out of the cgroups",
    );
    refused(
        &json!({"rules": [{"key": 1}]}),
        "rules[0]: an object with `key` and `value` is needed",
    );
    refused(
        &json!({"rules": [{"key": 1, "value": {}}, {"key": "0x1", "value": {}}]}),
        "rules[1]: the key appears twice",
    );
    refused(&json!([1]), "parameters: an object by names is needed");
}

#[test]
fn networks_are_keys_of_longest_prefix_maps() {
    let v4 = entries(
        "guard",
        &json!({"networks": {"10.0.0.0/8": 1, "10.1.2.3": 2}}),
    );
    assert_eq!(
        v4,
        [
            ([8_u32.to_ne_bytes(), [10, 0, 0, 0]].concat(), vec![1]),
            ([32_u32.to_ne_bytes(), [10, 1, 2, 3]].concat(), vec![2])
        ]
    );
    let v6 = entries(
        "typed",
        &json!({"networks6": [{"key": "2001:db8::/32", "value": 1}]}),
    );
    assert_eq!(
        v6[0].0[..8],
        [32_u32.to_ne_bytes(), [0x20, 1, 0x0d, 0xb8]].concat()
    );
    let by_field = entries(
        "guard",
        &json!({"networks": [{"key": {"prefix_length": 8, "address": "10.0.0.0"}, "value": 1}]}),
    );
    assert_eq!(
        by_field,
        entries("guard", &json!({"networks": {"10.0.0.0/8": 1}}))
    );
    for (network, words) in [
        (
            "10.0.0.1/8",
            "has bits set behind its prefix; which network is meant?",
        ),
        ("10.0.0.0/33", "a prefix length is at most 32"),
        ("2001:db8::/32", "is no network of 4 bytes"),
        ("x/8", "is no network of 4 bytes"),
    ] {
        let error = with("guard", &json!({"networks": {network: 1}}))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("parameter networks.{network}.key: `{network}`"))
                && error.ends_with(words),
            "{error}"
        );
    }
}

#[test]
fn maps_without_types_take_bytes() {
    assert_eq!(
        entries(
            "typed",
            &json!({"bare": [{"key": "hex:01020304", "value": 5}]})
        ),
        [(vec![1, 2, 3, 4], 5_u64.to_ne_bytes().to_vec())]
    );
    refused(
        &json!({"bare": [{"key": "hex:0102", "value": 5}]}),
        "bare[0].key: `hex:0102` is neither an IPv4 address nor hex: and 4 bytes in hex digits",
    );
    refused(
        &json!({"bare": [{"key": true, "value": 5}]}),
        "bare[0].key: the map states no type here; give hex: and digits",
    );
}

#[test]
fn per_cpu_maps_get_the_value_for_every_processor() {
    let entries = entries("guard", &json!({"aegis_stats": {"errors": 3}}));
    assert_eq!(
        entries[0].1,
        [0_u64, 0, 3].map(u64::to_ne_bytes).concat().repeat(3)
    );
}

#[test]
fn no_parameters_are_no_parameters() {
    let none = with("typed", &Value::Null).unwrap();
    assert!(none.constants.is_empty() && none.variables.is_empty() && none.maps.is_empty());
}
