//! The OpenRC script, run by a real OpenRC.

use std::path::Path;
use std::process::Command;

use crate::parts::{connect, folder, free_port, wait_for};

/// A service of this test alone, made of the script that ships.
struct Service {
    script: std::path::PathBuf,
    log: std::path::PathBuf,
    /// OpenRC runs nothing before it believes that the machine has booted.
    booted_here: bool,
}

const SOFTLEVEL: &str = "/run/openrc/softlevel";

impl Service {
    fn new(port: u16) -> Self {
        let place = folder("openrc");
        let name = format!("guest-agent-test-{}", std::process::id());
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/openrc/guest-agent");
        let log = place.join("agent.log");
        let script = std::fs::read_to_string(shipped).unwrap();
        let changed = script
            .replace(
                "/usr/local/bin/guest-agent",
                env!("CARGO_BIN_EXE_sigma-agent"),
            )
            .replace(
                "/var/log/guest-agent/agent.log",
                &format!(
                    "{} --role guest --config /dev/null --metrics-port {port}",
                    log.display()
                ),
            )
            // Its user and folder are the installer's, which has tests of its own.
            .replace("command_user=", "nobody_in_particular=")
            .replace("start_pre()", "start_pre_elsewhere()")
            .replace(
                "/var/log/guest-agent/agent.err",
                place.join("agent.err").to_str().unwrap(),
            );
        let path = Path::new("/etc/init.d").join(name);
        std::fs::write(&path, changed).unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
        let booted_here = !Path::new(SOFTLEVEL).exists();
        if booted_here {
            std::fs::create_dir_all("/run/openrc").unwrap();
            std::fs::write(SOFTLEVEL, "").unwrap();
        }
        Self {
            script: path,
            log,
            booted_here,
        }
    }

    fn run(&self, what: &str) -> bool {
        let output = Command::new("/sbin/openrc-run")
            .arg(&self.script)
            .args(["--nodeps", what])
            .output()
            .unwrap();
        println!("{what}: {}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.run("stop");
        let _ = std::fs::remove_file(&self.script);
        // OpenRC gives every service a cgroup and leaves it there.
        let name = self.script.file_name().unwrap_or_default();
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let _ = std::fs::remove_dir(Path::new(root).join(name));
        }
        if self.booted_here {
            let _ = std::fs::remove_file(SOFTLEVEL);
        }
    }
}

#[test]
fn the_service_starts_reloads_and_stops() {
    if !Path::new("/sbin/openrc-run").exists() || !rustix::process::geteuid().is_root() {
        println!("skipped: needs root and OpenRC (Debian: openrc)");
        return;
    }
    let port = free_port();
    let service = Service::new(port);
    assert!(service.run("start"));
    connect(port);
    assert!(service.run("status"));
    assert!(service.run("reload"));
    wait_for("the reload in the log", || {
        std::fs::read_to_string(&service.log)
            .ok()
            .filter(|log| log.contains("configuration reloaded"))
    });
    assert!(service.run("stop"));
    wait_for("the end of the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
}
