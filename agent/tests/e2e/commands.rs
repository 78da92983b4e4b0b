//! The commands beside the agent: completions in real shells, the manual page, errors, and what only a terminal gets.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use crate::parts::{Played, binary, folder};

pub(crate) fn run(args: &[&str]) -> Output {
    binary(args).output().unwrap()
}

pub(crate) fn text(args: &[&str]) -> String {
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
                "--version VERSION",
                &format!("{name} health"),
            ] {
                assert!(shown.contains(part), "{role} lacks {part}:\n{shown}");
            }
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}

#[test]
fn errors_about_files_say_why_and_what_to_do() {
    let folder = folder("errors");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (missing, log) = (path("missing"), path("missing/agent.log"));
    let state = path("state");
    for (args, code, parts) in [
        (
            vec!["--config", &missing],
            64,
            ["there is no such file", "name another one"],
        ),
        (
            vec!["--api-key-file", &missing],
            64,
            ["--api-key-file", "there is no such file"],
        ),
        (
            vec!["--http-token-file", &missing],
            64,
            ["--http-token-file", "there is no such file"],
        ),
        (
            vec!["--api-ca", &missing],
            64,
            ["--api-ca", "there is no such file"],
        ),
        (
            vec!["--config", folder.to_str().unwrap()],
            64,
            ["--config", "not a regular file"],
        ),
        (
            vec!["--log-file", &log],
            1,
            ["cannot open the log file", "or set --log-file"],
        ),
        (
            vec!["backlog", "--push-state-dir", &state],
            1,
            [&state, "--push-state-dir"],
        ),
        (
            vec!["programs", "inspect", &missing],
            1,
            [&missing, "there is no such file"],
        ),
        (
            vec!["ports", "allocate", "many"],
            64,
            ["'many'", "1 to 100"],
        ),
    ] {
        let output = run(&args);
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        for part in parts {
            assert!(said.contains(part), "{args:?} lacks {part:?}:\n{said}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_key_that_the_user_may_not_read_is_told_with_the_user_and_the_way_out() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let folder = folder("rights");
    let key = folder.join("key");
    std::fs::write(&key, "k\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = binary(&["--api-key-file", key.to_str().unwrap()]);
    match command.uid(65534).gid(65534).output() {
        Ok(output) => {
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(64), "{said}");
            assert!(
                said.contains("user 65534 may not read it") && said.contains("0640"),
                "{said}"
            );
        }
        // Not root, or the binary is where others may not look.
        Err(error) => println!("skipped: cannot run as another user: {error}"),
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// What a terminal shows of a command, up to `part` or to its end.
fn on_a_terminal(command: &str, env: &[(&str, &str)], part: &str) -> String {
    let mut child = Command::new("script")
        .args(["-qefc", command, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut bytes = [0; 1024];
    while !String::from_utf8_lossy(&shown).contains(part) {
        match out.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => shown.extend_from_slice(&bytes[..count]),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn colours_are_for_terminals_and_not_for_those_who_want_none() {
    if !is_there("script") {
        return;
    }
    let agent = env!("CARGO_BIN_EXE_sigma-agent");
    let check = format!(
        "{agent} check --config /dev/null --heartbeat=false --metrics-port 0 --hostname e2e-host"
    );
    let shown = on_a_terminal(&check, &[], "\u{1}");
    assert!(shown.contains("\u{1b}[32mok\u{1b}[0m"), "{shown:?}");
    for env in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let shown = on_a_terminal(&check, &env, "\u{1}");
        assert!(
            shown.contains("e2e-host") && !shown.contains('\u{1b}'),
            "{env:?}: {shown:?}"
        );
    }
    let output = run(&["check", "--heartbeat=false", "--metrics-port", "0"]);
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn what_takes_long_says_on_a_terminal_what_it_does() {
    if !is_there("script") {
        return;
    }
    let silent = Played::start(|_| None);
    let check = format!(
        "{} check --config /dev/null --api-url {} --metrics-port 0",
        env!("CARGO_BIN_EXE_sigma-agent"),
        silent.url()
    );
    let shown = on_a_terminal(&check, &[], "asking the Sigma API …");
    assert!(shown.contains("asking the Sigma API …"), "{shown:?}");
}
