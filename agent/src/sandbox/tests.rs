//! The agent's own profiles from inside: each test takes its rights from a process of its own and tries what an intruder would.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use confine::{Capability, FileRule};

use super::*;
use crate::cli::{self, Call};

/// Tells the process that it is the child, and of which test.
const INSIDE: &str = "SANDBOX_TEST_INSIDE";

/// Tells it where its folder is.
const FOLDER: &str = "SANDBOX_TEST_FOLDER";

/// Runs the test in a process of its own, with a folder that outlives it and holds a key.
fn alone(test: &str, work: impl FnOnce(&Path)) {
    let test = format!("sandbox::tests::{test}");
    if std::env::var_os(INSIDE).is_some_and(|name| name == *test) {
        return work(&PathBuf::from(std::env::var_os(FOLDER).unwrap()));
    }
    let name = format!(
        "sigma-agent-{}-{}",
        std::process::id(),
        test.replace(':', "-")
    );
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(folder.join("keys")).unwrap();
    fs::create_dir_all(folder.join("log")).unwrap();
    fs::write(folder.join("keys/key"), "k").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, &test)
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn config(program: &str, words: &[&str]) -> Config {
    let args: Vec<OsString> = words.iter().map(OsString::from).collect();
    let command = cli::parse(Call {
        program: OsStr::new(program),
        args: &args,
        env: &nothing,
        variables: &Vec::new,
    });
    match command {
        Ok(cli::Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

fn sigma(more: &[&str]) -> Config {
    let mut words = vec![
        "--config",
        "/dev/null",
        "--api-url",
        "https://api.example",
        "--api-key",
        "k",
    ];
    words.extend(more);
    config("sigma-agent", &words)
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// What no role may ever do.
#[allow(unsafe_code, reason = "forbidden calls have no safe names")]
fn try_the_forbidden() {
    let mut calls = vec![
        ("ptrace", libc::SYS_ptrace, libc::EPERM),
        ("mount", libc::SYS_mount, libc::EPERM),
        ("unshare", libc::SYS_unshare, libc::EPERM),
        ("keyctl", libc::SYS_keyctl, libc::EPERM),
        ("init_module", libc::SYS_init_module, libc::EPERM),
        ("setuid", libc::SYS_setuid, libc::EPERM),
        ("capset", libc::SYS_capset, libc::EPERM),
        ("io_uring_setup", libc::SYS_io_uring_setup, libc::EPERM),
    ];
    calls.push(("clone3", libc::SYS_clone3, libc::ENOSYS));
    for (name, number, expected) in calls {
        // SAFETY: numbers and null pointers; the kernel touches no memory of ours for them.
        let result = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((result, error), (-1, Some(expected)), "{name}");
    }
    std::thread::spawn(|| ()).join().unwrap();
}

fn try_to_start_a_program() -> Option<i32> {
    errno(Command::new("/bin/true").status())
}

#[allow(unsafe_code, reason = "bpf has no safe name")]
fn try_bpf() -> Option<i32> {
    // SAFETY: there is no such command, so no argument is looked at.
    let result = unsafe { libc::syscall(libc::SYS_bpf, -1, 0, 0) };
    (result == -1)
        .then(|| io::Error::last_os_error().raw_os_error())
        .flatten()
}

fn has_landlock(sandbox: &Sandbox) -> bool {
    let there = sandbox.hides_files();
    if !there {
        println!(
            "skipped: this kernel has no Landlock: {:?}",
            sandbox.missing()
        );
    }
    there
}

fn capabilities_of(sandbox: &Sandbox) -> Vec<Capability> {
    let report = sandbox.report.as_ref().unwrap();
    report.capabilities.in_force().unwrap().capabilities.clone()
}

#[test]
fn the_sigma_role_reads_what_it_needs_and_nothing_else() {
    alone(
        "the_sigma_role_reads_what_it_needs_and_nothing_else",
        |folder| {
            let sandbox = enter(&sigma(&[]), &nothing).unwrap();
            try_the_forbidden();
            assert_eq!(try_to_start_a_program(), Some(libc::EPERM));
            assert_eq!(try_bpf(), Some(libc::EPERM));
            assert_eq!(capabilities_of(&sandbox), []);
            File::open("/proc/stat").unwrap();
            File::open("/etc/hosts").unwrap();
            if !has_landlock(&sandbox) {
                return;
            }
            assert_eq!(
                errno(fs::write("/etc/sandbox-test", "")),
                Some(libc::EACCES)
            );
            assert_eq!(errno(File::open("/etc/shadow")), Some(libc::EACCES));
            assert_eq!(errno(fs::read_dir("/root")), Some(libc::EACCES));
            assert_eq!(errno(fs::write(folder.join("x"), "")), Some(libc::EACCES));
            assert_eq!(
                errno(std::net::TcpListener::bind("127.0.0.1:8022")),
                Some(libc::EACCES)
            );
            assert!(sandbox.missing().is_empty() || !sandbox.as_json()["missing"].is_null());
        },
    );
}

/// Landlock would end it, so it is left out, and said.
#[test]
fn who_tells_the_owners_of_ports_may_look_into_processes_and_into_nothing_more() {
    alone(
        "who_tells_the_owners_of_ports_may_look_into_processes_and_into_nothing_more",
        |_| {
            let sandbox = enter(&sigma(&["--port-scan"]), &nothing).unwrap();
            try_the_forbidden();
            assert_eq!(try_to_start_a_program(), Some(libc::EPERM));
            fs::read_dir(format!("/proc/{}/fd", std::os::unix::process::parent_id())).unwrap();
            std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(
                sandbox
                    .without_rules()
                    .unwrap()
                    .contains("--attribution off")
            );
            let of_root = [Capability::DAC_READ_SEARCH, Capability::SYS_PTRACE];
            assert!(
                capabilities_of(&sandbox)
                    .iter()
                    .all(|one| of_root.contains(one))
            );
        },
    );
}

#[test]
fn who_asked_for_ss_can_start_it_and_still_nothing_worse() {
    alone(
        "who_asked_for_ss_can_start_it_and_still_nothing_worse",
        |_| {
            drop(enter(&sigma(&["--port-scan", "--attribution", "ss"]), &nothing).unwrap());
            try_the_forbidden();
            assert_eq!(try_to_start_a_program(), None);
            assert_eq!(try_bpf(), Some(libc::EPERM));
        },
    );
}

#[test]
fn the_luna_role_writes_its_backlog_and_its_log_and_reads_its_keys() {
    alone(
        "the_luna_role_writes_its_backlog_and_its_log_and_reads_its_keys",
        |folder| {
            let at = |part: &str| folder.join(part).to_str().unwrap().to_owned();
            let (state, log, key) = (at("state/below"), at("log/agent.log"), at("keys/key"));
            #[rustfmt::skip]
        let words = [
            "--config", "/dev/null", "--server-url", "https://luna.example", "--push-state-dir", &state,
            "--log-file", &log, "--api-key-file", &key,
        ];
            let sandbox = enter(&config("lunasentri-agent", &words), &nothing).unwrap();
            try_the_forbidden();
            assert_eq!(try_to_start_a_program(), Some(libc::EPERM));
            fs::write(at("state/below/segment"), "x").unwrap();
            fs::write(&log, "line").unwrap();
            fs::rename(&log, at("log/agent.log.1")).unwrap();
            fs::write(&log, "line").unwrap();
            assert_eq!(fs::read_to_string(&key).unwrap(), "k");
            if has_landlock(&sandbox) {
                let refused = Some(libc::EACCES);
                assert_eq!(errno(File::open(at("log/agent.log.1"))), refused);
                assert_eq!(errno(fs::write(at("keys/other"), "x")), refused);
                assert_eq!(errno(fs::write(at("state/other"), "x")), refused);
            }
        },
    );
}

#[test]
fn the_guest_role_speaks_to_its_manager_alone() {
    alone("the_guest_role_speaks_to_its_manager_alone", |_| {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (manager, other) = (listen(), listen());
        let url = format!("http://{}", manager.local_addr().unwrap());
        let words = [
            "--config",
            "/dev/null",
            "--vm-id",
            "vm-1",
            "--manager-url",
            &url,
        ];
        let sandbox = enter(&config("guest-agent", &words), &nothing).unwrap();
        try_the_forbidden();
        std::net::TcpStream::connect(manager.local_addr().unwrap()).unwrap();
        if has_landlock(&sandbox) {
            let elsewhere = std::net::TcpStream::connect(other.local_addr().unwrap());
            assert_eq!(errno(elsewhere), Some(libc::EACCES));
        }
    });
}

#[test]
fn the_aegis_role_reaches_the_kernel_and_writes_its_folders_alone() {
    alone(
        "the_aegis_role_reaches_the_kernel_and_writes_its_folders_alone",
        |folder| {
            let at = |part: &str| folder.join(part).to_str().unwrap().to_owned();
            let (state, cache) = (at("state"), at("cache"));
            #[rustfmt::skip]
        let words = [
            "--config", "/dev/null", "--host-id", "h", "--registry-url", "https://registry.example", "--pins-dir", "off",
            "--programs-state-dir", &state, "--cache-dir", &cache,
        ];
            let before = try_bpf();
            let sandbox = enter(&config("local-agent", &words), &nothing).unwrap();
            try_the_forbidden();
            assert_eq!(try_to_start_a_program(), Some(libc::EPERM));
            assert_eq!(try_bpf(), before);
            fs::write(at("state/x"), "x").unwrap();
            fs::write(at("cache/x"), "x").unwrap();
            if has_landlock(&sandbox) {
                assert_eq!(errno(fs::write(at("keys/other"), "x")), Some(libc::EACCES));
            }
        },
    );
}

/// A kernel without Landlock is one that answers ENOSYS.
#[test]
fn strict_does_not_start_without_all_of_it_and_auto_says_what_is_missing() {
    alone(
        "strict_does_not_start_without_all_of_it_and_auto_says_what_is_missing",
        |_| {
            use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

            let calls = [(libc::SYS_landlock_create_ruleset, Vec::new())];
            let (others, these) = (
                SeccompAction::Allow,
                SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
            );
            let architecture = std::env::consts::ARCH.try_into().unwrap();
            let filter = SeccompFilter::new(calls.into(), others, these, architecture).unwrap();
            apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();

            let strict = enter(&sigma(&["--sandbox", "strict"]), &nothing).unwrap_err();
            assert!(
                strict.starts_with("--sandbox strict: Landlock is not possible here"),
                "{strict}"
            );
            let sandbox = enter(&sigma(&[]), &nothing).unwrap();
            let shown = sandbox.as_json();
            assert_eq!(
                (&shown["in_force"], &shown["files"]),
                (&"part".into(), &Value::Null)
            );
            assert!(shown["missing"][0].as_str().unwrap().contains("Landlock"));
            try_the_forbidden();
        },
    );
}

#[test]
fn off_takes_nothing() {
    alone("off_takes_nothing", |_| {
        let sandbox = enter(&sigma(&["--sandbox", "off"]), &nothing).unwrap();
        assert_eq!(try_to_start_a_program(), None);
        assert!(sandbox.is_off() && sandbox.summary() == "off");
    });
}

/// Root is a user like others then: what belongs to another one is reached by the capability for it, or not at all.
#[test]
fn root_keeps_the_right_to_a_folder_of_another_user_where_one_is_configured() {
    alone(
        "root_keeps_the_right_to_a_folder_of_another_user_where_one_is_configured",
        |folder| {
            if !rustix::process::geteuid().is_root() {
                return println!("skipped: not root");
            }
            use std::os::unix::fs::PermissionsExt;

            let (state, key) = (folder.join("state"), folder.join("keys/key"));
            fs::create_dir(&state).unwrap();
            for path in [&state, &key] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            }
            let kept = |state: &Path| {
                #[rustfmt::skip]
            let words = [
                "--config", "/dev/null", "--server-url", "https://luna.example", "--push-state-dir", state.to_str().unwrap(),
                "--api-key-file", key.to_str().unwrap(),
            ];
                let profile = needs::of(&config("lunasentri-agent", &words), &nothing).profile;
                profile.capabilities.unwrap()
            };
            assert_eq!(kept(&state), []);
            std::os::unix::fs::chown(&key, Some(65_534), None).unwrap();
            assert_eq!(kept(&state), [Capability::DAC_READ_SEARCH]);
            std::os::unix::fs::chown(&state, Some(65_534), None).unwrap();
            assert_eq!(kept(&state), [Capability::DAC_OVERRIDE]);
        },
    );
}

#[test]
fn a_named_file_brings_its_folder_only_where_that_is_its_own() {
    alone(
        "a_named_file_brings_its_folder_only_where_that_is_its_own",
        |folder| {
            let key = folder.join("keys/key");
            let config = sigma(&[
                "--api-ca",
                "/etc/hostname",
                "--http-token-file",
                key.to_str().unwrap(),
            ]);
            let rules = needs::of(&config, &nothing).profile.files.unwrap();
            assert!(rules.contains(&FileRule::read("/etc/hostname")));
            assert!(rules.contains(&FileRule::read(folder.canonicalize().unwrap().join("keys"))));
            let etc = rules.contains(&FileRule::read("/etc"));
            assert_eq!(etc, !rustix::process::geteuid().is_root());
        },
    );
}
