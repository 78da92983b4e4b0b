//! What is not taken: programs that are damaged, of unknown origin or for another machine. Nothing of them is left behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::clean_root::checksum;
use crate::machine::{Machine, ended, install_from_outside};

const KEY: &[(&str, &str)] = &[("SIGMA_API_KEY", "sk_sigma_test")];
const FILE: &str = "--init systemd --no-start --file /root/agent";

fn put(machine: &Machine, name: &str, bytes: &[u8]) {
    fs::write(machine.root.join("root").join(name), bytes).unwrap();
}

#[test]
fn a_damaged_program_or_none_is_refused_and_nothing_is_left() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    let agent = fs::read(machine.root.join("root/agent")).unwrap();
    let mut damaged = agent.clone();
    damaged[agent.len() / 2] ^= 1;
    put(&machine, "damaged", &damaged);
    put(
        &machine,
        "damaged.sha256",
        machine.read("/root/agent.sha256").as_bytes(),
    );
    put(&machine, "unknown", &agent);
    put(&machine, "odd", &agent);
    put(&machine, "odd.sha256", b"no checksum\n");
    let mut foreign = agent;
    // The machine of an ELF file: s390.
    foreign[18] = 22;
    put(&machine, "foreign", &foreign);
    put(&machine, "text", b"#!/bin/sh\necho sigma-agent 1\n");
    for name in ["foreign", "text"] {
        let sum = checksum(&machine.root.join("root").join(name));
        put(&machine, &format!("{name}.sha256"), sum.as_bytes());
    }
    let before = machine.listing();
    for (words, why) in [
        ("--file /root/damaged", "the checksum of /root/damaged is"),
        ("--file /root/unknown", "no checksum for /root/unknown"),
        ("--file /root/odd", "does not begin with a SHA-256 checksum"),
        ("--file /root/foreign", "for another processor"),
        ("--file /root/text", "is not a program"),
        ("--file /root/none", "cannot be read"),
        ("", "give --file PATH or --url URL"),
        (
            "--url http://localhost/agent --insecure-skip-signature",
            "only https:// is taken",
        ),
        ("--url https://localhost/agent --key RWx", "curl is missing"),
        // It runs, and is no agent of ours: `false` fails at everything.
        (
            &format!(
                "--file /bin/false --sha256 {}",
                checksum(&machine.root.join("bin/false"))
            ),
            "does not run here",
        ),
    ] {
        let words = format!("--init systemd --no-start {words}");
        machine.install(&words, KEY).refused(1, why);
        assert_eq!(machine.listing(), before, "after {words}");
    }
}

#[test]
fn only_what_the_key_signed_is_taken() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    let root = machine.root.join("root");
    let Some(key) = sign(&root, "agent") else {
        println!("skipped: needs minisign (Debian: minisign)");
        return;
    };
    let other = "RWSuX9bDGSVUQmXq2M0Jt+5jhVrlS0Yxk6cKqZ2uhkVr2mQvVZpVbXyb";
    let outside = machine.root.to_str().unwrap().to_owned();
    let program = root.join("agent").to_str().unwrap().to_owned();
    // In the clean system OpenSSL checks, on this host minisign does.
    let by_openssl = |key: &str| machine.install(&format!("{FILE} --key {key}"), KEY);
    let by_minisign = |key: &str| {
        ended(&mut install_from_outside(&[
            "--root", &outside, "--init", "systemd", "--file", &program, "--key", key,
        ]))
    };
    let before = machine.listing();
    let signature = machine.read("/root/agent.minisig");
    for way in [&by_openssl as &dyn Fn(&str) -> _, &by_minisign] {
        way(other).refused(1, "is not that of the key");
        way("RWshort").refused(1, "key");
        fs::rename(root.join("agent.minisig"), root.join("away")).unwrap();
        way(&key).refused(1, "agent.minisig is missing");
        fs::rename(root.join("away"), root.join("agent.minisig")).unwrap();
        // One letter of the signature, of the comment, and of the signature over both.
        for line in 1..4 {
            let mut lines: Vec<String> = signature.lines().map(str::to_owned).collect();
            let at = lines[line].len() - 8;
            let letter = if &lines[line][at..=at] == "A" {
                "B"
            } else {
                "A"
            };
            lines[line].replace_range(at..=at, letter);
            fs::write(root.join("agent.minisig"), lines.join("\n") + "\n").unwrap();
            way(&key).refused(1, "is not that of the key");
        }
        fs::write(root.join("agent.minisig"), &signature).unwrap();
    }
    assert_eq!(machine.listing().len(), before.len());
    assert!(!machine.has("/usr/local/bin/sigma-agent"));
    assert!(by_minisign(&key).well().contains("signature is right"));
    assert!(by_openssl(&key).well().contains("signature is right"));
}

