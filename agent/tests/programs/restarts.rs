//! What outlives the agent, what does not, and what a start without the registry knows.

use bpf_artifact::{Manifest, OnAgentExit};
use serde_json::{Value, json};

use crate::ground::{Ground, Mailbox};
use crate::parts::{Agent, wait_for};
use crate::stand_ins::{
    Registry, Signer, agent, archive, becomes, drops, goes, manifest, on_here, page, program,
};

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

/// An update from a good version to one that costs too much, by an agent that has ended since.
struct Update {
    ground: Ground,
    registry: Registry,
    signer: Signer,
    mailbox: Mailbox,
    good: Vec<u8>,
    first: Manifest,
}

impl Update {
    fn new(on_agent_exit: OnAgentExit) -> Option<Self> {
        let ground = Ground::new()?;
        let (registry, signer, mailbox) = (Registry::start(), Signer::new(), Mailbox::new());
        let (good, hot) = (archive("guard"), archive("burn"));
        let first = Manifest {
            on_agent_exit,
            ..drops(&good, 1, &[mailbox.port()])
        };
        let mut second = manifest(&hot, "guard", 2);
        second.attach = vec![on_here("burn")];
        second.parameters = json!({ "rounds": 200_000 }).as_object().cloned();
        second.limits.max_cpu_percent = Some(2.0);
        registry.put("a7", &good, Some(&signer.sign(&first)));
        let update = Self {
            ground,
            registry,
            signer,
            mailbox,
            good,
            first,
        };
        let agent = update.agent();
        runs(&agent, 1);
        let second = update.signer.sign(&second);
        update.registry.put("a7", &hot, Some(&second));
        runs(&agent, 2);
        if page(&agent, "/status")["statistics"] == "off" {
            eprintln!("skipped: this kernel does not count run times");
            return None;
        }
        update.registry.polled(2);
        Some(update)
    }

    fn agent(&self) -> Agent {
        let key = self.signer.public();
        let more = ["--public-key", &key, "--rollback-mode", "previous"];
        let soon = ["--rollback-check-interval", "1", "--rollback-delay", "1"];
        agent(&self.ground, &self.registry.url(), &[more, soon].concat())
    }

    /// Whether the first version is at work.
    fn drops(&self) -> bool {
        self.ground.send(self.mailbox.port(), 5);
        self.mailbox.count() == 0
    }
}

/// Waits until this issue runs.
fn runs(agent: &Agent, serial: u64) {
    wait_for(&format!("issue {serial}"), || {
        let one = program(agent, "a7")?;
        (one["status"] == "running" && one["serial"] == serial).then_some(())
    });
}

#[test]
fn a_version_that_costs_too_much_gives_way_to_the_one_before_after_a_restart_too() {
    goes_back(OnAgentExit::Detach);
}

#[test]
fn the_one_before_is_there_after_a_restart_even_if_it_outlives_the_agent() {
    goes_back(OnAgentExit::Persist);
}

fn goes_back(on_agent_exit: OnAgentExit) {
    let Some(update) = Update::new(on_agent_exit) else {
        return;
    };
    let agent = update.agent();
    runs(&agent, 2);
    let flood = update.ground.flood(9);
    runs(&agent, 1);
    drop(flood);
    assert!(update.drops());
    let history = page(&agent, "/rollbacks")["rollbacks"].to_string();
    assert!(history.contains("high_cpu"), "{history}");
    // That the agent went back to an old issue lets nobody else bring one.
    let (registry, old) = (&update.registry, update.signer.sign(&update.first));
    registry.put("other", &update.good, Some(&old));
    assert_eq!(becomes(&agent, "other", "failed")["code"], "replayed");
    registry.remove("other");
    registry.polled(2);
    drop(agent);

    // It goes on after the next start: taken over, or loaded again while the newer one is barred.
    let agent = update.agent();
    runs(&agent, 1);
    registry.polled(2);
    runs(&agent, 1);
    assert!(update.drops());
    wait_for("the count", || {
        let told = page(&agent, "/telemetry")["telemetry"]["a7"]["violations"].as_u64();
        told.filter(|told| *told >= 5)
    });
}

#[test]
fn what_was_put_into_the_cache_is_not_returned_to_however_well_it_is_signed() {
    let Some(update) = Update::new(OnAgentExit::Detach) else {
        return;
    };
    let listing = update.ground.folder.join("cache/listing.json");
    let mut entries: Value = serde_json::from_slice(&std::fs::read(&listing).unwrap()).unwrap();
    let kept = entries
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|entry| entry["listed"] == false)
        .expect("the version before is in the cache");
    // Another issue of the same serial and the same bytes, that drops something else.
    let other = update.signer.sign(&drops(&update.good, 1, &[9]));
    kept["entry"]["metadata"] = json!(other.to_metadata());
    std::fs::write(&listing, entries.to_string()).unwrap();

    let agent = update.agent();
    runs(&agent, 2);
    let _flood = update.ground.flood(9);
    goes(&agent, "a7");
    assert!(!update.ground.has_xdp());
    agent.logged("is not here");
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
