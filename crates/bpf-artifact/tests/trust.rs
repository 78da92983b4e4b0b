//! Who is trusted with what, and who is not.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;

use std::time::Duration;

use bpf_artifact::{
    BadSignatureText, Candidate, FetchedKeys, Hints, KeyRing, Manifest, Metadata, Policy,
    PublicKey, Refusal, SignedManifest, SigningKey, Trust, manifest_message, pack,
};
use serde_json::json;

use material::{
    Bench, DAY, OBJECT, archive, candidate, manifest, metadata, monday, signer, stranger,
};

fn signed(change: impl FnOnce(&mut Manifest)) -> Candidate {
    let archive = archive();
    let mut manifest = manifest(&archive);
    change(&mut manifest);
    let manifest = signer().sign_manifest(&manifest).unwrap();
    Candidate {
        archive,
        manifest: Some(manifest),
        ..Candidate::default()
    }
}

fn signed_archive(signature: Option<String>) -> Candidate {
    Candidate {
        archive: archive(),
        signature,
        ..Candidate::default()
    }
}

fn fetched(versions: &[(u32, &SigningKey)]) -> FetchedKeys {
    FetchedKeys {
        source: "transit/bpf".to_owned(),
        fetched_at: monday(),
        versions: versions
            .iter()
            .map(|(version, key)| (*version, key.public_key()))
            .collect(),
        unversioned: Vec::new(),
    }
}

fn vault_text(version: u32, key: &SigningKey, archive: &[u8]) -> String {
    format!("vault:v{version}:{}", key.sign_archive(archive))
}

#[test]
fn a_signed_manifest_makes_a_package_under_every_policy() {
    for policy in [Policy::Strict, Policy::Archive, Policy::InsecureAccept] {
        let verified = Bench::new(policy).judge(candidate(&signer())).unwrap();
        assert_eq!(verified.is_insecure(), policy == Policy::InsecureAccept);
        assert_eq!(
            matches!(verified.trust(), Trust::Manifest(_)),
            policy != Policy::InsecureAccept
        );
        let package = verified.unpack(&bpf_artifact::Limits::default()).unwrap();
        assert_eq!(package.object(), OBJECT);
        assert_eq!(
            (package.name(), package.version()),
            ("egress_guard", Some("2.1.0"))
        );
        assert_eq!(package.metadata(), Some(&metadata()));
    }
}

#[test]
fn strict_takes_no_signature_over_the_archive() {
    let candidate = signed_archive(Some(signer().sign_archive(&archive())));
    assert_eq!(
        Bench::new(Policy::Strict).refuses(candidate.clone()),
        "no_manifest"
    );
    let verified = Bench::new(Policy::Archive).judge(candidate).unwrap();
    assert!(
        matches!(verified.trust(), Trust::Archive(by) if by.fingerprint == signer().public_key().fingerprint())
    );
}

#[test]
fn a_manifest_that_is_there_has_to_hold_under_the_archive_policy_too() {
    let mut with_both = candidate(&stranger());
    with_both.signature = Some(signer().sign_archive(&with_both.archive));
    assert_eq!(
        Bench::new(Policy::Archive).refuses(with_both),
        "unknown_key"
    );
}

#[test]
fn without_a_key_nothing_is_trusted() {
    for policy in [Policy::Strict, Policy::Archive] {
        let bench = Bench {
            keys: KeyRing::new(DAY),
            ..Bench::new(policy)
        };
        assert_eq!(bench.refuses(candidate(&signer())), "no_keys");
    }
    // Neither do keys count that were all retired, however fresh the answer is.
    let mut bench = Bench::new(Policy::Strict);
    bench.keys = KeyRing::new(7 * DAY);
    bench.keys.replace(fetched(&[]));
    assert_eq!(bench.refuses(candidate(&signer())), "no_keys");
}

#[test]
fn no_signature_and_an_empty_one_are_refused() {
    let bench = Bench::new(Policy::Archive);
    for empty in [None, Some(String::new()), Some(" \n".to_owned())] {
        assert_eq!(bench.refuses(signed_archive(empty)), "no_signature");
    }
    let mut stripped = candidate(&signer());
    stripped.manifest.as_mut().unwrap().signature.clear();
    assert_eq!(Bench::new(Policy::Strict).refuses(stripped), "no_signature");
}

