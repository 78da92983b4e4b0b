//! Installing into an image below `--root`, from outside, by every shell that `sh` may be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{Machine, ended, script};

const KEY: &str = "sk'_\"sigma: test";

/// Programs that write down what they are given, and by whom they are called, before they do their work.
fn post_spies(folder: &Path) -> String {
    fs::create_dir(folder).unwrap();
    let seen = folder.join("seen");
    for name in ["cat", "chgrp", "chmod", "cp", "mv", "sed", "sha256sum"] {
        let text = format!(
            "#!/bin/sh\n{{ export -p; tr '\\0' ' ' </proc/$$/cmdline; tr '\\0' ' ' </proc/$PPID/cmdline; }} >>{}\nexec /usr/bin/{name} \"$@\"\n",
            seen.display()
        );
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
}

#[test]
fn every_shell_fills_an_image_and_no_program_sees_the_key() {
    for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "ash"]] {
        let Some(machine) = Machine::at_rest() else {
            return;
        };
        if Command::new(shell[0]).arg("--help").output().is_err() {
            println!("skipped: needs {}", shell[0]);
            continue;
        }
        let spies = machine.root.join("root/spies");
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(script())
            .arg("--root")
            .arg(&machine.root)
            .arg("--file")
            .arg(machine.root.join("root/agent"))
            .env_clear()
            .env("PATH", post_spies(&spies))
            .env("SIGMA_API_KEY", KEY)
            // A name that the script uses itself.
            .env("secret", "exported")
            .stdin(Stdio::null());
        let said = ended(&mut command).well();
        // BusyBox has these programs in itself.
        let seen = fs::read_to_string(spies.join("seen")).unwrap_or_default();
        assert!(
            shell[0] == "busybox" || seen.lines().count() > 50,
            "the spies saw nothing: {seen}"
        );
        assert!(!seen.contains("sigma: test") && !said.contains("sigma: test"));
        assert_eq!(machine.read("/etc/sigma-agent/key"), format!("{KEY}\n"));
        assert_eq!(machine.rights("/etc/sigma-agent/key"), "640 0:sigma-agent");
        assert!(machine.has("/etc/systemd/system/multi-user.target.wants/sigma-agent.service"));
        assert!(
            machine
                .read("/etc/passwd")
                .contains(":/var/lib/sigma-agent:/bin/false")
        );
    }
}
