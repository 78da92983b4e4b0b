//! Files: kept over a kill, locked while in use, refused when damaged, newer or somebody else's.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::json;
use sigma_lab::{Error, Lab, Options, Role};

use crate::server::{Api, Endpoint, Server};

/// A directory of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("sigma-lab-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("lab.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file as a lab leaves it, with one key and some records.
fn used(path: &Path) -> String {
    let server = Server::start(Options::default().database(path));
    for number in 0..20 {
        let body = json!({"hostname": format!("h{number}"), "ip_addresses": [{"ip": "::1"}]});
        assert_eq!(
            server
                .call(Role::Agent, "POST", "/api/agent/register", &body)
                .status,
            200
        );
    }
    server.key(Role::Agent).to_owned()
}

/// A file as the release with schema version 1 left it.
fn version_1(folder: &Folder) -> Connection {
    let file = Connection::open(folder.file()).unwrap();
    file.execute_batch(include_str!("../captures/lab-version-1.sql"))
        .unwrap();
    file
}

fn why_not(path: &Path) -> String {
    Lab::open(path).unwrap_err().to_string()
}

#[test]
fn records_and_keys_outlive_the_lab() {
    let folder = Folder::new("outlive");
    let key = used(&folder.file());
    let server = Server::serving(Lab::open(&folder.file()).unwrap());
    assert_eq!(server.lab.vps().unwrap().len(), 20);
    assert_eq!(
        server
            .send("GET", "/api/vps", &[("x-api-key", &key)], b"")
            .status,
        200
    );
}

#[test]
fn the_file_is_the_owners_alone_and_holds_no_key() {
    let folder = Folder::new("private");
    let key = used(&folder.file());
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{path:?}"
        );
        let bytes = std::fs::read(path).unwrap();
        let secret = &key.as_bytes()[9..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

/// Not a test by itself: the process that `a_killed_process_loses_nothing` starts and kills.
#[test]
#[ignore = "started by another test"]
fn child_that_registers_for_ever() {
    let path = std::env::var("SIGMA_LAB_TEST_FILE").unwrap();
    let server = Server::start(Options::default().database(path));
    // Again and again the same ones: the kill is to meet a write, and a list to hold them all.
    for number in (0..200).cycle() {
        let body = json!({"hostname": format!("h{number}")});
        assert_eq!(
            server
                .call(Role::Agent, "POST", "/api/agent/register", &body)
                .status,
            200
        );
        println!("registered h{number}.");
    }
}

#[test]
fn a_killed_process_loses_nothing_and_holds_the_file_until_then() {
    let folder = Folder::new("killed");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "database::child_that_registers_for_ever",
            "--ignored",
            "--nocapture",
        ])
        .env("SIGMA_LAB_TEST_FILE", folder.file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let told = lines.by_ref().filter(|line| line.starts_with("registered"));
    assert_eq!(told.take(200).count(), 200);
    let locked = Lab::open(&folder.file());
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
    let lab = Lab::open(&folder.file()).unwrap();
    assert_eq!(lab.vps().unwrap().len(), 200);
    let known: Vec<_> = lab
        .vps()
        .unwrap()
        .into_iter()
        .map(|vps| vps.hostname)
        .collect();
    for number in 0..200 {
        assert!(known.contains(&format!("h{number}")), "h{number} is lost");
    }
}

#[test]
fn a_second_lab_on_the_same_file_is_refused_with_words() {
    let folder = Folder::new("second");
    let first = Lab::open(&folder.file()).unwrap();
    assert!(why_not(&folder.file()).ends_with("lab.db: another process holds it"));
    drop(first);
    Lab::open(&folder.file()).unwrap();
}

#[test]
fn a_database_of_a_newer_release_is_left_alone() {
    let folder = Folder::new("newer");
    used(&folder.file());
    Connection::open(folder.file())
        .unwrap()
        .pragma_update(None, "user_version", 7)
        .unwrap();
    let before = std::fs::read(folder.file()).unwrap();
    assert!(why_not(&folder.file()).ends_with("its version is 7, this release knows 1 to 2"));
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}

/// The key was made by the release that wrote the file.
#[test]
fn a_database_of_version_1_keeps_what_it_holds_and_learns_of_machines() {
    let folder = Folder::new("older");
    drop(version_1(&folder));
    for machines in [1, 2] {
        let server = Server::serving(Lab::open(&folder.file()).unwrap());
        let key = "sk_sigma_e0ca417136f54aafef489474b84c175a1010bf85";
        let listed = server.send("GET", "/api/vps", &[("x-api-key", key)], b"");
        assert_eq!((listed.status, &listed.json()["total"]), (200, &json!(2)));
        assert_eq!(server.lab.vps().unwrap()[1].addresses[0].ip, "2001:db8::7");
        server.lab.create_machine("m").unwrap();
        assert_eq!(server.lab.machines().unwrap().len(), machines);
    }
}