#[test]
fn what_registries_in_development_mode_write_is_refused_by_name() {
    let dev = "k3yV0Jd3b2S1m0m9o1l6i5G2cPq0xw4hT2kYb9aVn8U=";
    let refusal = Bench::new(Policy::Archive)
        .judge(signed_archive(Some(dev.to_owned())))
        .unwrap_err();
    assert_eq!(
        refusal,
        Refusal::MalformedSignature(BadSignatureText::BareDigest)
    );
    for text in [
        "signature_error_1758000000",
        "vault:v1:",
        "vault:1:AAAA",
        "vault:v01:AAAA",
        "vault:v+1:AAAA",
        "md5:0:AAAA",
        "ed25519:AAAA",
        ":",
        "vault",
        "placeholder",
    ] {
        let refused = Bench::new(Policy::Archive).refuses(signed_archive(Some(text.to_owned())));
        assert_eq!(refused, "malformed_signature", "{text}");
    }
    let long = "A".repeat(4096);
    assert_eq!(
        Bench::new(Policy::Archive).refuses(signed_archive(Some(long))),
        "malformed_signature"
    );
}

#[test]
fn a_stranger_is_refused_in_every_form() {
    let stranger = stranger();
    let bench = Bench::new(Policy::Archive);
    assert_eq!(bench.refuses(candidate(&stranger)), "unknown_key");
    assert_eq!(
        bench.refuses(signed_archive(Some(stranger.sign_archive(&archive())))),
        "bad_signature"
    );
    assert_eq!(
        bench.refuses(signed_archive(Some(vault_text(1, &stranger, &archive())))),
        "bad_signature"
    );
    // Under somebody else's name it is no better.
    let mut forged = candidate(&stranger);
    let signature = &mut forged.manifest.as_mut().unwrap().signature;
    *signature = signature.replace(&stranger.public_key().id(), &signer().public_key().id());
    assert_eq!(bench.refuses(forged), "bad_signature");
}

#[test]
fn a_signature_over_the_archive_is_none_over_a_manifest_nor_the_other_way() {
    let archive = archive();
    let bytes = manifest(&archive).to_json().unwrap();
    let bare = SignedManifest {
        signature: signer().sign_archive(&bytes),
        manifest: bytes.clone(),
    };
    let confused = Candidate {
        archive,
        manifest: Some(bare),
        ..Candidate::default()
    };
    assert_eq!(
        Bench::new(Policy::Strict).refuses(confused),
        "bad_signature"
    );
    let signature = signer().sign_manifest(&manifest(b"x")).unwrap().signature;
    let confused = Candidate {
        archive: bytes,
        signature: Some(signature),
        ..Candidate::default()
    };
    assert_eq!(
        Bench::new(Policy::Archive).refuses(confused),
        "bad_signature"
    );
}

#[test]
fn what_a_manifest_signature_is_over_is_fixed_to_the_byte() {
    // printf 'aegis.artifact.v1\0'; printf '{}' | sha256sum
    let digest: bpf_artifact::Digest =
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            .parse()
            .unwrap();
    let message = [&b"aegis.artifact.v1"[..], &[0], digest.as_bytes()].concat();
    assert_eq!(manifest_message(b"{}"), message);
    assert_eq!(message.len(), 50);
}

#[test]
fn another_host_is_refused_and_a_star_means_every_host() {
    let elsewhere = |hosts: &[&str]| {
        signed(|manifest| manifest.hosts = hosts.iter().map(ToString::to_string).collect())
    };
    let bench = Bench::new(Policy::Strict);
    assert_eq!(bench.refuses(elsewhere(&["db-03"])), "other_host");
    assert_eq!(
        bench.refuses(elsewhere(&["db-0", "db-02.example", "DB-02"])),
        "other_host"
    );
    assert!(bench.judge(elsewhere(&["*"])).is_ok());
}

#[test]
fn time_is_kept_to_the_second_at_its_end_and_to_five_minutes_at_its_beginning() {
    let second = Duration::from_secs(1);
    let at = |now| {
        Bench {
            now,
            ..Bench::new(Policy::Strict)
        }
        .judge(candidate(&signer()))
        .map(drop)
        .map_err(|e| e.code())
    };
    assert_eq!(at(monday() - 301 * second), Err("not_yet_valid"));
    assert_eq!(at(monday() - 300 * second), Ok(()));
    assert_eq!(at(monday() + 7 * DAY - second), Ok(()));
    assert_eq!(at(monday() + 7 * DAY), Err("expired"));
    assert_eq!(at(std::time::UNIX_EPOCH - DAY), Err("not_yet_valid"));
}

