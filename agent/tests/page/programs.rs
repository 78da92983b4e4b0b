//! The page in the role aegis: programs, and what is wrong with them.

use std::path::Path;

use serde_json::json;

use crate::browser::Browser;
use crate::parts::{Agent, binary, connect, folder, free_port, wait_for};

/// An agent whose registry nobody has seen yet.
fn agent(folder: &Path) -> Agent {
    let port = free_port();
    let place = |name: &str| folder.join(name).display().to_string();
    let (port_text, state, cache) = (port.to_string(), place("state"), place("cache"));
    let args = [
        ["--role", "aegis"],
        ["--config", "/dev/null"],
        ["--host-id", "edge-7"],
        ["--registry-url", "http://127.0.0.1:1"],
        ["--signature-policy", "insecure-accept"],
        ["--metrics-port", &port_text],
        ["--programs-state-dir", &state],
        ["--cache-dir", &cache],
        ["--pins-dir", "off"],
    ];
    let agent = Agent::spawn(&mut binary(&args.concat()), port);
    connect(agent.port);
    agent
}

#[test]
fn programs_show_what_is_known_of_them_and_what_is_wrong() {
    if cfg!(not(feature = "aegis")) {
        return;
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = folder("aegis");
    let agent = agent(&folder);
    browser.open(agent.port);
    browser.live();
    browser.shows("#programs", "It is not known yet what should run here.");
    browser.shows("#servers", "does not answer");
    browser.shows("#problems", "programs-poll is failing");

    // What a registry could assign, in the form that docs/HTTP.md gives programs; between two readings of the host.
    let figures = json!({ "cpu_percent": 0.12, "memory_kb": 48, "packets_processed": 1_283_311, "violations": 3, "errors": null });
    let program = |name: &str, status: &str, error: Option<&str>| {
        json!({
            "artifact_id": "art-7f3a", "name": name, "version": "1.4.0", "status": status, "ttl_seconds": 2714,
            "telemetry": figures, "error": error,
        })
    };
    let programs = json!([
        program("drop-bogons", "running", None),
        program("<b>trace</b>", "failed", Some("the verifier refused it")),
    ]);
    browser.resize(390, 844, 1.0);
    let shown = wait_for("the state", || {
        let shown = browser.module(
            "agent",
            &format!(
                "(async () => {{ const told = await (await fetch('/events?once')).text(); \
                 const state = JSON.parse(told.split('\\n\\n').find((one) => one.startsWith('event: state')).split('\\ndata: ')[1]); \
                 state.programs.applied_artifacts = {programs}; it.setState(state); \
                 return [document.querySelector('#programs').innerText, document.querySelector('#problems').innerText, document.documentElement.scrollWidth] }})()"
            ),
        );
        shown.is_array().then_some(shown)
    });
    let table = shown[0].as_str().unwrap();
    for part in [
        "1 running, 1 failed",
        "drop-bogons 1.4.0",
        "45 min 14 s",
        "0.12 %",
        "<b>trace</b>",
    ] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
    let problems = shown[1].as_str().unwrap();
    assert!(
        problems.contains("<b>trace</b> 1.4.0 does not run")
            && problems.contains("the verifier refused it"),
        "{problems}"
    );
    assert!(shown[2].as_u64().unwrap() <= 390, "{shown}");
    assert_eq!(browser.log(), Vec::<String>::new());
    drop(agent);
    let _ = std::fs::remove_dir_all(folder);
}
