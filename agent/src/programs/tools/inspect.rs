//! `programs inspect`: what is in an archive or an object, whoever made it.

use bpf_artifact::{
    ArchiveInspection, Candidate, Digest, HighWaterMarks, Hints, HostId, KeyRing, Limits, Map,
    Metadata, ObjectInspection, Policy, Rules, inspect_archive, inspect_object, verify,
};
use bpf_host::{ScannedObject, function_name};
use serde_json::{Value, json};
use std::time::SystemTime;

use super::{Told, input};
use crate::cli::programs_command::Inspect;
use crate::table::{aligned, printable};

/// By the kernel's number of the type.
const MAP_TYPES: [&str; 34] = [
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];

/// What zstd's files begin with.
const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// What was found.
struct Found {
    digest: Digest,
    bytes: usize,
    /// Of an archive: its entries and what its packer says.
    archive: Option<(Vec<String>, Option<Metadata>)>,
    object: ObjectInspection,
    /// As the part that loads sees it; or why it does not load it.
    scanned: Result<ScannedObject, String>,
}

pub(super) fn run(wanted: &Inspect) -> Result<Told, String> {
    let path = wanted.file.display();
    let bytes = input::archive(&wanted.file)?;
    let found = if bytes.starts_with(b"\x7fELF") {
        look_into_object(&bytes)
    } else if bytes.starts_with(&ZSTD) {
        look_into_archive(bytes)
    } else {
        Err("neither an eBPF object nor a tar.zst archive".to_owned())
    };
    let found = found.map_err(|why| format!("{path}: {}", printable(&why)))?;
    let text = if wanted.json {
        format!("{:#}\n", as_json(&found))
    } else {
        as_text(&found)
    };
    Ok(Told::well(text))
}

fn look_into_object(bytes: &[u8]) -> Result<Found, String> {
    Ok(Found {
        digest: Digest::of(bytes),
        bytes: bytes.len(),
        archive: None,
        object: inspect_object(bytes).map_err(|error| error.to_string())?,
        scanned: ScannedObject::read(bytes).map_err(|error| error.to_string()),
    })
}

fn look_into_archive(bytes: Vec<u8>) -> Result<Found, String> {
    let length = bytes.len();
    let ArchiveInspection {
        digest,
        entries,
        metadata,
        object,
        ..
    } = inspect_archive(&bytes, &Limits::default()).map_err(|error| error.to_string())?;
    Ok(Found {
        digest,
        bytes: length,
        archive: Some((entries, metadata)),
        object,
        scanned: scan(bytes),
    })
}

/// Unpacks what nobody verified, to be looked at and dropped.
fn scan(archive: Vec<u8>) -> Result<ScannedObject, String> {
    let rules = Rules {
        policy: Policy::InsecureAccept,
        keys: &KeyRing::pinned(Vec::new()),
        host: &HostId::parse("any").map_err(|error| error.to_string())?,
        marks: &HighWaterMarks::default(),
        now: SystemTime::now(),
    };
    let candidate = Candidate {
        archive,
        hints: Hints {
            name: Some("unnamed".to_owned()),
            ..Hints::default()
        },
        ..Candidate::default()
    };
    let taken = verify(candidate, &rules).map_err(|refusal| refusal.to_string())?;
    let package = taken
        .unpack(&Limits::default())
        .map_err(|error| error.to_string())?;
    ScannedObject::read(package.object()).map_err(|error| error.to_string())
}

fn as_text(found: &Found) -> String {
    let Found {
        digest,
        bytes,
        archive,
        object,
        scanned,
    } = found;
    let what = if archive.is_some() {
        "archive"
    } else {
        "object"
    };
    let mut text = format!("{what}, {bytes} bytes, sha256 {digest}\n");
    if let Some((entries, metadata)) = archive {
        let named = metadata.as_ref().map(|of| {
            let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
            format!("{} {}", word(of.any_name()), word(of.version.as_deref()))
        });
        line(&mut text, "entries", &entries.join(", "));
        line(
            &mut text,
            "program",
            named.as_deref().unwrap_or("no metadata.json"),
        );
    }
    line(
        &mut text,
        "licence",
        object
            .license
            .as_deref()
            .unwrap_or("none: no kernel loads it"),
    );
    let types = match (object.has_btf, object.has_btf_ext) {
        (true, true) => "BTF, and relocation to other kernels",
        (true, false) => "BTF, no relocation to other kernels",
        _ => "none: parameters have no types",
    };
    line(&mut text, "types", types);
    match scanned {
        Ok(scanned) => {
            let names = scanned.parameter_names();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            line(&mut text, "parameters", &names);
        }
        Err(why) => line(&mut text, "NOT LOADABLE", why),
    }
    text.push('\n');
    text.push_str(&aligned(&program_rows(object, scanned.as_ref().ok())));
    if !object.maps.is_empty() {
        text.push('\n');
        text.push_str(&aligned(&map_rows(&object.maps)));
    }
    text.push('\n');
    text.push_str(&aligned(&section_rows(object)));
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("{name:14}{}\n", printable(value)));
}

