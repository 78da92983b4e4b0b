//! The commands beside the agent: completions in real shells, the manual page, health.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::parts::{Agent, Played, binary, folder, free_port, http};

fn run(args: &[&str]) -> Output {
    binary(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a program can be run here.
fn is_there(program: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success();
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// What a shell offers after these words; the last is the one that is being typed.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let function = script
        .lines()
        .find_map(|line| line.trim().strip_prefix("complete -F ")?.split(' ').next())
        .unwrap();
    let current = words[words.len() - 1];
    let before = words[words.len() - 2];
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let asking = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}\n{function} '{}' '{current}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        quoted.join(" "),
        words.len() - 1,
        words[0],
    );
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(asking.as_bytes())
        .unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    if !is_there("bash") {
        return;
    }
    let script = text(&["completions", "bash"]);
    let of = |words: &[&str]| offered(&script, words);
    assert_eq!(of(&["sigma-agent", "comp"]), ["completions"]);
    assert_eq!(of(&["sigma-agent", "ports", "all"]), ["allocate"]);
    assert_eq!(
        of(&["sigma-agent", "--role", ""]),
        ["sigma", "luna", "guest", "aegis"]
    );
    assert_eq!(of(&["sigma-agent", "check", "--log-format", "j"]), ["json"]);
    assert_eq!(of(&["sigma-agent", "completions", "z"]), ["zsh"]);
    assert_eq!(of(&["sigma-agent", "programs", "ver"]), ["verify"]);
    let options = of(&["sigma-agent", "--api-"]);
    for option in ["--api-url", "--api-key", "--api-key-file"] {
        assert!(options.iter().any(|one| one == option), "{options:?}");
    }
    // A switch is complete by itself: what comes after it is no value of it.
    let after = of(&["sigma-agent", "--port-scan", "--port-scan-r"]);
    assert_eq!(after, ["--port-scan-range"]);

    let luna = text(&["completions", "bash", "--role", "luna"]);
    let options = offered(&luna, &["lunasentri-agent", "--server"]);
    assert_eq!(options, ["--server-url"]);
}

#[test]
fn completions_are_right_for_every_shell_that_is_here() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        if !is_there(shell) {
            continue;
        }
        for role in ["sigma", "luna", "guest", "aegis"] {
            let script = folder("completions").join(shell);
            std::fs::write(&script, text(&["completions", shell, "--role", role])).unwrap();
            let output = Command::new(shell)
                .arg(check)
                .arg(&script)
                .output()
                .unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{shell} {role}: {output:?}"
            );
            std::fs::remove_dir_all(script.parent().unwrap()).unwrap();
        }
    }
    if is_there("fish") {
        let script = text(&["completions", "fish"]);
        for words in ["sigma-agent --role ", "sigma-agent health --role "] {
            let asking = format!("{script}\ncomplete -C '{words}'\n");
            let output = Command::new("fish")
                .args(["--no-config", "-c", &asking])
                .output()
                .unwrap();
            let offered = String::from_utf8(output.stdout).unwrap();
            let offered: Vec<&str> = offered.lines().map(str::trim).collect();
            assert_eq!(offered, ["aegis", "guest", "luna", "sigma"], "{words}");
        }
    }
}

#[test]
fn the_manual_page_of_every_role_is_without_fault() {
    for (role, name) in [
        ("sigma", "sigma-agent"),
        ("luna", "lunasentri-agent"),
        ("guest", "guest-agent"),
        ("aegis", "local-agent"),
    ] {
        let page = text(&["man", "--role", role]);
        assert!(page.starts_with(".TH \""), "{page:.80}");
        let titles = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "ROLES",
            "COMMANDS",
            "OPTIONS",
            "FILES",
            "ENVIRONMENT",
            "EXIT STATUS",
            "SIGNALS",
            "EXAMPLES",
            "SEE ALSO",
        ];
        for title in titles {
            assert!(
                page.contains(&format!(".SH \"{title}\"\n")),
                "{role}: {title}"
            );
        }
        let path = folder("man").join(format!("{name}.8"));
        std::fs::write(&path, &page).unwrap();
        if is_there("mandoc") {
            let lint = Command::new("mandoc")
                .args(["-Tlint", "-W", "warning"])
                .arg(&path)
                .output()
                .unwrap();
            assert!(lint.stdout.is_empty() && lint.stderr.is_empty(), "{lint:?}");
        }
        if is_there("man") {
            let shown = Command::new("man")
                .args(["--warnings", "-E", "UTF-8", "-l"])
                .arg(&path)
                .env("LC_ALL", "C.UTF-8")
                .env("MANWIDTH", "100")
                .env("MAN_KEEP_FORMATTING", "")
                .output()
                .unwrap();
            assert!(
                shown.status.success() && shown.stderr.is_empty(),
                "{shown:?}"
            );
            let shown = String::from_utf8(shown.stdout).unwrap();
            for part in [
                "SIGHUP",
                "--metrics-port PORT",
                "AGENT_METRICS_PORT",
                &format!("{name} health"),
            ] {
                assert!(shown.contains(part), "{role} lacks {part}:\n{shown}");
            }
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}

#[test]
fn health_is_that_of_the_agent_behind_any_of_the_ports() {
    let agent = Agent::start("http://127.0.0.1:9/api", &[]);
    agent.get("/healthz");
    let closed = free_port();
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
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    for (port, part) in [
        (free_port(), "nothing listens there"),
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
