//! `programs verify`: judges an archive as an agent would.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bpf_artifact::{
    Candidate, HighWaterMarks, HostId, KeyRing, Limits, Manifest, Package, Policy, Rules,
    SignedManifest, Trust, verify,
};
use serde_json::{Value, json};

use super::{Told, input};
use crate::cli::programs_command::Verify;
use crate::clock::rfc3339;
use crate::table::printable;

/// Why an archive is not taken.
struct Refused {
    code: &'static str,
    why: String,
}

pub(super) fn run(wanted: &Verify) -> Result<Told, String> {
    let candidate = candidate(wanted)?;
    let keys: Vec<_> = wanted
        .public_keys
        .iter()
        .map(|text| input::public_keys(text))
        .collect::<Result<Vec<_>, _>>()?;
    let keys = KeyRing::pinned(keys.concat());
    let judged = judge(candidate, wanted, &keys);
    let text = match (&judged, wanted.json) {
        (Ok(package), true) => format!("{:#}\n", trusted_json(package, wanted)),
        (Ok(package), false) => trusted(package, wanted),
        (Err(refused), true) => {
            let answer = json!({"trusted": false, "code": refused.code, "reason": refused.why});
            format!("{answer:#}\n")
        }
        (Err(Refused { code, why }), false) => {
            format!(
                "{}: refused ({code}): {}\n",
                wanted.archive.display(),
                printable(why)
            )
        }
    };
    Ok(Told {
        text,
        well: judged.is_ok(),
    })
}

fn candidate(wanted: &Verify) -> Result<Candidate, String> {
    let archive = input::archive(&wanted.archive)?;
    let manifest = named_or_beside(wanted.manifest.as_ref(), &wanted.archive, "manifest.json");
    let signature = named_or_beside(wanted.signature.as_ref(), &wanted.archive, "manifest.sig");
    let signature = signature.map(|path| input::text(&path)).transpose()?;
    let manifest = manifest.map(|path| input::short(&path)).transpose()?;
    Ok(match manifest {
        Some(manifest) => Candidate {
            archive,
            manifest: Some(SignedManifest {
                manifest,
                signature: signature.unwrap_or_default().trim().to_owned(),
            }),
            ..Candidate::default()
        },
        None => Candidate {
            archive,
            signature: signature.map(|text| text.trim().to_owned()),
            ..Candidate::default()
        },
    })
}

/// The file that was named, or the one beside the archive if it is there.
fn named_or_beside(named: Option<&PathBuf>, archive: &Path, end: &str) -> Option<PathBuf> {
    let beside = || Some(input::beside(archive, end)).filter(|path| path.exists());
    named.cloned().or_else(beside)
}

fn judge(candidate: Candidate, wanted: &Verify, keys: &KeyRing) -> Result<Package, Refused> {
    let host = wanted.host.clone().or_else(|| any_host(&candidate));
    let host = host.ok_or_else(|| Refused {
        code: "bad_manifest",
        why: "there is no host to judge for: --host is needed".to_owned(),
    })?;
    let rules = Rules {
        policy: wanted.policy,
        keys,
        host: &host,
        marks: &HighWaterMarks::default(),
        now: SystemTime::now(),
    };
    let verified = verify(candidate, &rules).map_err(|refusal| Refused {
        code: refusal.code(),
        why: refusal.to_string(),
    })?;
    verified
        .unpack(&Limits::default())
        .map_err(|error| Refused {
            code: error.code(),
            why: error.to_string(),
        })
}

/// One of the hosts that the manifest is for, to leave the host out of the question. Nothing is believed for it.
fn any_host(candidate: &Candidate) -> Option<HostId> {
    let signed = candidate.manifest.as_ref();
    let manifest = signed.and_then(|signed| Manifest::from_json(&signed.manifest).ok());
    let named = manifest.and_then(|manifest| HostId::parse(manifest.hosts.first()?).ok());
    named.or_else(|| HostId::parse("any").ok())
}

fn signer(package: &Package) -> String {
    match package.trust() {
        Trust::Manifest(by) => format!("its manifest is signed by {by}"),
        Trust::Archive(by) => {
            format!("the archive is signed by {by}; host, age and parameters are not protected")
        }
        _ => "NOT VERIFIED: nobody's signature was asked for".to_owned(),
    }
}

fn trusted(package: &Package, wanted: &Verify) -> String {
    let mut lines = vec![
        format!("{}: {}", wanted.archive.display(), signer(package)),
        format!("sha256      {}", package.archive_digest()),
        format!(
            "program     {} {}",
            package.name(),
            package.version().unwrap_or_default()
        ),
    ];
    if let Some(manifest) = package.manifest() {
        let checked = if wanted.host.is_some() {
            ""
        } else {
            " (not checked: no --host)"
        };
        lines.push(format!("serial      {}", manifest.serial));
        lines.push(format!(
            "hosts       {}{checked}",
            manifest.hosts.join(", ")
        ));
        lines.push(format!(
            "valid       {} to {}",
            rfc3339(manifest.issued_at),
            rfc3339(manifest.not_after)
        ));
        lines.extend(
            manifest
                .ttl_sec
                .map(|ttl| format!("runs        {ttl} s after loading")),
        );
        let places = manifest.attach.iter();
        lines.extend(
            places.map(|place| format!("attach      {} to {}", place.program, json!(place.to))),
        );
        let parameters = manifest.parameters.clone();
        lines.extend(
            parameters.map(|parameters| format!("parameters  {}", Value::Object(parameters))),
        );
    }
    let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n") + "\n"
}

fn trusted_json(package: &Package, wanted: &Verify) -> Value {
    let by = match package.trust() {
        Trust::Manifest(by) | Trust::Archive(by) => Some(by),
        _ => None,
    };
    json!({
        "trusted": wanted.policy != Policy::InsecureAccept,
        "policy": wanted.policy.name(),
        "signed": match package.trust() {
            Trust::Manifest(_) => "manifest",
            Trust::Archive(_) => "archive",
            _ => "nothing",
        },
        "signed_by": by.map(|by| json!(by)),
        "host_checked": wanted.host.is_some() && package.manifest().is_some(),
        "archive_sha256": package.archive_digest(),
        "name": package.name(),
        "version": package.version(),
        "manifest": package.manifest(),
    })
}
