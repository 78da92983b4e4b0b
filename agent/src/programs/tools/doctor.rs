//! `programs doctor`: what this kernel takes from this user, and why not the rest.

use std::path::Path;

use bpf_host::{Host, LocalPolicy, Support};
use serde_json::{Map, Value, json};

use super::{Told, host};
use crate::cli::programs_command::Places;
use crate::table::{aligned, printable};

/// By the bit in `CapEff`.
const RIGHTS: [(u32, &str, &str); 5] = [
    (39, "CAP_BPF", "load anything"),
    (12, "CAP_NET_ADMIN", "XDP, TC and cgroup programs"),
    (
        38,
        "CAP_PERFMON",
        "tracing programs, and pointer arithmetic in any",
    ),
    (
        21,
        "CAP_SYS_ADMIN",
        "switch the kernel's statistics on, name foreign programs",
    ),
    (2, "CAP_DAC_READ_SEARCH", "find tracepoints by name"),
];

/// Settings of the kernel that say something about programs.
const SETTINGS: [(&str, &str); 6] = [
    ("kernel", "proc/sys/kernel/osrelease"),
    ("bpf_stats_enabled", "proc/sys/kernel/bpf_stats_enabled"),
    (
        "unprivileged_bpf_disabled",
        "proc/sys/kernel/unprivileged_bpf_disabled",
    ),
    ("bpf_jit_enable", "proc/sys/net/core/bpf_jit_enable"),
    ("lockdown", "sys/kernel/security/lockdown"),
    ("lsm", "sys/kernel/security/lsm"),
];

/// What was found out.
struct Findings {
    settings: Vec<(&'static str, Option<String>)>,
    /// Whether the kernel tells its own types, which CO-RE, fentry and LSM programs need.
    types: bool,
    rights: Option<u64>,
    mounts: Vec<(&'static str, Option<String>)>,
    pins: Result<(), String>,
    kinds: Vec<Support>,
}

pub(super) fn run(wanted: &Places, json: bool) -> Result<Told, String> {
    let found = look(wanted)?;
    let text = if json {
        format!("{:#}\n", as_json(&found))
    } else {
        as_text(&found, wanted.pins.as_deref())
    };
    Ok(Told {
        text,
        well: found.kinds.iter().any(|support| support.verdict.works()),
    })
}

fn look(wanted: &Places) -> Result<Findings, String> {
    let mounted = host::mounts(&wanted.host);
    let of_kind = |kind: &str| {
        let places = mounted.iter().filter(|mount| mount.kind == kind);
        let places: Vec<String> = places
            .map(|mount| mount.place.display().to_string())
            .collect();
        (!places.is_empty()).then(|| places.join(", "))
    };
    let kernel = Host::open(host::places(&wanted.host, None), LocalPolicy::default())
        .map_err(|e| e.to_string())?;
    Ok(Findings {
        settings: SETTINGS
            .map(|(name, path)| (name, first_line(&wanted.host.root.join(path))))
            .to_vec(),
        types: wanted.host.root.join("sys/kernel/btf/vmlinux").exists(),
        rights: rights(&host::proc(&wanted.host)),
        mounts: ["bpf", "cgroup2", "tracefs"]
            .map(|kind| (kind, of_kind(kind)))
            .to_vec(),
        pins: wanted
            .pins
            .as_deref()
            .map_or_else(|| Err("--pins-dir is off".to_owned()), pins),
        kinds: kernel.probe(),
    })
}

fn first_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(str::to_owned)
}

/// The rights that count for this process.
fn rights(proc: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("self/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether programs could persist: the folder, or the one it would be made in, is in a bpffs. Nothing is made.
fn pins(path: &Path) -> Result<(), String> {
    const BPF_FS: u64 = 0xcafe_4a11;
    let nearest = path.ancestors().take(2).find(|folder| folder.is_dir());
    let nearest = nearest.ok_or("its folder is missing: mount -t bpf bpf /sys/fs/bpf")?;
    let told = rustix::fs::statfs(nearest).map_err(|error| error.to_string())?;
    if u64::try_from(told.f_type).ok() != Some(BPF_FS) {
        return Err("not in a bpffs: mount -t bpf bpf /sys/fs/bpf".to_owned());
    }
    rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK)
        .map_err(|error| format!("{}: {error}", nearest.display()))
}

fn has(rights: Option<u64>, bit: u32) -> Option<bool> {
    rights.map(|rights| rights & (1 << bit) != 0)
}

fn word(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

fn as_text(found: &Findings, pins: Option<&Path>) -> String {
    let cell = |text: &str| text.to_owned();
    let head = |cells: &[&str]| cells.iter().map(|text| cell(text)).collect::<Vec<_>>();
    let mut kinds = vec![head(&["kind", "verdict", "why"])];
    kinds.extend(found.kinds.iter().map(|support| {
        let verdict = &support.verdict;
        let why = verdict.reason().unwrap_or_default();
        head(&[support.kind.name(), verdict.name(), why])
    }));
    let mut rights = vec![head(&["right", "there", "for"])];
    rights.extend(
        RIGHTS.map(|(bit, name, purpose)| head(&[name, word(has(found.rights, bit)), purpose])),
    );
    let mut mounts = vec![head(&["file system", "mounted at"])];
    let places = found.mounts.iter();
    mounts.extend(places.map(|(kind, place)| head(&[kind, place.as_deref().unwrap_or("-")])));
    let mut settings: Vec<Vec<String>> = found
        .settings
        .iter()
        .map(|(name, value)| head(&[name, value.as_deref().unwrap_or("unknown")]))
        .collect();
    let types = if found.types {
        "yes"
    } else {
        "no: no CO-RE, fentry, tp_btf, LSM"
    };
    settings.push(head(&["kernel types (BTF)", types]));
    let persist = match &found.pins {
        Ok(()) => "yes".to_owned(),
        Err(why) => format!("no: {}", printable(why)),
    };
    let pins = pins.map(|pins| format!(" in {}", pins.display()));
    settings.push(vec![
        format!("can persist{}", pins.unwrap_or_default()),
        persist,
    ]);
    [kinds, rights, mounts, settings]
        .map(|rows| aligned(&rows))
        .join("\n")
}

fn as_json(found: &Findings) -> Value {
    let named = |pairs: &[(&'static str, Option<String>)]| -> Map<String, Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect()
    };
    let kinds = found.kinds.iter().map(|support| {
        let verdict = &support.verdict;
        json!({"kind": support.kind.name(), "verdict": verdict.name(), "reason": verdict.reason()})
    });
    let rights: Map<String, Value> = RIGHTS
        .map(|(bit, name, _)| (name.to_owned(), json!(has(found.rights, bit))))
        .into_iter()
        .collect();
    json!({
        "kinds": kinds.collect::<Vec<_>>(),
        "rights": rights,
        "mounts": named(&found.mounts),
        "settings": named(&found.settings),
        "kernel_types": found.types,
        "can_persist": found.pins.is_ok(),
        "cannot_persist_because": found.pins.as_ref().err(),
    })
}
