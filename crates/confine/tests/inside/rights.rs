//! Capabilities, new privileges, core dumps.

use std::fs;

use confine::{Capability, Outcome, Profile};
use rustix::process::{DumpableBehavior, dumpable_behavior};

use crate::child::{alone, alone_as_nobody, errno};

/// A set of this thread, as the kernel writes it.
fn set(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

fn is_root() -> bool {
    let root = set("CapEff") != 0 && rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: capabilities can be dropped by root alone");
    }
    root
}

#[test]
fn only_the_capabilities_that_are_kept_are_left_in_any_set() {
    alone(
        "rights::only_the_capabilities_that_are_kept_are_left_in_any_set",
        || {
            if !is_root() {
                return;
            }
            let before = set("CapPrm");
            let kept = vec![Capability::SYS_PTRACE, Capability::NET_BIND_SERVICE];
            let report = Profile {
                capabilities: Some(kept.clone()),
                ..Profile::default()
            }
            .apply();
            let of = |one: &Capability| 1 << one.number();
            let left = kept.iter().map(of).fold(0, |all, one: u64| all | one) & before;
            assert_eq!((set("CapEff"), set("CapPrm")), (left, left));
            assert_eq!((set("CapInh"), set("CapAmb")), (0, 0));
            let told = report.capabilities.in_force().unwrap();
            assert!(told.bounded && set("CapBnd") & !left == 0);
            assert_eq!(told.capabilities.iter().map(of).sum::<u64>(), left);
            assert_eq!(told.dropped.iter().map(of).sum::<u64>(), before & !left);
            assert_eq!(
                errno(std::os::unix::fs::chown("/", Some(1), None)),
                Some(libc::EPERM)
            );
        },
    );
}

#[test]
fn what_is_not_there_cannot_be_kept_and_is_no_failure() {
    alone_as_nobody(
        "rights::what_is_not_there_cannot_be_kept_and_is_no_failure",
        || {
            let report = Profile {
                capabilities: Some(vec![Capability::SYS_PTRACE]),
                ..Profile::default()
            }
            .apply();
            let told = report.capabilities.in_force().unwrap();
            assert_eq!(told.capabilities, []);
            assert!(report.is_complete());
        },
    );
}

#[test]
fn nothing_is_taken_that_was_not_asked_for() {
    alone("rights::nothing_is_taken_that_was_not_asked_for", || {
        let before = (set("CapEff"), set("CapBnd"), dumpable_behavior().unwrap());
        let report = Profile::default().apply();
        assert!(
            matches!(report.capabilities, Outcome::NotAsked)
                && matches!(report.landlock, Outcome::NotAsked)
        );
        assert_eq!(
            (set("CapEff"), set("CapBnd"), dumpable_behavior().unwrap()),
            before
        );
        assert!(rustix::thread::no_new_privs().unwrap());
    });
}

#[test]
fn nobody_looks_in() {
    alone("rights::nobody_looks_in", || {
        let report = Profile {
            undumpable: true,
            ..Profile::default()
        }
        .apply();
        assert!(report.is_complete());
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    });
}