/// Signs a file with a new key; the public half.
fn sign(root: &Path, name: &str) -> Option<String> {
    let mut made = Command::new("minisign");
    made.args(["-G", "-W", "-p", "pub", "-s", "sec"])
        .current_dir(root);
    if !made.output().ok()?.status.success() {
        return None;
    }
    let mut signed = Command::new("minisign");
    signed
        .args(["-S", "-s", "sec", "-m", name])
        .current_dir(root);
    ended(&mut signed).well();
    let text = fs::read_to_string(root.join("pub")).unwrap();
    Some(text.lines().nth(1).unwrap().to_owned())
}

#[test]
fn another_program_s_name_and_a_package_are_left_alone() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    fs::write(
        machine.root.join("usr/local/bin/lunasentri-agent"),
        "theirs",
    )
    .unwrap();
    machine
        .install(&format!("--role luna {FILE}"), &[])
        .refused(1, "is another program");
    fs::write(machine.root.join("usr/bin/sigma-agent"), "the package's").unwrap();
    machine.install(FILE, KEY).refused(1, "package manager");
}

#[test]
fn two_at_once_are_one_too_many() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    let turn = fs::File::open(machine.root.join("etc")).unwrap();
    turn.lock().unwrap();
    machine.install(FILE, KEY).refused(75, "another install.sh");
    turn.unlock().unwrap();
    machine.install(FILE, KEY).well();
}

#[test]
fn a_dry_run_tells_what_it_would_do_and_changes_nothing() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    let init = "--init systemd --no-start --file /root";
    let unchanged = |words: &str, told: &str| {
        let before = machine.listing();
        let said = machine.install(&format!("--dry-run {words}"), KEY).well();
        assert!(said.contains(told), "{told:?} is not in:\n{said}");
        assert!(!said.contains("sk_sigma_test"), "the key is told: {said}");
        assert_eq!(machine.listing(), before, "after --dry-run {words}");
    };
    for (role, service) in [
        ("sigma", "sigma-agent"),
        ("luna", "lunasentri-agent"),
        ("guest", "guest-agent"),
        ("aegis", "aegisflux-agent"),
    ] {
        let unit = format!("would write /etc/systemd/system/{service}.service");
        unchanged(&format!("--role {role} {init}/agent"), &unit);
        let script = format!("would write /etc/init.d/{service}");
        let words = format!("--role {role} --init openrc --no-start --file /root/agent");
        unchanged(&words, &script);
    }
    machine.install(&format!("{init}/agent"), KEY).well();
    machine.install(&format!("{init}/newer"), KEY).well();
    unchanged(
        &format!("{init}/agent"),
        "would put the new program to /usr/local/bin/sigma-agent",
    );
    unchanged("--rollback --init systemd", "would run: mv");
    unchanged(
        "--uninstall --init systemd",
        "would remove /usr/local/bin/sigma-agent",
    );
    unchanged("--purge --init systemd", "would remove /etc/sigma-agent");
}