#[test]
fn an_issue_below_the_mark_is_refused_for_its_name_alone() {
    let mut bench = Bench::new(Policy::Strict);
    let newer = bench.judge(signed(|manifest| manifest.serial = 8)).unwrap();
    assert!(bench.marks.raise(&newer));
    assert!(!bench.marks.raise(&newer), "nothing to store");
    assert_eq!(bench.refuses(candidate(&signer())), "replayed");
    // The same issue again is no replay: it is what runs.
    assert!(bench.judge(signed(|manifest| manifest.serial = 8)).is_ok());
    assert!(
        bench
            .judge(signed(|manifest| manifest.name = "other".to_owned()))
            .is_ok()
    );
    // A lower one does not lower the mark, not even past the check.
    let older = Bench::new(Policy::Strict)
        .judge(candidate(&signer()))
        .unwrap();
    assert!(!bench.marks.raise(&older));
    assert_eq!(bench.marks.of("egress_guard"), Some(8));
}

#[test]
fn a_return_to_an_older_issue_is_one_judgement_and_lowers_no_mark() {
    let mut bench = Bench::new(Policy::Strict);
    let newer = bench.judge(signed(|manifest| manifest.serial = 8)).unwrap();
    assert!(bench.marks.raise(&newer));
    let marks = bench.marks.clone();
    bench.marks = marks.back_to("egress_guard", 7);
    assert!(bench.judge(candidate(&signer())).is_ok());
    assert_eq!(
        bench.refuses(signed(|manifest| manifest.serial = 6)),
        "replayed"
    );
    assert_eq!(marks.of("egress_guard"), Some(8));
    // It raises none and makes none.
    assert_eq!(marks.back_to("egress_guard", 9), marks);
    assert_eq!(marks.back_to("other", 1), marks);
}

#[test]
fn what_nobody_signed_raises_no_mark() {
    let bench = Bench::new(Policy::InsecureAccept);
    let verified = bench.judge(candidate(&stranger())).unwrap();
    let mut marks = bench.marks.clone();
    assert!(!marks.raise(&verified));
}

#[test]
fn insecure_still_refuses_what_its_own_manifest_rules_out() {
    let mut bench = Bench::new(Policy::InsecureAccept);
    let mut other = candidate(&stranger());
    other.archive.push(0);
    assert_eq!(bench.refuses(other), "other_archive");
    bench.now = monday() + 8 * DAY;
    assert_eq!(bench.refuses(candidate(&stranger())), "expired");
    assert!(bench.judge(signed_archive(None)).unwrap().is_insecure());
}

#[test]
fn a_manifest_about_another_archive_is_refused() {
    let mut swapped = candidate(&signer());
    swapped.archive = pack(OBJECT, &Metadata::default()).unwrap();
    assert_eq!(Bench::new(Policy::Strict).refuses(swapped), "other_archive");
}

#[test]
fn rotation_keeps_old_versions_and_retiring_them_revokes() {
    let (old, new) = (signer(), stranger());
    let archive = archive();
    let by = |version, key: &SigningKey| signed_archive(Some(vault_text(version, key, &archive)));
    let mut bench = Bench::new(Policy::Archive);
    bench.keys = KeyRing::new(7 * DAY);
    bench.keys.replace(fetched(&[(1, &old), (2, &new)]));
    let Trust::Archive(running) = bench.judge(by(1, &old)).unwrap().trust().clone() else {
        panic!()
    };
    assert_eq!(
        running.to_string(),
        format!("transit/bpf v1 ({})", old.public_key().id())
    );
    assert!(bench.judge(by(2, &new)).is_ok());
    // A version is what it says it is.
    assert_eq!(bench.refuses(by(2, &old)), "bad_signature");
    assert_eq!(bench.refuses(by(3, &new)), "unknown_key");
    assert!(bench.keys.trusts(&running));

    bench.keys.replace(fetched(&[(2, &new)]));
    assert_eq!(bench.refuses(by(1, &old)), "unknown_key");
    assert!(bench.judge(by(2, &new)).is_ok());
    assert!(!bench.keys.trusts(&running), "what runs is to be unloaded");
}

