//! Rules about files.

use std::fs::{self, File};
use std::process::Command;

use confine::{Access, Error, FileRule, Profile};

use crate::child::{alone, alone_as_nobody, errno, folder, has_landlock};

#[test]
fn what_no_rule_names_is_out_of_reach() {
    alone("files::what_no_rule_names_is_out_of_reach", || {
        if !has_landlock(3) {
            return;
        }
        let folder = folder();
        let at = |name: &str| folder.join(name);
        for part in ["read", "write", "log", "other"] {
            fs::create_dir(at(part)).unwrap();
            fs::write(at(part).join("file"), "old").unwrap();
        }
        fs::write(at("one"), "1").unwrap();
        let report = Profile {
            files: Some(vec![
                FileRule::read(at("read")),
                FileRule::write(at("write")),
                FileRule::write_only(at("log")),
                FileRule::read(at("one")),
                FileRule::read(at("nothing")),
            ]),
            ..Profile::default()
        }
        .apply();
        let landlock = report.landlock.in_force().unwrap();
        assert_eq!(
            (landlock.rules, &landlock.absent),
            (4, &vec![at("nothing")])
        );

        let refused = Some(libc::EACCES);
        // Read: files and lists, and nothing else.
        assert_eq!(fs::read_to_string(at("read/file")).unwrap(), "old");
        assert_eq!(fs::read_dir(at("read")).unwrap().count(), 1);
        assert_eq!(errno(fs::write(at("read/file"), "new")), refused);
        assert_eq!(errno(fs::write(at("read/new"), "new")), refused);
        assert_eq!(errno(fs::remove_file(at("read/file"))), refused);
        // Write: all that a state folder sees, but no links or devices.
        fs::create_dir(at("write/below")).unwrap();
        fs::write(at("write/new"), "new").unwrap();
        fs::rename(at("write/new"), at("write/below/newer")).unwrap();
        assert_eq!(fs::read_to_string(at("write/below/newer")).unwrap(), "new");
        fs::remove_file(at("write/below/newer")).unwrap();
        fs::remove_dir(at("write/below")).unwrap();
        assert_eq!(
            errno(std::os::unix::fs::symlink("/etc/passwd", at("write/link"))),
            refused
        );
        // A log: begun anew, not read.
        fs::rename(at("log/file"), at("log/file.1")).unwrap();
        fs::write(at("log/file"), "line").unwrap();
        assert_eq!(errno(File::open(at("log/file.1"))), refused);
        // One file, and not its neighbours.
        assert_eq!(fs::read_to_string(at("one")).unwrap(), "1");
        assert_eq!(errno(fs::read_dir(&folder)), refused);
        // Nothing.
        assert_eq!(errno(File::open(at("other/file"))), refused);
        assert_eq!(errno(File::open("/etc/passwd")), refused);
        assert_eq!(errno(fs::write(at("other/file"), "new")), refused);
        assert_eq!(errno(fs::remove_file(at("other/file"))), refused);
        assert_eq!(
            errno(Command::new("/bin/true").status()),
            refused,
            "nothing is executed"
        );
    });
}

/// Why rules should name folders: an editor and a renewed key put another file in the old one's place.
#[test]
fn a_rule_about_a_file_ends_with_that_file_and_one_about_its_folder_does_not() {
    alone(
        "files::a_rule_about_a_file_ends_with_that_file_and_one_about_its_folder_does_not",
        || {
            if !has_landlock(2) {
                return;
            }
            let folder = folder();
            let at = |name: &str| folder.join(name);
            for name in ["a", "b"] {
                fs::create_dir(at(name)).unwrap();
                fs::write(at(name).join("key"), "old").unwrap();
            }
            let (replaced, go) = (
                std::sync::mpsc::channel::<()>(),
                std::sync::mpsc::channel::<()>(),
            );
            // A thread that was there before stands for the world outside: Landlock is the calling thread's.
            let paths: Vec<_> = ["a", "b"].map(|name| at(name).join("key")).to_vec();
            let world = std::thread::spawn(move || {
                go.1.recv().unwrap();
                for path in paths {
                    fs::write(path.with_extension("new"), "new").unwrap();
                    fs::rename(path.with_extension("new"), path).unwrap();
                }
                replaced.0.send(()).unwrap();
            });
            let files = vec![FileRule::read(at("a/key")), FileRule::read(at("b"))];
            let report = Profile {
                files: Some(files),
                ..Profile::default()
            }
            .apply();
            assert!(report.landlock.in_force().is_some());
            assert_eq!(fs::read_to_string(at("a/key")).unwrap(), "old");
            go.0.send(()).unwrap();
            replaced.1.recv().unwrap();
            world.join().unwrap();
            assert_eq!(errno(fs::read_to_string(at("a/key"))), Some(libc::EACCES));
            assert_eq!(fs::read_to_string(at("b/key")).unwrap(), "new");
        },
    );
}

#[test]
fn it_takes_no_rights_to_give_rights_up() {
    alone_as_nobody("files::it_takes_no_rights_to_give_rights_up", || {
        let report = Profile {
            capabilities: Some(Vec::new()),
            undumpable: true,
            files: has_landlock(1).then(|| vec![FileRule::read("/proc")]),
            calls: Some(confine::Calls::default()),
            ..Profile::default()
        }
        .apply();
        assert!(
            report
                .capabilities
                .in_force()
                .is_some_and(|kept| kept.capabilities.is_empty())
        );
        assert!(report.calls.in_force().is_some(), "{report:?}");
        if let Some(landlock) = report.landlock.in_force() {
            assert!(landlock.rules == 1 && File::open("/proc/self/status").is_ok());
            assert_eq!(errno(File::open("/etc/passwd")), Some(libc::EACCES));
        }
    });
}

/// A kernel without Landlock, as one that answers ENOSYS: the other parts hold, and the report says which one does not.
#[test]
fn a_kernel_without_landlock_gives_the_rest_and_says_so() {
    alone(
        "files::a_kernel_without_landlock_gives_the_rest_and_says_so",
        || {
            let refuse = seccompiler::SeccompFilter::new(
                [(libc::SYS_landlock_create_ruleset, Vec::new())]
                    .into_iter()
                    .collect(),
                seccompiler::SeccompAction::Allow,
                seccompiler::SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
                std::env::consts::ARCH.try_into().unwrap(),
            );
            let program: seccompiler::BpfProgram = refuse.unwrap().try_into().unwrap();
            seccompiler::apply_filter(&program).unwrap();
            let report = Profile {
                files: Some(vec![FileRule::read("/proc")]),
                tcp_bind: Some(Vec::new()),
                calls: Some(confine::Calls::default()),
                ..Profile::default()
            }
            .apply();
            let why = report.landlock.refusal().unwrap();
            assert!(
                matches!(why, Error::Unsupported { .. }) && why.is_unsupported(),
                "{why}"
            );
            assert!(report.no_new_privs.in_force().is_some() && report.calls.in_force().is_some());
            assert!(!report.is_complete());
            assert_eq!(
                report.shortcomings(),
                [
                    "Landlock is not possible here: this kernel is older than 5.13, or was built without it"
                ]
            );
            File::open("/etc/passwd").unwrap();
        },
    );
}

#[test]
fn rules_are_values() {
    let rule = FileRule::write("/x");
    assert_eq!(
        (rule.access, rule.path.as_path()),
        (Access::Write, std::path::Path::new("/x"))
    );
}
