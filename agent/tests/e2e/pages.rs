//! The metrics page under the eyes of those who read such pages for a living: our lint, promtool, and the official strict parser.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use promexport::{Format, lint};

use crate::parts::{Agent, Holder, ask};
use crate::ports::scanning;

const STRICT: &str = "import sys\n\
    from prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
    print(sum(len(f.samples) for f in text_string_to_metric_families(sys.stdin.read())))";

/// Gives `page` to a program; `None` where that is not installed.
fn read_by(program: &str, args: &[&str], page: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

fn page(agent: &Agent, accept: &str) -> String {
    ask(
        agent.port,
        &format!(
            "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        ),
    )
    .body
}

/// Every reader is content with both forms of the agent's page.
fn check(agent: &Agent) {
    let text = page(agent, "text/plain;version=0.0.4");
    assert_eq!(lint(text.as_bytes(), Format::TEXT), [], "{text}");
    let open = page(agent, "application/openmetrics-text;version=1.0.0");
    assert_eq!(lint(open.as_bytes(), Format::OPEN_METRICS), [], "{open}");
    match read_by("promtool", &["check", "metrics"], &text) {
        None => println!("skipped: promtool is not installed"),
        Some((content, said)) => assert!(content && said.is_empty(), "promtool: {said}"),
    }
    let strict = ["python3", "/usr/bin/python3"].iter().find(|python| {
        read_by(python, &["-c", "import prometheus_client"], "").is_some_and(|(there, _)| there)
    });
    match strict.and_then(|python| read_by(python, &["-c", STRICT], &open)) {
        None => println!("skipped: python3 has no prometheus_client"),
        Some((content, said)) => assert!(content, "the strict parser: {said}"),
    }
}

#[test]
fn of_a_live_agent() {
    check(&scanning(&["--port-scan-range", "1024-65535"]));
}

#[test]
fn of_other_hosts() {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/sysinfo-linux/tests/fixtures/"
    );
    for host in [
        "debian",
        "zfs",
        "openvz",
        "mounts",
        "kernel-3.10",
        "cores-256",
    ] {
        let root = format!("{fixtures}{host}");
        check(&scanning(&["--host-root", &root]));
    }
}

/// A process can call itself anything: the page has to stay readable all the same.
#[test]
fn of_a_host_with_evil_names() {
    let _holder = Holder::start(OsStr::from_bytes(b"evil\xff\"\n\\x"));
    let agent = scanning(&["--port-scan-range", "1024-65535"]);
    check(&agent);
    let told = page(&agent, "text/plain");
    assert!(
        told.contains("process=\"evil\u{fffd}\\\"\\n\\\\x\""),
        "{told}"
    );
}
