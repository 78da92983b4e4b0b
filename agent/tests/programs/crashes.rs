//! Killed at any instant, the agent leaves nothing behind that it does not know, and no gap in what persists.

use std::time::Duration;

use crate::ground::{Ground, Mailbox};
use crate::parts::wait_for;
use crate::stand_ins::{Registry, Signer, agent, archive, becomes, drops, goes};

/// How often the agent is killed; `SIGMA_TEST_KILLS=200` for a thorough run.
fn kills() -> u64 {
    let given = std::env::var("SIGMA_TEST_KILLS").ok();
    given.map_or(12, |given| given.parse().unwrap())
}

#[test]
fn killed_at_any_instant_it_leaves_no_leak_and_no_gap() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer, mailbox) = (Registry::start(), Signer::new(), Mailbox::new());
    let archive = archive("guard");
    let issue = |serial: u64| {
        // Every other issue has a constant of its own, so that it has to be loaded anew.
        let mut manifest = drops(&archive, serial, &[mailbox.port()]);
        let parameters = manifest.parameters.as_mut().unwrap();
        parameters.insert("drop_port".to_owned(), (serial % 2 + 1).into());
        manifest.on_agent_exit = bpf_artifact::OnAgentExit::Persist;
        signer.sign(&manifest)
    };
    registry.put("a7", &archive, Some(&issue(1)));
    let more = ["--public-key", &signer.public()];
    let mut running = agent(&ground, &registry.url(), &more);
    becomes(&running, "a7", "running");
    let kills = kills();
    for number in 0..kills {
        registry.put("a7", &archive, Some(&issue(number + 2)));
        // Anything between at once and after two polls, spread over the runs.
        let wait = Duration::from_millis(number * 733 % 1500);
        std::thread::sleep(wait);
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        ground.send(mailbox.port(), 5);
        assert_eq!(mailbox.count(), 0, "a gap after kill {number}");
        running = agent(&ground, &registry.url(), &more);
    }
    let last = kills + 1;
    wait_for("the last issue", || {
        let one = crate::stand_ins::program(&running, "a7")?;
        (one["serial"] == last).then_some(())
    });
    let live: Vec<String> = ground.pins();
    assert_eq!(live.len(), 1, "{live:?}");
    registry.remove("a7");
    goes(&running, "a7");
    assert!(!ground.has_xdp());
    wait_for("the pins to go", || ground.pins().is_empty().then_some(()));
}
