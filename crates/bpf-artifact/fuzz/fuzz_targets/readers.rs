//! Everything that reads bytes from outside: archives, objects, manifests, listings, answers of Vault, keys.
//!
//! `cargo fuzz run readers corpus ../tests/fixtures` starts from the files of the tests.
#![no_main]

use std::time::SystemTime;

use bpf_artifact::{
    FetchedKeys, HighWaterMarks, Limits, Listing, Manifest, Metadata, PublicKey, SigningKey,
    inspect_archive, inspect_object, vault_answer,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = inspect_archive(bytes, &Limits::default());
    let _ = inspect_object(bytes);
    let _ = Metadata::from_json(bytes);
    let _ = HighWaterMarks::from_json(bytes);
    if let Ok(manifest) = Manifest::from_json(bytes) {
        let written = manifest.to_json().expect("what was read can be written");
        assert_eq!(Manifest::from_json(&written).as_ref(), Ok(&manifest));
    }
    if let Ok(listing) = Listing::from_json(bytes) {
        for artifact in &listing.artifacts {
            let kept = Listing::from_json(format!("[{}]", artifact.to_json()).as_bytes());
            assert_eq!(kept.map(|kept| kept.artifacts), Ok(vec![artifact.clone()]));
        }
    }
    let now = SystemTime::UNIX_EPOCH;
    let _ = vault_answer::transit_keys(bytes, "transit/bpf", now);
    let _ = vault_answer::kv_keys(bytes, "secret/bpf", "public_key", now);
    let _ = vault_answer::token(bytes);
    if let Ok(keys) = FetchedKeys::from_json(bytes) {
        assert_eq!(FetchedKeys::from_json(keys.to_json().as_bytes()), Ok(keys));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PublicKey::parse_all(text);
        let _ = SigningKey::from_pem(text);
    }
});
