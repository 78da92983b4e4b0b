//! Damage: no flipped bit is trusted, and no prefix and no changed byte of anything makes a parser panic.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;

use bpf_artifact::{
    Candidate, FetchedKeys, HighWaterMarks, KeyRing, Limits, Listing, Manifest, Metadata, Policy,
    PublicKey, SigningKey, inspect_archive, inspect_object, pack, vault_answer,
};

use material::{Bench, OBJECT, archive, candidate, manifest, metadata, monday, signer};

/// Calls `see` with these bytes after each change of one byte: every bit turned, and all of them.
fn each_flip(bytes: &[u8], mut see: impl FnMut(usize, &[u8])) {
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            changed[at] ^= mask;
            see(at, &changed);
            changed[at] ^= mask;
        }
    }
}

/// Calls `see` after one flip of each byte, another bit each time: all of them would take half a minute here.
fn each_flip_in_turn(bytes: &[u8], mut see: impl FnMut(&[u8])) {
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        let mask = 1 << (at % 8);
        changed[at] ^= mask;
        see(&changed);
        changed[at] ^= mask;
    }
}

/// Calls `see` with every prefix, and with every byte changed in many ways.
fn each_damage(bytes: &[u8], mut see: impl FnMut(&[u8])) {
    for length in 0..bytes.len() {
        see(&bytes[..length]);
    }
    each_flip(bytes, |_, changed| see(changed));
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for value in *b"\0\"{[]}:,0-e" {
            let old = std::mem::replace(&mut changed[at], value);
            see(&changed);
            changed[at] = old;
        }
    }
}

/// Signed as usual, but with an archive of few bytes: each of them is flipped in every way.
fn small() -> Candidate {
    let archive = pack(&OBJECT[..64], &Metadata::default()).unwrap();
    let manifest = signer().sign_manifest(&manifest(&archive)).unwrap();
    Candidate {
        archive,
        manifest: Some(manifest),
        ..Candidate::default()
    }
}

#[test]
fn no_flip_in_a_signed_manifest_or_its_signature_or_its_archive_is_trusted() {
    let bench = Bench::new(Policy::Strict);
    let whole = small();
    let signed = whole.manifest.clone().unwrap();
    assert!(bench.judge(whole.clone()).is_ok());
    each_flip(&signed.manifest, |at, changed| {
        let mut flipped = whole.clone();
        flipped.manifest.as_mut().unwrap().manifest = changed.to_vec();
        assert_eq!(bench.refuses(flipped), "bad_signature", "byte {at}");
    });
    each_flip(signed.signature.as_bytes(), |at, changed| {
        let Ok(text) = std::str::from_utf8(changed) else {
            return;
        };
        let mut flipped = whole.clone();
        flipped.manifest.as_mut().unwrap().signature = text.to_owned();
        assert!(bench.judge(flipped).is_err(), "byte {at}: {text}");
    });
    each_flip(&whole.archive, |at, changed| {
        let flipped = Candidate {
            archive: changed.to_vec(),
            ..whole.clone()
        };
        assert_eq!(bench.refuses(flipped), "other_archive", "byte {at}");
    });
}

#[test]
fn no_flip_in_a_signed_archive_or_its_signature_is_trusted() {
    let mut bench = Bench::new(Policy::Archive);
    bench.keys = KeyRing::new(material::DAY * 30);
    bench.keys.replace(FetchedKeys {
        source: "transit/bpf".to_owned(),
        fetched_at: monday(),
        versions: [(1, signer().public_key())].into(),
        unversioned: Vec::new(),
    });
    let small = small().archive;
    let signature = format!("vault:v1:{}", signer().sign_archive(&small));
    let whole = Candidate {
        archive: small,
        signature: Some(signature.clone()),
        ..Candidate::default()
    };
    assert!(bench.judge(whole.clone()).is_ok());
    each_flip(&whole.archive, |at, changed| {
        let flipped = Candidate {
            archive: changed.to_vec(),
            ..whole.clone()
        };
        assert_eq!(bench.refuses(flipped), "bad_signature", "byte {at}");
    });
    each_flip(signature.as_bytes(), |at, changed| {
        let Ok(text) = std::str::from_utf8(changed) else {
            return;
        };
        let flipped = Candidate {
            signature: Some(text.to_owned()),
            ..whole.clone()
        };
        assert!(bench.judge(flipped).is_err(), "byte {at}: {text}");
    });
}