#[test]
fn fetched_keys_age_out_for_new_loads_and_not_for_what_runs() {
    let mut bench = Bench::new(Policy::Archive);
    bench.keys = KeyRing::new(2 * DAY);
    bench.keys.replace(fetched(&[(1, &signer())]));
    let candidate = signed_archive(Some(vault_text(1, &signer(), &archive())));
    bench.now = monday() + 2 * DAY;
    let Trust::Archive(running) = bench.judge(candidate.clone()).unwrap().trust().clone() else {
        panic!()
    };
    for now in [monday() + 3 * DAY, monday() - 3 * DAY] {
        bench.now = now;
        assert_eq!(bench.refuses(candidate.clone()), "keys_too_old");
        assert_eq!(bench.keys.count(now), 0);
    }
    assert!(bench.keys.trusts(&running));
    // Pinned keys do not age.
    bench.keys.pin(signer().public_key());
    assert!(bench.judge(candidate).is_ok());
}

#[test]
fn stored_keys_are_read_back_as_they_were() {
    let mut keys = fetched(&[(1, &signer()), (4, &stranger())]);
    keys.unversioned.push(PublicKey::ed25519([7; 32]));
    assert_eq!(FetchedKeys::from_json(keys.to_json().as_bytes()), Ok(keys));
    assert!(FetchedKeys::from_json(b"{}").is_err());
}

#[test]
fn who_signed_can_be_kept_with_what_runs() {
    let verified = Bench::new(Policy::Strict)
        .judge(candidate(&signer()))
        .unwrap();
    let Trust::Manifest(by) = verified.trust() else {
        panic!()
    };
    let stored = serde_json::to_string(by).unwrap();
    assert_eq!(
        &serde_json::from_str::<bpf_artifact::SignedBy>(&stored).unwrap(),
        by
    );
}

#[test]
fn the_signer_decides_on_life_and_parameters_and_the_registry_only_shortens() {
    let seconds = Duration::from_secs;
    let default = seconds(600);
    let hints = |ttl| Hints {
        ttl: Some(seconds(ttl)),
        name: Some("hinted".to_owned()),
        version: None,
        parameters: json!({"drop_port": 1}).as_object().cloned(),
    };
    let package = |policy, candidate: Candidate| {
        Bench::new(policy)
            .judge(candidate)
            .unwrap()
            .unpack(&bpf_artifact::Limits::default())
            .unwrap()
    };
    let with = |ttl, mut candidate: Candidate| {
        candidate.hints = hints(ttl);
        candidate
    };
    let port = |package: &bpf_artifact::Package| package.parameters().unwrap()["drop_port"].clone();

    let shorter = package(Policy::Strict, with(60, candidate(&signer())));
    assert_eq!(shorter.ttl(default), seconds(60));
    let longer = package(Policy::Strict, with(86_400, candidate(&signer())));
    assert_eq!(longer.ttl(default), seconds(3600));
    assert_eq!(
        port(&longer),
        "9",
        "from metadata.json, which the archive's digest covers"
    );
    let own = signed(|manifest| manifest.parameters = json!({"drop_port": 7}).as_object().cloned());
    assert_eq!(port(&package(Policy::Strict, with(60, own))), 7);

    let signature = Some(signer().sign_archive(&archive()));
    let by_registry = package(Policy::Archive, with(86_400, signed_archive(signature)));
    assert_eq!(
        (by_registry.ttl(default), by_registry.name()),
        (default, "egress_guard")
    );
    assert_eq!(port(&by_registry), "9");
    assert_eq!(
        port(&package(
            Policy::InsecureAccept,
            with(60, signed_archive(None))
        )),
        1
    );
}

#[test]
fn a_name_is_looked_for_in_metadata_then_in_the_listing_and_has_to_be_one() {
    let name = |metadata: &Metadata, hint: Option<&str>| {
        let hints = Hints {
            name: hint.map(ToOwned::to_owned),
            ..Hints::default()
        };
        let candidate = Candidate {
            archive: pack(OBJECT, metadata).unwrap(),
            hints,
            ..Candidate::default()
        };
        let verified = Bench::new(Policy::InsecureAccept).judge(candidate).unwrap();
        verified
            .unpack(&bpf_artifact::Limits::default())
            .map(|package| package.name().to_owned())
    };
    let both = Metadata {
        name: Some("own".to_owned()),
        ..metadata()
    };
    assert_eq!(name(&both, Some("listed")).unwrap(), "own");
    assert_eq!(name(&metadata(), Some("listed")).unwrap(), "egress_guard");
    assert_eq!(
        name(&Metadata::default(), Some("listed")).unwrap(),
        "listed"
    );
    assert_eq!(
        name(&Metadata::default(), None).unwrap_err().code(),
        "bad_metadata"
    );
    assert_eq!(
        name(&Metadata::default(), Some("two\nlines"))
            .unwrap_err()
            .code(),
        "bad_metadata"
    );
}