fn head<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn program_rows(object: &ObjectInspection, scanned: Option<&ScannedObject>) -> Vec<Vec<String>> {
    let mut rows = vec![head([
        "program",
        "section",
        "kind",
        "instructions",
        "calls",
    ])];
    rows.extend(object.programs.iter().map(|program| {
        let calls = calls(program);
        Vec::from([
            program.name.clone(),
            program.section.clone(),
            kind(scanned, &program.name).unwrap_or("-").to_owned(),
            program.instructions.to_string(),
            if calls.is_empty() {
                "-".to_owned()
            } else {
                calls.join(", ")
            },
        ])
    }));
    rows
}

fn calls(program: &bpf_artifact::Program) -> Vec<String> {
    let helpers = program.helpers.iter();
    helpers
        .map(|number| function_name(*number))
        .chain(program.kernel_functions.iter().cloned())
        .collect()
}

fn kind<'a>(scanned: Option<&'a ScannedObject>, name: &str) -> Option<&'a str> {
    let mut programs = scanned?.programs().iter();
    programs
        .find(|program| program.name == name)
        .map(|program| program.kind.name())
}

fn map_rows(maps: &[Map]) -> Vec<Vec<String>> {
    let mut rows = vec![head(["map", "type", "key", "value", "entries"])];
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    rows.extend(maps.iter().map(|map| {
        Vec::from([
            map.name.clone(),
            map.map_type.map_or_else(|| "-".to_owned(), map_type),
            number(map.key_bytes),
            number(map.value_bytes),
            number(map.max_entries),
        ])
    }));
    rows
}

fn map_type(number: u32) -> String {
    let name = usize::try_from(number)
        .ok()
        .and_then(|index| MAP_TYPES.get(index));
    name.map_or_else(|| format!("type {number}"), |name| (*name).to_owned())
}

fn section_rows(object: &ObjectInspection) -> Vec<Vec<String>> {
    let mut rows = vec![head(["section", "bytes"])];
    let sections = object.sections.iter();
    rows.extend(
        sections.map(|section| Vec::from([section.name.clone(), section.size.to_string()])),
    );
    rows
}

fn as_json(found: &Found) -> Value {
    let Found {
        digest,
        bytes,
        archive,
        object,
        scanned,
    } = found;
    let (entries, metadata) = archive
        .as_ref()
        .map_or((None, None), |(entries, metadata)| {
            (Some(entries), metadata.as_ref())
        });
    let programs = object.programs.iter().map(|program| {
        json!({
            "name": program.name,
            "section": program.section,
            "kind": kind(scanned.as_ref().ok(), &program.name),
            "instructions": program.instructions,
            "helpers": program.helpers,
            "calls": calls(program),
        })
    });
    let maps = object.maps.iter().map(|map| {
        json!({
            "name": map.name,
            "type": map.map_type.map(map_type),
            "key_bytes": map.key_bytes,
            "value_bytes": map.value_bytes,
            "max_entries": map.max_entries,
            "pinned_by_name": map.pinned_by_name,
        })
    });
    let sections = object.sections.iter();
    json!({
        "form": if archive.is_some() { "archive" } else { "object" },
        "bytes": bytes,
        "sha256": digest,
        "entries": entries,
        "metadata": metadata,
        "license": object.license,
        "btf": object.has_btf,
        "btf_ext": object.has_btf_ext,
        "loadable": scanned.is_ok(),
        "not_loadable_because": scanned.as_ref().err(),
        "parameters": scanned.as_ref().ok().map(ScannedObject::parameter_names),
        "programs": programs.collect::<Vec<_>>(),
        "maps": maps.collect::<Vec<_>>(),
        "sections": sections.map(|section| json!({"name": section.name, "bytes": section.size})).collect::<Vec<_>>(),
    })
}
