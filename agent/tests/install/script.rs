//! The script as a text: what shells and people make of it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::machine::{ended, install_from_outside, script};
use crate::parts::folder;

#[test]
fn shells_and_shellcheck_find_no_fault() {
    let openrc = script().with_file_name("openrc");
    let services = std::fs::read_dir(openrc)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let all: Vec<_> = services.chain([script()]).collect();
    assert!(all.len() > 4, "{all:?}");
    for (shell, words) in [
        ("sh", &["-n"][..]),
        ("dash", &["-n"]),
        ("busybox", &["ash", "-n"]),
        ("bash", &["--posix", "-n"]),
        // Variables of OpenRC's scripts are read by those who call them.
        ("shellcheck", &["--shell=sh", "--exclude=SC2034"]),
    ] {
        if Command::new(shell).arg("--help").output().is_err() {
            println!("skipped: needs {shell}");
            continue;
        }
        for path in &all {
            ended(Command::new(shell).args(words).arg(path)).well();
        }
    }
}

/// As `curl | sh` would run it after a connection that broke.
#[test]
fn a_script_that_was_cut_off_does_nothing() {
    let text = std::fs::read(script()).unwrap();
    let whole = text.iter().rposition(|byte| *byte == b'}').unwrap();
    let last_lines = whole.saturating_sub(40)..whole;
    for cut in (0..whole).step_by(997).chain(last_lines) {
        let mut child = Command::new("sh")
            .args(["-s", "--", "--help"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The shell may have given up before it read all.
        let _ = child.stdin.take().unwrap().write_all(&text[..cut]);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.is_empty(), "cut at {cut} it said: {said}");
    }
    let mut whole = Command::new("sh");
    whole.args(["-s", "--", "--help"]);
    whole.stdin(std::fs::File::open(script()).unwrap());
    assert!(ended(&mut whole).well().contains("Usage: install.sh"));
}

#[test]
fn mistakes_in_the_call_are_named_and_end_with_64() {
    for (words, named) in [
        (&["--role", "moon"][..], "'moon'"),
        (&["--fiel", "x"], "--fiel"),
        (&["--file"], "--file needs a value"),
        (&["--file", "a", "--url", "b"], "give one"),
        (&["--sha256", "12"], "64 hex digits"),
        (&["--health-timeout=soon"], "'soon'"),
        (&["--root", "/nonexistent"], "/nonexistent"),
        (&["--owners", "a b"], "'a b'"),
        (&["--dry-run", "--init", "launchd"], "'launchd'"),
    ] {
        ended(&mut install_from_outside(words)).refused(64, named);
    }
}

#[test]
fn a_text_that_is_more_than_a_line_is_refused() {
    let place = folder("image");
    std::fs::create_dir(place.join("etc")).unwrap();
    let root = place.to_str().unwrap();
    for (variable, value) in [
        ("SIGMA_API_URL", "http://a\napi_key: b"),
        ("SIGMA_API_KEY", "a\tb"),
    ] {
        let words = [
            "--dry-run",
            "--init",
            "none",
            "--root",
            root,
            "--file",
            "/bin/true",
        ];
        ended(install_from_outside(&words).env(variable, value)).refused(64, "control character");
    }
    std::fs::remove_dir_all(place).unwrap();
}
