//! What is not trusted does not reach the kernel, and it is said why.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ground::Ground;
use crate::listener::Listener;
use crate::nats_server::NatsServer;
use crate::parts::{binary, free_port, wait_for};
use crate::stand_ins::{
    HOST, Registry, Signer, Vault, agent, archive, becomes, drops, goes, manifest, page,
};

/// A zstd frame of raw blocks.
fn zstd(content: &[u8]) -> Vec<u8> {
    let mut frame = head(content.len());
    let blocks: Vec<&[u8]> = content.chunks(100_000).collect();
    for (number, block) in blocks.iter().enumerate() {
        let last = u32::from(number + 1 == blocks.len());
        let head = last | u32::try_from(block.len()).unwrap() << 3;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.extend(*block);
    }
    frame
}

/// An archive of a few hundred bytes that says of each block in four bytes that it is 100,000 times the same byte.
fn bomb(blocks: u32) -> Vec<u8> {
    let content = 100_000 * usize::try_from(blocks).unwrap();
    let mut frame = head(512 + content);
    frame.extend(&(512_u32 << 3).to_le_bytes()[..3]);
    frame.extend(&tar("program.o", &vec![0; content])[..512]);
    for number in 0..blocks {
        let head = u32::from(number + 1 == blocks) | 1 << 1 | 100_000 << 3;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Magic, a header with a window of 8 MiB and the length of the content in four bytes.
fn head(length: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x68];
    frame.extend(u32::try_from(length).unwrap().to_le_bytes());
    frame
}

/// A tar of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

#[test]
fn what_is_not_right_is_refused_with_its_reason_and_nothing_reaches_the_kernel() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, stranger) = (Registry::start(), Signer::new(), Signer::new());
    let archive = archive("guard");
    let manifest = drops(&archive, 5, &[9]);
    let signed = signer.sign(&manifest);

    registry.put("wrong-key", &archive, Some(&stranger.sign(&manifest)));
    registry.put("no-manifest", &archive, None);
    let mut stripped = signed.clone();
    stripped.signature.clear();
    registry.put("stripped", &archive, Some(&stripped));
    let mut flipped = archive.clone();
    flipped[100] ^= 1;
    registry.put("flipped-archive", &flipped, Some(&signed));
    let mut altered = signed.clone();
    let place = altered
        .manifest
        .iter()
        .position(|byte| *byte == b'5')
        .unwrap();
    altered.manifest[place] = b'6';
    registry.put("flipped-manifest", &archive, Some(&altered));
    let mut elsewhere = manifest.clone();
    elsewhere.hosts = vec!["db-03".to_owned()];
    registry.put("other-host", &archive, Some(&signer.sign(&elsewhere)));
    let bomb = bomb(30);
    registry.put(
        "bomb",
        &bomb,
        Some(&signer.sign(&self::manifest(&bomb, "bomb", 1))),
    );
    let escaping = zstd(&tar("../program.o", b"x"));
    registry.put(
        "escaping",
        &escaping,
        Some(&signer.sign(&self::manifest(&escaping, "escaping", 1))),
    );

    let nats = NatsServer::start(free_port());
    let mut listener = nats.as_ref().map(Listener::at);
    let nats_url = nats.as_ref().map_or("off".to_owned(), NatsServer::url);
    let key = signer.public();
    let more = ["--public-key", &key, "--nats-url", &nats_url];
    let agent = agent(&ground, &registry.url(), &more);
    let mut refused = BTreeMap::new();
    for (id, code, words) in [
        ("wrong-key", "unknown_key", "not among the trusted keys"),
        ("no-manifest", "no_manifest", "no signed manifest"),
        ("stripped", "no_signature", "no signature"),
        ("flipped-archive", "other_archive", "its manifest is about"),
        (
            "flipped-manifest",
            "bad_signature",
            "fits none of the 1 keys",
        ),
        ("other-host", "other_host", HOST),
        ("bomb", "over_limit", "decompressed size over"),
        ("escaping", "bad_entry", "../program.o"),
    ] {
        let failed = becomes(&agent, id, "failed");
        let error = failed["error"].as_str().unwrap();
        println!("{id}: {} {error}", failed["code"]);
        assert!(error.contains(words), "{id}: {error}");
        assert_eq!(failed["code"], code, "{failed}");
        refused.insert(id, failed);
    }
    // Each is told, with the reason.
    while let Some(listener) = &mut listener
        && !refused.is_empty()
    {
        let is_error = |message: &Value| message["type"] == "program_error";
        let (_, event) = listener.hears_until(is_error).pop().unwrap();
        assert_eq!(event["data"]["status"], "failed");
        let id = event["data"]["artifact_id"].as_str().unwrap();
        if let Some(failed) = refused.remove(id) {
            assert_eq!(event["metadata"]["error"], failed["error"]);
            assert_eq!(event["metadata"]["code"], failed["code"]);
        }
    }
    // The right one, and then what came before it.
    registry.put("right", &archive, Some(&signed));
    becomes(&agent, "right", "running");
    registry.put(
        "replayed",
        &archive,
        Some(&signer.sign(&drops(&archive, 4, &[9]))),
    );
    let failed = becomes(&agent, "replayed", "failed");
    assert_eq!(failed["code"], "replayed", "{failed}");
    assert_eq!(page(&agent, "/healthz")["loaded_programs"], 1);

    registry.remove("right");
    goes(&agent, "right");
    assert!(!ground.has_xdp());
    // Each was fetched once: what is refused for good is not asked for again.
    let downloads = registry.downloads();
    registry.polled(3);
    assert_eq!(registry.downloads(), downloads);
    let page = agent.get("/metrics?format=prometheus").body;
    assert!(page.contains("sigma_programs_refusals_total{"), "{page}");
}