#[test]
fn a_manifest_is_checked_field_by_field_when_it_is_written_and_when_it_is_read() {
    let refused = |change: fn(&mut Manifest), field: &str| {
        let mut manifest = manifest(b"x");
        change(&mut manifest);
        let error = manifest.to_json().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the manifest's {field} ")),
            "{error}"
        );
    };
    refused(|m| m.name.clear(), "name");
    refused(|m| m.name = "a\nb".to_owned(), "name");
    refused(|m| m.version = " 1".to_owned(), "version");
    refused(|m| m.not_after = m.issued_at, "not_after");
    refused(|m| m.hosts.clear(), "hosts");
    refused(|m| m.hosts.push("*".to_owned()), "hosts");
    refused(|m| m.hosts.push("..".to_owned()), "hosts");
    refused(|m| m.ttl_sec = Some(0), "ttl_sec");
    refused(|m| m.ttl_sec = Some(u64::MAX), "ttl_sec");
    refused(
        |m| m.limits.max_cpu_percent = Some(-1.0),
        "limits.max_cpu_percent",
    );
    refused(
        |m| m.limits.max_latency_us = Some(f64::NAN),
        "limits.max_latency_us",
    );
    let good = String::from_utf8(manifest(b"x").to_json().unwrap()).unwrap();
    for (from, to) in [
        ("\"serial\":7", "\"serial\":7,\"serial\":8"),
        ("\"serial\":7", "\"serial\":-7"),
        ("\"serial\":7", "\"serial\":7,\"only_on_sundays\":true"),
        (
            "\"limits\":{}",
            "\"limits\":{\"max_errors\":1,\"max_joules\":2}",
        ),
        ("aegis.artifact.v1", "aegis.artifact.v2"),
        ("\"hosts\":[", "\"hosts\":[\"*\","),
        ("2026-01-05T08:00:00Z", "2026-01-05 8 o'clock"),
    ] {
        assert!(good.contains(from), "{good}");
        assert!(
            Manifest::from_json(good.replace(from, to).as_bytes()).is_err(),
            "{to}"
        );
    }
    assert!(Manifest::from_json(good.as_bytes()).is_ok());
    let long = format!("{good}{}", " ".repeat(64 * 1024));
    assert_eq!(
        Manifest::from_json(long.as_bytes()),
        Err(bpf_artifact::ManifestError::TooLong)
    );
}

#[test]
fn a_full_manifest_is_read_back_as_it_was_written() {
    let text = json!({
        "schema": "aegis.artifact.v1", "archive_sha256": "a".repeat(64), "name": "n", "version": "1", "serial": 1,
        "issued_at": "2026-01-05T08:00:00Z", "not_after": "2026-02-05T08:00:00Z", "hosts": ["a"], "ttl_sec": 60,
        "parameters": {"ports": {"9": 1}},
        "attach": [
            {"program": "guard", "to": {"interface": {"name": "eth0", "direction": "ingress"}}},
            {"program": "xdp", "to": {"interface": {"name": "eth0", "mode": "driver"}}},
            {"program": "watch", "to": {"cgroup": {"path": "system.slice"}}},
            {"program": "t", "to": {"hook": {"name": "sched/sched_switch"}}},
            {"program": "u", "to": {"user_function": {"path": "/lib/libc.so.6", "symbol": "getpid", "offset": 4, "pid": 1}}},
            {"program": "p", "to": {"clock": {"frequency_hz": 99}}},
        ],
        "limits": {"max_errors": 1, "max_violations": 2, "max_cpu_percent": 2.5, "max_latency_us": 0.5, "max_memory_kb": 8},
        "on_agent_exit": "persist", "priority": -3, "protected": true,
    });
    let manifest = Manifest::from_json(text.to_string().as_bytes()).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&manifest.to_json().unwrap()).unwrap();
    assert_eq!(written, text);
    let unknown = text.to_string().replace(
        "\"frequency_hz\"",
        "\"only_when_idle\":true,\"frequency_hz\"",
    );
    assert!(Manifest::from_json(unknown.as_bytes()).is_err());
}
