//! What outlives the agent, what does not, and what a start without the registry knows.

use crate::ground::{Ground, Mailbox};
use crate::parts::wait_for;
use crate::stand_ins::{Registry, Signer, agent, archive, becomes, drops, goes, page, program};

#[test]
fn a_persisting_program_works_on_without_the_agent_and_is_taken_over_with_what_is_left_of_its_time()
{
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, mailbox) = (Registry::start(), Signer::new(), Mailbox::new());
    let archive = archive("guard");
    let mut manifest = drops(&archive, 1, &[mailbox.port()]);
    manifest.on_agent_exit = bpf_artifact::OnAgentExit::Persist;
    registry.put("a7", &archive, Some(&signer.sign(&manifest)));
    let more = ["--public-key", &signer.public()];
    let mut first = agent(&ground, &registry.url(), &more);
    let before = becomes(&first, "a7", "running");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    ground.send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 0, "nobody is there, and still it drops");

    registry.away(true);
    let mut second = agent(&ground, &registry.url(), &more);
    let after = becomes(&second, "a7", "running");
    assert_eq!(before["links"], after["links"], "the same link");
    assert_eq!(before["loaded_at"], after["loaded_at"]);
    let left = |program: &serde_json::Value| program["ttl_seconds"].as_u64().unwrap();
    assert!(left(&after) <= left(&before));
    // Its counters can be read again.
    ground.send(mailbox.port(), 10);
    wait_for("the count", || {
        let told = page(&second, "/telemetry")["telemetry"]["a7"]["violations"].clone();
        (told == 20).then_some(())
    });
    // A word to stop ends the agent, and not what persists.
    second.signal("TERM");
    assert!(second.end().success());
    ground.send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 0);
    registry.away(false);
    registry.remove("a7");
    let third = agent(&ground, &registry.url(), &more);
    third.logged("unassigned");
    assert!(!ground.has_xdp());
    assert!(ground.pins().is_empty(), "{:?}", ground.pins());
}

#[test]
fn without_the_registry_what_was_assigned_is_loaded_from_the_cache_and_an_outage_unloads_nothing() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, mailbox) = (Registry::start(), Signer::new(), Mailbox::new());
    let archive = archive("guard");
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 1, &[mailbox.port()]))),
    );
    let more = ["--public-key", &signer.public()];
    let mut first = agent(&ground, &registry.url(), &more);
    becomes(&first, "a7", "running");
    registry.away(true);
    wait_for("the outage to be noticed", || {
        (page(&first, "/healthz")["registry_answers"] == false).then_some(())
    });
    assert_eq!(first.get("/healthz").status, 200);
    assert!(program(&first, "a7").is_some_and(|one| one["status"] == "running"));
    first.signal("TERM");
    assert!(first.end().success());
    assert!(
        !ground.has_xdp(),
        "what does not persist goes with the agent"
    );
    let second = agent(&ground, &registry.url(), &more);
    becomes(&second, "a7", "running");
    ground.send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 0);
    drop(second);

    // A cached archive is judged like any other: other keys, other judgement.
    let third = agent(
        &ground,
        &registry.url(),
        &["--public-key", &Signer::new().public()],
    );
    becomes(&third, "a7", "failed");
    assert!(!ground.has_xdp());
}

#[test]
fn the_newest_takes_the_place_of_the_oldest_and_a_protected_one_stays() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let archive = archive("traces");
    let named = |name: &str, protected: bool| {
        let mut manifest = crate::stand_ins::manifest(&archive, name, 1);
        manifest.protected = protected;
        manifest.attach = vec![bpf_artifact::Attach {
            program: "by_clock".to_owned(),
            to: bpf_artifact::Target::Clock { frequency_hz: 10 },
        }];
        signer.sign(&manifest)
    };
    let more = ["--public-key", &signer.public(), "--max-programs", "2"];
    let agent = agent(&ground, &registry.url(), &more);
    registry.put("one", &archive, Some(&named("one", true)));
    wait_for("the first", || {
        let one = program(&agent, "one")?;
        if one["status"] == "failed" {
            eprintln!("skipped: this kernel does not take it: {}", one["error"]);
        }
        Some(())
    });
    if program(&agent, "one").unwrap()["status"] == "failed" {
        return;
    }
    registry.put("two", &archive, Some(&named("two", false)));
    becomes(&agent, "two", "running");
    registry.put("three", &archive, Some(&named("three", false)));
    becomes(&agent, "three", "running");
    goes(&agent, "two");
    agent.logged("evicted");
    becomes(&agent, "one", "running");
    registry.polled(2);
    goes(&agent, "two");
}
