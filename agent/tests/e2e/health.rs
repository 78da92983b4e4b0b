//! `health`: whether the agent that runs here is well.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use serde_json::Value;

use crate::commands::run;
use crate::parts::{Agent, Played, binary, folder, http};

/// A port on which nobody listens, nor can while this is held.
fn closed_port() -> (OwnedFd, u16) {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&held, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&held).unwrap()).unwrap();
    (held, address.port())
}

#[test]
fn health_is_that_of_the_agent_behind_any_of_the_ports() {
    let agent = Agent::start("http://127.0.0.1:9/api", &[]);
    agent.get("/healthz");
    let (_held, closed) = closed_port();
    let ports = format!("{closed},{}", agent.port);
    let output = run(&["health", "--metrics-port", &ports]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("healthy: ") && said.ends_with("says ok\n"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
    let output = run(&["health", "--metrics-port", &ports, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["healthy"], &said["status"]),
        (&Value::Bool(true), &200.into())
    );
}

#[test]
fn health_needs_no_token_and_says_nothing_of_unrelated_options() {
    let token = folder("token").join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let agent = Agent::start(
        "http://127.0.0.1:9/api",
        &["--http-token-file", token.to_str().unwrap()],
    );
    agent.get("/healthz");
    // Who asks may not be allowed to read it.
    let output = binary(&["health", "--metrics-port", &agent.port.to_string()])
        .env("AGENT_HTTP_TOKEN_FILE", "/nonexistent/token")
        .env("AGENT_INTERVAL", "nonsense")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_no_agent_or_says_nothing_is_not_healthy() {
    let stranger = Played::start(|_| Some(http("200 OK", "", "<html>welcome</html>")));
    let degraded = Played::start(|_| {
        let body = r#"{"status":"degraded","problems":["no bpffs"]}"#;
        Some(http("503 Service Unavailable", "", body))
    });
    let (_held, closed) = closed_port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    for (port, part) in [
        (closed, "nothing listens there"),
        (stranger.port, "another program"),
        (degraded.port, "says degraded: no bpffs"),
        (silent_port, "no answer in time"),
    ] {
        let output = run(&[
            "health",
            "--metrics-address",
            "127.0.0.1",
            "--metrics-port",
            &port.to_string(),
            "--timeout",
            "1",
        ]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            said.starts_with("not healthy: ") && said.contains(part),
            "{said}"
        );
        assert!(said.contains("; "), "it says what to do: {said}");
    }
    let output = run(&["health", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn an_agent_without_a_port_is_seen_as_a_process_alone() {
    let proc = folder("proc");
    let put = |id: &str, words: &[&str]| {
        std::fs::create_dir_all(proc.join(id)).unwrap();
        let line: String = words.iter().map(|word| format!("{word}\0")).collect();
        std::fs::write(proc.join(id).join("cmdline"), line).unwrap();
    };
    put("8", &["sshd"]);
    put("9", &["/usr/bin/lunasentri-agent", "check"]);
    let health = || {
        run(&[
            "health",
            "--role",
            "luna",
            "--host-proc",
            proc.to_str().unwrap(),
        ])
    };
    let output = health();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    put(
        "7",
        &[
            "/usr/bin/lunasentri-agent",
            "--config",
            "/etc/lunasentri/agent.yaml",
        ],
    );
    let output = health();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("process 7") && said.contains("not known"),
        "{said}"
    );
    std::fs::remove_dir_all(proc).unwrap();
}