/// A table that is already there stands for whatever may stop a step.
#[test]
fn a_step_to_a_newer_version_that_fails_changes_nothing() {
    let folder = Folder::new("half");
    let old = version_1(&folder);
    old.execute_batch("CREATE TABLE luna_metrics (x)").unwrap();
    drop(old);
    let before = std::fs::read(folder.file()).unwrap();
    assert!(why_not(&folder.file()).contains("table luna_metrics already exists"));
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}

#[test]
fn machines_outlive_the_lab_and_the_file_holds_none_of_their_keys() {
    let folder = Folder::new("machines");
    let lab = Lab::open(&folder.file()).unwrap();
    let made = lab.create_machine("m").unwrap();
    let push = |lab: &Lab| {
        let bearer = format!("Bearer {}", made.key);
        let body = br#"{"cpu_pct":12.5,"uptime_s":7,"system_info":{"hostname":"h"}}"#;
        Endpoint::start(lab.clone(), Api::Luna)
            .send(
                "POST",
                "/agent/metrics",
                &[("authorization", &bearer)],
                body,
            )
            .status
    };
    assert_eq!(push(&lab), 202);
    let before = (
        lab.machines().unwrap(),
        lab.machine_metrics(made.id, 9).unwrap(),
    );
    drop(lab);
    let bytes = std::fs::read(folder.file()).unwrap();
    let secret = made.key.as_bytes();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));

    let lab = Lab::open(&folder.file()).unwrap();
    let after = (
        lab.machines().unwrap(),
        lab.machine_metrics(made.id, 9).unwrap(),
    );
    assert_eq!(after, before);
    assert_eq!(push(&lab), 202);
    drop(lab);

    Connection::open(folder.file())
        .unwrap()
        .execute(
            "UPDATE luna_machines SET last_seen = last_seen - 121000000",
            [],
        )
        .unwrap();
    let lab = Lab::open(&folder.file()).unwrap();
    assert!(!lab.machines().unwrap()[0].online);
}

#[test]
fn a_database_that_cannot_be_written_is_a_500_in_the_contracts_words() {
    let folder = Folder::new("full");
    let lab = Lab::open(&folder.file()).unwrap();
    let key = lab.create_machine("m").unwrap().key;
    drop(lab);
    Connection::open(folder.file())
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON luna_metrics BEGIN SELECT raise(ABORT, 'full'); END",
        )
        .unwrap();
    let lab = Lab::open(&folder.file()).unwrap();
    let luna = Endpoint::start(lab.clone(), Api::Luna);
    let reply = luna.send("POST", "/agent/metrics", &[("x-api-key", &key)], b"{}");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (500, "Failed to record metrics")
    );
    assert_eq!(lab.machines().unwrap()[0].last_seen, None, "all or nothing");
}

#[test]
fn another_programs_database_is_left_as_it_was() {
    let folder = Folder::new("other");
    let other = Connection::open(folder.file()).unwrap();
    other
        .execute_batch("CREATE TABLE diary (day TEXT); INSERT INTO diary VALUES ('mon')")
        .unwrap();
    drop(other);
    let before = std::fs::read(folder.file()).unwrap();
    assert!(why_not(&folder.file()).ends_with("it belongs to another program"));
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_was() {
    let folder = Folder::new("text");
    std::fs::write(folder.file(), "hostname,alias\n".repeat(100)).unwrap();
    assert!(why_not(&folder.file()).ends_with("lab.db: file is not a database"));
    assert_eq!(
        std::fs::read(folder.file()).unwrap(),
        "hostname,alias\n".repeat(100).as_bytes()
    );
}

#[test]
fn paths_that_cannot_be_are_named() {
    let folder = Folder::new("paths");
    let missing = why_not(&folder.0.join("no/such/lab.db"));
    assert!(
        missing.starts_with("use database /") && missing.contains("No such file"),
        "{missing}"
    );
    assert!(why_not(&folder.0).contains("Is a directory"));
}

/// Every page damaged in turn, and cuts at odd places: an error or a lab that answers, no panic.
#[test]
fn a_damaged_file_is_an_error_or_still_serves() {
    let folder = Folder::new("damaged");
    used(&folder.file());
    let sound = std::fs::read(folder.file()).unwrap();
    let damages = (0..sound.len()).step_by(509).map(|at| {
        let mut bytes = sound.clone();
        bytes[at..]
            .iter_mut()
            .take(24)
            .for_each(|byte| *byte ^= 0x5a);
        bytes
    });
    let cuts = (1..sound.len())
        .step_by(4001)
        .map(|length| sound[..length].to_vec());
    let mut refused = 0;
    for bytes in damages.chain(cuts) {
        for beside in ["lab.db-wal", "lab.db-shm"] {
            let _ = std::fs::remove_file(folder.0.join(beside));
        }
        std::fs::write(folder.file(), bytes).unwrap();
        match Lab::open(&folder.file()) {
            Ok(lab) => drop(lab.vps()),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("lab.db: "), "{error}");
            }
        }
    }
    assert!(refused > 0);
}
