//! Listings in all the shapes that registries send.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

use std::time::{Duration, SystemTime};

use bpf_artifact::{ArtifactId, ListedArtifact, Listing, NextPoll};
use serde_json::{Value, json};

fn read(listing: &Value) -> Listing {
    Listing::from_json(listing.to_string().as_bytes()).unwrap()
}

fn one(artifact: &Value) -> Result<ListedArtifact, String> {
    let mut listing = read(&json!([artifact]));
    match listing.artifacts.pop() {
        Some(artifact) => Ok(artifact),
        None => Err(listing.problems.remove(0).to_string()),
    }
}

fn id(text: &str) -> ArtifactId {
    ArtifactId::parse(text).unwrap()
}

#[test]
fn an_object_a_bare_list_and_null_are_listings() {
    let artifact = json!({"id": "a7"});
    for listing in [
        json!({"artifacts": [artifact], "total": 1}),
        json!([artifact]),
        json!({"artifacts": [{"artifact_id": "a7"}]}),
    ] {
        assert_eq!(read(&listing).artifacts[0].id, id("a7"));
    }
    for nothing in [
        json!(null),
        json!([]),
        json!({"artifacts": []}),
        json!({"artifacts": null, "total": 0}),
    ] {
        assert!(read(&nothing).is_empty());
    }
}