#[test]
fn a_key_that_vault_revokes_ends_what_it_signed() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, next) = (Registry::start(), Signer::new(), Signer::new());
    let vault = Vault::start(&signer.0);
    let archive = archive("guard");
    let manifest = drops(&archive, 1, &[9]);
    registry.put("a7", &archive, Some(&signer.sign(&manifest)));
    let arguments = vault.arguments(&ground);
    let mut more = vec!["--vault-key", "signing"];
    more.extend(arguments.iter().map(String::as_str));
    let agent = agent(&ground, &registry.url(), &more);
    let running = becomes(&agent, "a7", "running");
    assert!(
        running["signed_by"]
            .as_str()
            .unwrap()
            .starts_with("transit/signing v1")
    );
    vault.revoke_first(&next.0);
    goes(&agent, "a7");
    assert!(!ground.has_xdp());
    agent.logged("is not trusted any more");
    let refused = becomes(&agent, "a7", "failed");
    assert_eq!(refused["code"], "unknown_key");
    // Signed anew by the key that counts, it is a new issue.
    registry.put("a7", &archive, Some(&next.sign(&drops(&archive, 2, &[9]))));
    let running = becomes(&agent, "a7", "running");
    assert!(
        running["signed_by"]
            .as_str()
            .unwrap()
            .starts_with("transit/signing v2")
    );
}

#[test]
fn keys_in_a_kv_store_count_until_its_secret_has_others() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, next) = (Registry::start(), Signer::new(), Signer::new());
    let vault = Vault::start(&Signer::new().0);
    vault.keep(&[&signer]);
    let archive = archive("guard");
    let issue = |serial| drops(&archive, serial, &[9]);
    registry.put("a7", &archive, Some(&signer.sign(&issue(1))));
    let arguments = vault.arguments(&ground);
    let mut more = vec!["--vault-kv-path", "bpf-registry/signer"];
    more.extend(["--vault-kv-field", "keys"]);
    more.extend(arguments.iter().map(String::as_str));
    const SOURCE: &str = "secret/bpf-registry/signer#keys";
    let first = agent(&ground, &registry.url(), &more);
    let running = becomes(&first, "a7", "running");
    assert!(running["signed_by"].as_str().unwrap().starts_with(SOURCE));
    let sources = page(&first, "/status")["key_sources"].clone();
    assert_eq!(sources[0]["source"], SOURCE);
    assert_eq!(sources[0]["keys"], 1);
    let mut check = vec!["check", "--role", "aegis", "--registry-url"];
    let registry_url = registry.url();
    check.push(&registry_url);
    check.extend(&more);
    let said = binary(&check).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(&format!("1 keys in {SOURCE}")), "{said}");

    // A secret that is away is no word about keys, neither for what runs nor at the next start.
    vault.keep(&[]);
    let failing = wait_for("the keys' loop to fail", || {
        Some(first.task("programs-keys")).filter(|task| task["state"] == "failing")
    });
    let why = failing["last_error"]["message"].as_str().unwrap();
    assert!(why.contains("the secret is deleted"), "{why}");
    becomes(&first, "a7", "running");
    drop(first);
    let second = agent(&ground, &registry.url(), &more);
    becomes(&second, "a7", "running");

    vault.keep(&[&next]);
    goes(&second, "a7");
    assert!(!ground.has_xdp());
    second.logged("is not trusted any more");
    assert_eq!(becomes(&second, "a7", "failed")["code"], "unknown_key");
    registry.put("a7", &archive, Some(&next.sign(&issue(2))));
    becomes(&second, "a7", "running");
}

#[test]
fn without_keys_nothing_runs_and_an_insecure_policy_shows_everywhere() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let archive = archive("guard");
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 1, &[9]))),
    );
    let closed = agent(&ground, &registry.url(), &[]);
    let failed = becomes(&closed, "a7", "failed");
    assert_eq!(failed["code"], "no_keys");
    drop(closed);
    let open = agent(
        &ground,
        &registry.url(),
        &["--signature-policy", "insecure-accept"],
    );
    let running = becomes(&open, "a7", "running");
    assert_eq!(running["trust"], "unverified");
    assert_eq!(
        page(&open, "/healthz")["signature_policy"],
        "insecure-accept"
    );
    assert_eq!(
        page(&open, "/status")["signature_policy"],
        "insecure-accept"
    );
    assert!(
        open.get("/metrics?format=prometheus")
            .body
            .contains("policy=\"insecure-accept\"} 1")
    );
    open.logged("insecure-accept");
}
