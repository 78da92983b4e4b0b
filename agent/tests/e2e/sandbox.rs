//! What the running agent has taken from itself, as the kernel tells it from outside.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;

use serde_json::Value;
use sigma_lab::Role;

use crate::parts::{Agent, Api, binary, folder, wait_for};

/// A line of `/proc/PID/status`.
fn told(agent: &Agent, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap().trim().to_owned()
}

fn capabilities(agent: &Agent, set: &str) -> u64 {
    u64::from_str_radix(&told(agent, set), 16).unwrap()
}

const SYS_PTRACE_AND_DAC_READ_SEARCH: u64 = 1 << 19 | 1 << 2;

#[test]
fn after_its_start_it_has_no_rights_it_does_not_need() {
    let api = Api::start();
    let key = api.key(Role::Agent);
    let agent = Agent::start(&api.url(), &["--api-key", &key]);
    let sandbox = agent.status()["sandbox"].clone();
    api.registered();
    assert_eq!(
        (told(&agent, "NoNewPrivs"), told(&agent, "Seccomp")),
        ("1".into(), "2".into())
    );
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(capabilities(&agent, set), 0, "{set}");
    }
    assert_eq!(sandbox["capabilities"], Value::Array(Vec::new()));
    assert!(sandbox["refused_system_calls"].as_u64().unwrap() > 60);
    match sandbox["in_force"].as_str().unwrap() {
        "whole" => assert!(sandbox["files"]["rules"].as_u64().unwrap() > 5),
        part => println!("skipped: only {part} is in force here: {sandbox}"),
    }

    let off = Agent::start(&api.url(), &["--api-key", &key, "--sandbox", "off"]);
    assert_eq!(off.status()["sandbox"]["in_force"], "off");
    assert_eq!(
        (told(&off, "NoNewPrivs"), told(&off, "Seccomp")),
        ("0".into(), "0".into())
    );
}

#[test]
fn owners_of_ports_are_told_as_before_and_take_two_capabilities() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: owners of other users' ports take root");
    }
    // A process of another user holds the socket, and nobody else does.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut other = Command::new("setpriv");
    other.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "sleep",
        "600",
    ]);
    let started = other.stdin(OwnedFd::from(listener)).spawn();
    // It holds the socket for as long as it lives.
    drop(other);
    let Ok(mut other) = started else {
        return println!("skipped: setpriv is not installed");
    };
    let range = format!("{port}-{port}");
    let found = ["proc", "ss"].map(|how| {
        let arguments = [
            "--port-scan",
            "--port-scan-range",
            &range,
            "--attribution",
            how,
        ];
        let agent = Agent::start("http://127.0.0.1:1/api", &arguments);
        let page = wait_for("a scan", || {
            Some(agent.get("/ports")).filter(|page| page.status == 200)
        });
        let missing = agent.status()["sandbox"]["missing"].to_string();
        assert!(missing.contains("--attribution off"), "{missing}");
        (page.body, capabilities(&agent, "CapEff"))
    });
    let _ = other.kill();
    let _ = other.wait();
    for (page, left) in found {
        assert!(page.contains("\"sleep\""), "{page}");
        assert_eq!(left, SYS_PTRACE_AND_DAC_READ_SEARCH);
    }
}

#[test]
fn a_key_that_is_replaced_is_read_and_a_new_place_takes_a_restart() {
    let api = Api::start();
    let place = folder("keys");
    let (key, config) = (place.join("key"), place.join("agent.yaml"));
    let elsewhere = folder("elsewhere").join("key");
    for path in [&key, &elsewhere] {
        std::fs::write(path, api.key(Role::Agent)).unwrap();
    }
    let write = |path: &std::path::Path| {
        // As an editor does it: another file in the old one's place.
        let draft = place.join("draft");
        std::fs::write(&draft, format!("api_key_file: {}\n", path.display())).unwrap();
        std::fs::rename(&draft, &config).unwrap();
    };
    write(&key);
    let agent = Agent::start(&api.url(), &["--config", config.to_str().unwrap()]);
    let record = api.registered();
    let fresh = place.join("fresh");
    std::fs::write(&fresh, api.key(Role::Agent)).unwrap();
    std::fs::rename(&fresh, &key).unwrap();
    write(&key);
    agent.signal("HUP");
    agent.logged("configuration reloaded");
    api.beat_after(&record);
    if agent.status()["sandbox"]["files"].is_null() {
        return println!("skipped: this kernel has no Landlock");
    }
    write(&elsewhere);
    agent.signal("HUP");
    agent.logged("out of the sandbox's reach");
    let record = api.registered();
    api.beat_after(&record);
}

#[test]
fn the_metrics_are_the_same_as_without_it() {
    let families = |mode: &str| -> BTreeSet<String> {
        let agent = Agent::start(
            "http://127.0.0.1:1/api",
            &[
                "--sandbox",
                mode,
                "--node-compat",
                "--port-scan",
                "--attribution",
                "off",
            ],
        );
        agent.heartbeat_fails("");
        wait_for("a scan", || {
            (agent.get("/ports").status == 200).then_some(())
        });
        let page = agent.get("/metrics").body;
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names.map(str::to_owned).collect()
    };
    let without = families("off");
    assert!(without.len() > 100, "{without:?}");
    assert_eq!(families("auto"), without);
}

#[test]
fn check_tells_what_would_be_in_force() {
    let check = |more: &[&str]| {
        let mut words = vec![
            "check",
            "--config",
            "/dev/null",
            "--api-url",
            "http://127.0.0.1:1/api",
            "--json",
        ];
        words.extend(more);
        let output = binary(&words).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .find(|finding| finding["about"] == "sandbox")
            .unwrap()
    };
    let finding = check(&[]);
    assert!(
        finding["what"]
            .as_str()
            .unwrap()
            .contains("system calls refused"),
        "{finding}"
    );
    assert_eq!(check(&["--sandbox", "off"])["verdict"], "look");
}
