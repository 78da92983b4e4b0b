//! A run that is ended at any step, and the run after it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::machine::Machine;

const VARIABLES: &[(&str, &str)] = &[("SIGMA_API_KEY", "sk_sigma_test")];

/// A `mv` that ends who calls it instead of doing its work, at its call number N. Every file of the installer comes into place by `mv`.
pub(crate) fn lay_trap(machine: &Machine, signal: &str, call: usize) {
    let folder = machine.root.join("root/trap");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("calls"), "0").unwrap();
    let script = format!(
        "#!/bin/sh\nread calls </root/trap/calls\ncalls=$((calls + 1))\necho $calls >/root/trap/calls\n\
         [ $calls != {call} ] || {{ kill -{signal} $PPID; exit 1; }}\nexec /bin/mv \"$@\"\n"
    );
    fs::write(folder.join("mv"), script).unwrap();
    fs::set_permissions(folder.join("mv"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// `PATH` with the trap in it.
pub(crate) const TRAPPED: &str = "PATH=/root/trap:$PATH";

#[test]
fn whatever_was_interrupted_the_next_run_makes_it_good() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    // A small program: nothing of it runs here.
    let words = "--init systemd --no-start --file /root/broken";
    let install = format!("sh /root/install.sh {words}");
    let mut first = machine.command(&install.replace("broken", "agent"));
    assert!(
        first
            .envs(VARIABLES.iter().copied())
            .status()
            .unwrap()
            .success()
    );
    machine
        .install(
            "--role luna --init systemd --no-start --file /root/broken",
            &[],
        )
        .well();
    let good: BTreeSet<String> = machine.listing().into_keys().collect();
    assert!(good.contains("usr/local/lib/sigma-agent/sigma-agent.previous"));
    machine
        .install("--purge --role luna --init systemd", &[])
        .well();
    for signal in ["KILL", "TERM"] {
        for call in 1.. {
            machine.install("--purge --init systemd", &[]).well();
            lay_trap(&machine, signal, call);
            let mut cut = machine.command(&format!("{TRAPPED} {install}"));
            let whole = cut
                .envs(VARIABLES.iter().copied())
                .output()
                .unwrap()
                .status
                .success();
            machine.install(words, VARIABLES).well();
            let key = machine.read("/etc/sigma-agent/key");
            assert_eq!(key, "sk_sigma_test\n", "{signal} at {call}");
            assert_eq!(machine.rights("/etc/sigma-agent/key"), "640 0:sigma-agent");
            assert_eq!(machine.rights("/usr/local/bin/sigma-agent"), "755 0:root");
            let left: Vec<String> = machine
                .listing()
                .into_keys()
                .filter(|path| !good.contains(path) && !path.starts_with("root/trap"))
                .collect();
            assert_eq!(left, Vec::<String>::new(), "{signal} at {call}");
            if whole {
                assert!(call > 4, "only {call} steps were seen");
                break;
            }
        }
    }
}