#[test]
fn a_longer_or_shorter_archive_is_not_the_signed_one() {
    let bench = Bench::new(Policy::Strict);
    let whole = candidate(&signer());
    let longer = [whole.archive.as_slice(), &[0]].concat();
    assert_eq!(
        bench.refuses(Candidate {
            archive: longer,
            ..whole.clone()
        }),
        "other_archive"
    );
    let shorter = whole.archive[..whole.archive.len() - 1].to_vec();
    assert_eq!(
        bench.refuses(Candidate {
            archive: shorter,
            ..whole
        }),
        "other_archive"
    );
}

#[test]
fn a_damaged_listing_is_read_or_refused() {
    let listing = include_bytes!("fixtures/listing-object.json");
    each_damage(listing, |bytes| {
        let Ok(listing) = Listing::from_json(bytes) else {
            return;
        };
        assert!(listing.artifacts.len() + listing.problems.len() <= 4);
        assert!(
            listing
                .artifacts
                .iter()
                .all(|artifact| !artifact.id.as_str().contains('/'))
        );
    });
}

#[test]
fn damaged_answers_of_vault_are_read_or_refused() {
    each_damage(
        include_bytes!("fixtures/vault-transit-ed25519.json"),
        |bytes| {
            drop(vault_answer::transit_keys(bytes, "transit/bpf", monday()));
        },
    );
    each_damage(include_bytes!("fixtures/vault-kv2.json"), |bytes| {
        drop(vault_answer::kv_keys(
            bytes,
            "secret/bpf",
            "public_key",
            monday(),
        ));
    });
    for answer in [
        &include_bytes!("fixtures/vault-lookup-self.json")[..],
        include_bytes!("fixtures/vault-renew-self.json"),
    ] {
        each_damage(answer, |bytes| drop(vault_answer::token(bytes)));
    }
}

#[test]
fn damaged_manifests_marks_and_keys_are_read_or_refused() {
    let manifest = manifest(&archive()).to_json().unwrap();
    each_damage(&manifest, |bytes| {
        if let Ok(read) = Manifest::from_json(bytes) {
            assert!(read.to_json().is_ok(), "{read:?}");
        }
    });
    each_damage(br#"{"egress_guard":7,"b":18446744073709551615}"#, |bytes| {
        drop(HighWaterMarks::from_json(bytes));
    });
    let keys = FetchedKeys {
        source: "s".to_owned(),
        fetched_at: monday(),
        versions: [(1, signer().public_key())].into(),
        unversioned: Vec::new(),
    };
    each_damage(keys.to_json().as_bytes(), |bytes| {
        drop(FetchedKeys::from_json(bytes));
    });
    for text in [
        include_str!("fixtures/p256.pub.pem"),
        include_str!("fixtures/rsa2048.pub.pem"),
        include_str!("fixtures/ed25519.pub.pem"),
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ] {
        each_damage(text.as_bytes(), |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = PublicKey::parse_all(text);
            }
        });
    }
    let (_, private) = SigningKey::generate().unwrap();
    each_damage(private.as_bytes(), |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = SigningKey::from_pem(text);
        }
    });
}

#[test]
fn damaged_metadata_is_read_or_refused() {
    each_damage(metadata().to_json().as_bytes(), |bytes| {
        drop(Metadata::from_json(bytes));
    });
}

#[test]
fn damaged_archives_that_nobody_signed_are_read_or_refused() {
    each_flip_in_turn(&archive(), |changed| {
        drop(inspect_archive(changed, &Limits::default()));
    });
}

#[test]
fn damaged_objects_are_looked_into_or_refused() {
    for object in [OBJECT, include_bytes!("fixtures/calls.o")] {
        for length in (0..object.len()).step_by(7) {
            let _ = inspect_object(&object[..length]);
        }
        each_flip_in_turn(object, |changed| drop(inspect_object(changed)));
    }
}