#[test]
fn the_captured_shape_is_read_in_full() {
    let listing = Listing::from_json(include_bytes!("fixtures/listing-object.json")).unwrap();
    assert_eq!(
        listing.next_poll,
        Some(NextPoll::After(Duration::from_secs(30)))
    );
    let [first, second] = listing.artifacts.as_slice() else {
        panic!()
    };
    assert_eq!(first.id, id("artifact_1758040000000000001"));
    assert_eq!(
        (first.hints.name.as_deref(), first.hints.version.as_deref()),
        (Some("egress_guard"), Some("2.1.0"))
    );
    assert_eq!(first.hints.ttl, Some(Duration::from_secs(600)));
    assert_eq!(
        first.hints.parameters,
        json!({"drop_port": 9}).as_object().cloned()
    );
    assert_eq!(first.size, Some(3435));
    let manifest = first.manifest.as_ref().unwrap();
    assert_eq!(manifest.manifest, br#"{"schema":"aegis.artifact.v1"}"#);
    assert_eq!(manifest.signature, "ed25519:0011223344556677:AAAA");
    // What servers write for "none" is none.
    assert_eq!(
        (second.size, second.checksum, second.signature.as_deref()),
        (None, None, None)
    );
    assert_eq!(second.hints.ttl, Some(Duration::from_secs(60)));
    assert_eq!(listing.problems.len(), 1);
    let problem = listing.problems[0].to_string();
    assert_eq!(
        problem,
        "entry 2: its id is not 1 to 128 of A-Z a-z 0-9 . _ -"
    );
}

#[test]
fn what_is_kept_in_a_cache_is_read_back_as_it_was() {
    let listing = Listing::from_json(include_bytes!("fixtures/listing-object.json")).unwrap();
    let kept: Vec<String> = listing
        .artifacts
        .iter()
        .map(ListedArtifact::to_json)
        .collect();
    let read = Listing::from_json(format!("[{}]", kept.join(",")).as_bytes()).unwrap();
    assert_eq!(
        (read.artifacts, read.problems),
        (listing.artifacts, Vec::new())
    );
}

#[test]
fn an_id_is_one_harmless_segment() {
    for good in ["a", "artifact_1758040000000000001", "a.b-c_d", "..."] {
        assert_eq!(one(&json!({"id": good})).unwrap().id.as_str(), good);
    }
    let long = "a".repeat(129);
    for bad in [".", "..", "a/b", "a b", "ä", "a%2f", "a\0", long.as_str()] {
        assert!(one(&json!({"id": bad})).is_err(), "{bad:?}");
    }
    for neither in [
        json!({}),
        json!({"id": ""}),
        json!({"id": null}),
        json!(7),
        json!("a7"),
    ] {
        assert_eq!(
            one(&neither).unwrap_err(),
            "entry 0: has neither `artifact_id` nor `id`"
        );
    }
    assert_eq!(
        one(&json!({"id": 7})).unwrap_err(),
        "entry 0: `id` is not a text"
    );
    assert!(one(&json!({"id": "a", "artifact_id": "a"})).is_ok());
    assert_eq!(
        one(&json!({"id": "a", "artifact_id": "b"})).unwrap_err(),
        "entry 0: `artifact_id` and `id` differ"
    );
}

#[test]
fn ttl_and_parameters_are_found_wherever_they_stand() {
    let ttl = |artifact: Value| one(&artifact).unwrap().hints.ttl.map(|ttl| ttl.as_secs());
    assert_eq!(ttl(json!({"id": "a", "ttl_sec": 60})), Some(60));
    assert_eq!(
        ttl(json!({"id": "a", "metadata": {"ttl_sec": "60"}})),
        Some(60)
    );
    assert_eq!(
        ttl(json!({"id": "a", "ttl_sec": 30, "metadata": {"ttl_sec": "60"}})),
        Some(30)
    );
    assert_eq!(
        ttl(json!({"id": "a", "ttl_sec": 60, "metadata": {"ttl_sec": "30"}})),
        Some(30)
    );
    assert_eq!(
        ttl(json!({"id": "a", "ttl_sec": 0, "metadata": {"ttl_sec": "0"}})),
        None
    );
    assert_eq!(ttl(json!({"id": "a", "metadata": null})), None);
    let parameters = |artifact: Value| one(&artifact).unwrap().hints.parameters.map(Value::Object);
    let wanted = Some(json!({"x": 1}));
    assert_eq!(
        parameters(json!({"id": "a", "parameters": {"x": 1}})),
        wanted
    );
    assert_eq!(
        parameters(json!({"id": "a", "metadata": {"parameters": "{\"x\":1}"}})),
        wanted
    );
    assert_eq!(parameters(json!({"id": "a", "parameters": null})), None);
}

#[test]
fn an_entry_that_cannot_be_read_hides_no_other_and_names_itself() {
    for (bad, problem) in [
        (
            json!({"id": "b", "ttl_sec": -1}),
            "`ttl_sec` is not a whole number",
        ),
        (
            json!({"id": "b", "ttl_sec": "60"}),
            "`ttl_sec` is not a whole number",
        ),
        (
            json!({"id": "b", "metadata": {"ttl_sec": "1h"}}),
            "`metadata.ttl_sec` is not a whole number",
        ),
        (
            json!({"id": "b", "metadata": {"parameters": "[]"}}),
            "`metadata.parameters` is not a JSON object in a text",
        ),
        (
            json!({"id": "b", "metadata": []}),
            "`metadata` is not an object",
        ),
        (
            json!({"id": "b", "parameters": []}),
            "`parameters` is not an object",
        ),
        (
            json!({"id": "b", "checksum": "abc"}),
            "`checksum` is not a SHA-256 in 64 hexadecimal digits",
        ),
        (
            json!({"id": "b", "signature": {}}),
            "`signature` is not a text",
        ),
        (
            json!({"id": "b", "size": 1.5}),
            "`size` is not a whole number",
        ),
        (
            json!({"id": "b", "metadata": {"aegis_manifest": "%"}}),
            "`metadata.aegis_manifest` is neither JSON nor base64",
        ),
        (
            json!({"id": "b", "metadata": {"aegis_signature": "x"}}),
            "`metadata.aegis_signature` has no manifest beside it",
        ),
        (json!({"id": "a"}), "is listed twice"),
    ] {
        let listing = read(&json!([{"id": "a"}, bad, {"id": "c"}]));
        assert_eq!(
            listing
                .artifacts
                .iter()
                .map(|artifact| artifact.id.as_str())
                .collect::<Vec<_>>(),
            ["a", "c"]
        );
        let name = bad["id"].as_str().unwrap();
        assert_eq!(
            listing.problems[0].to_string(),
            format!("entry 1 ({name}): {problem}")
        );
    }
}

#[test]
fn a_manifest_without_a_signature_stays_one() {
    let artifact = one(&json!({"id": "a", "metadata": {"aegis_manifest": "e30="}})).unwrap();
    let manifest = artifact.manifest.unwrap();
    assert_eq!(
        (manifest.manifest.as_slice(), manifest.signature.as_str()),
        (&b"{}"[..], "")
    );
}

#[test]
fn what_is_gone_is_counted_and_what_is_unreadable_is_not_gone() {
    let known = [id("a"), id("b"), id("c")];
    let missing = |listing: Value| {
        let missing = read(&listing).missing(&known);
        (
            missing
                .gone
                .into_iter()
                .map(|id| id.to_string())
                .collect::<Vec<_>>()
                .join(" "),
            missing.known,
        )
    };
    assert_eq!(
        missing(json!([{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}])),
        (String::new(), 3)
    );
    assert_eq!(missing(json!([{"id": "b"}])), ("a c".to_owned(), 3));
    assert_eq!(missing(json!(null)), ("a b c".to_owned(), 3));
    assert_eq!(
        missing(json!([{"id": "a", "size": "x"}])),
        ("b c".to_owned(), 3)
    );
    // An entry without a readable id may be any of them.
    assert_eq!(
        missing(json!([{"id": "a"}, {"name": "b"}])),
        (String::new(), 3)
    );
    let percent = |listing: Value| read(&listing).missing(&known).percent();
    assert_eq!(
        (
            percent(json!([{"id": "a"}, {"id": "b"}])),
            percent(json!(null))
        ),
        (34, 100)
    );
    assert_eq!(read(&json!(null)).missing(&[]).percent(), 0);
}

#[test]
fn the_next_poll_is_a_number_of_seconds_or_a_time() {
    let next = |value: Value| read(&json!({"artifacts": [], "next_poll": value})).next_poll;
    assert_eq!(
        next(json!(30)),
        Some(NextPoll::After(Duration::from_secs(30)))
    );
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_600_000);
    assert_eq!(next(json!("2026-01-05T08:00:00Z")), Some(NextPoll::At(at)));
    assert_eq!(
        (next(json!(-1)), next(json!("soon")), next(json!(null))),
        (None, None, None)
    );
}

#[test]
fn a_listing_of_many_entries_is_refused_and_one_of_ten_thousand_is_read() {
    let many = |count: usize| {
        json!(
            (0..count)
                .map(|n| json!({ "id": n.to_string() }))
                .collect::<Vec<_>>()
        )
        .to_string()
    };
    assert_eq!(
        Listing::from_json(many(10_000).as_bytes())
            .unwrap()
            .artifacts
            .len(),
        10_000
    );
    assert!(Listing::from_json(many(10_001).as_bytes()).is_err());
    assert!(Listing::from_json(&b"[".repeat(9 << 20)).is_err());
    assert!(
        Listing::from_json(&b"[".repeat(100_000)).is_err(),
        "nesting is bounded"
    );
}
