//! `programs sign`: what a signer says about an archive, and the signature over it.

use std::time::SystemTime;

use bpf_artifact::{
    Attach, Candidate, Digest, HighWaterMarks, HostId, KeyRing, Limits, Manifest, Policy, Rules,
    SignedManifest, SigningKey, inspect_archive, verify,
};
use bpf_host::{ProgramKind, ScannedObject};
use serde_json::json;

use super::output::{self, Readers};
use super::{Told, input, pack};
use crate::cli::programs_command::{NotAfter, Sign};

pub(super) fn run(wanted: &Sign) -> Result<Told, String> {
    let files = ["manifest.json", "manifest.sig"].map(|end| input::beside(&wanted.archive, end));
    for file in &files {
        output::check_free(file, wanted.force)?;
    }
    let archive = input::archive(&wanted.archive)?;
    let now = SystemTime::now();
    let manifest = manifest(wanted, &archive, now)?;
    let key = SigningKey::from_pem(&input::text(&wanted.key)?)
        .map_err(|error| format!("{}: {error}", wanted.key.display()))?;
    let signed = key
        .sign_manifest(&manifest)
        .map_err(|error| error.to_string())?;
    rehearse(archive, &signed, &manifest, &key, now)?;

    let [manifest_file, signature_file] = &files;
    let signature = format!("{}\n", signed.signature);
    output::write(manifest_file, &signed.manifest, Readers::All, wanted.force)?;
    output::write(
        signature_file,
        signature.as_bytes(),
        Readers::All,
        wanted.force,
    )?;
    Ok(Told::well(format!("{:#}\n", json!(signed.to_metadata()))))
}

fn manifest(wanted: &Sign, archive: &[u8], now: SystemTime) -> Result<Manifest, String> {
    let path = wanted.archive.display();
    let inside = inspect_archive(archive, &Limits::default())
        .map_err(|error| format!("{path}: {error}"))?
        .metadata
        .unwrap_or_default();
    let name = wanted.name.clone().or(inside.name);
    let version = wanted.version.clone().or(inside.version);
    let name = name.ok_or_else(|| format!("{path} holds no name: --name is needed"))?;
    let version = version.ok_or_else(|| format!("{path} holds no version: --version is needed"))?;
    let not_after = match wanted.not_after {
        NotAfter::At(moment) => Some(moment),
        NotAfter::In(span) => now.checked_add(span),
    };
    let not_after = not_after.ok_or("--not-after: too far away")?;
    let parameters = wanted.parameters.as_ref().map(input::json).transpose()?;
    Ok(Manifest {
        archive_sha256: Digest::of(archive),
        hosts: wanted.hosts.clone(),
        ttl_sec: wanted.ttl.map(|ttl| ttl.as_secs()),
        parameters,
        attach: wanted.attach.clone(),
        limits: wanted.limits,
        on_agent_exit: wanted.on_agent_exit,
        priority: wanted.priority,
        protected: wanted.protected,
        ..Manifest::new(archive, &name, &version, wanted.serial, now..not_after)
    })
}

/// Takes what was signed as an agent would, up to the kernel: what none would take is not given away.
fn rehearse(
    archive: Vec<u8>,
    signed: &SignedManifest,
    manifest: &Manifest,
    key: &SigningKey,
    now: SystemTime,
) -> Result<(), String> {
    let host = manifest.hosts.first().filter(|host| *host != "*");
    let host = HostId::parse(host.map_or("any", String::as_str)).map_err(|why| why.to_string())?;
    let keys = KeyRing::pinned(vec![key.public_key()]);
    let rules = Rules {
        policy: Policy::Strict,
        keys: &keys,
        host: &host,
        marks: &HighWaterMarks::default(),
        now,
    };
    let candidate = Candidate {
        archive,
        manifest: Some(signed.clone()),
        ..Candidate::default()
    };
    let verified = verify(candidate, &rules).map_err(|refusal| refusal.to_string())?;
    let package = verified
        .unpack(&Limits::default())
        .map_err(|error| error.to_string())?;
    let object = ScannedObject::read(package.object()).map_err(|error| error.to_string())?;
    check_places(&object, &manifest.attach)?;
    match package.parameters() {
        Some(parameters) => pack::check_names(&object, parameters),
        None => Ok(()),
    }
}

/// Whether every program has a place, and every place a program.
fn check_places(object: &ScannedObject, attach: &[Attach]) -> Result<(), String> {
    let programs = object.programs();
    let names: Vec<&str> = programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    if let Some(lost) = attach
        .iter()
        .find(|attach| !names.contains(&attach.program.as_str()))
    {
        return Err(format!(
            "--attach: the object has no program {:?}; it has {}",
            lost.program,
            names.join(", ")
        ));
    }
    let homeless = programs.iter().find(|program| {
        program.target.is_none() && !attach.iter().any(|place| place.program == program.name)
    });
    match homeless {
        Some(program) => Err(format!(
            "program {name} ({section}) does not say where it goes: add --attach {name}={place}",
            name = program.name,
            section = program.section,
            place = example(program.kind)
        )),
        None => Ok(()),
    }
}

/// A place of a kind of program, to show what is missing.
fn example(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::Xdp => "interface:eth0",
        ProgramKind::Tc => "interface:eth0:ingress",
        ProgramKind::CgroupSkb | ProgramKind::CgroupSockAddr => "cgroup:system.slice/web.service",
        ProgramKind::Tracepoint => "hook:sched/sched_switch",
        ProgramKind::Uprobe | ProgramKind::Uretprobe => "function:/usr/lib/libssl.so.3:SSL_read",
        ProgramKind::PerfEvent => "clock:99",
        _ => "hook:NAME",
    }
}
