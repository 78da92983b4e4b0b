//! All of it under a real systemd: installed, registered, upgraded, rolled back, removed.

use std::collections::BTreeSet;
use std::time::Instant;

use sigma_lab::Role;

use crate::interrupted::{TRAPPED, lay_trap};
use crate::machine::Machine;
use crate::parts::{Api, ask, free_port, wait_for};

/// A host with an agent of role sigma that has registered with a lab.
struct Host {
    machine: Machine,
    api: Api,
    port: u16,
    key: String,
}

impl Host {
    fn new() -> Option<Self> {
        let machine = Machine::with_systemd()?;
        let api = Api::start();
        let (port, key) = (free_port(), api.key(Role::Agent));
        Some(Self {
            machine,
            api,
            port,
            key,
        })
    }

    fn install(&self, file: &str) -> crate::machine::Ended {
        let port = self.port.to_string();
        let url = self.api.url();
        let patience = if file == "broken" { 5 } else { 30 };
        self.machine.install(
            &format!("--health-timeout {patience} --file /root/{file}"),
            &[
                ("SIGMA_API_URL", &url),
                ("SIGMA_API_KEY", &self.key),
                ("AGENT_METRICS_PORT", &port),
                ("AGENT_HOSTNAME", "installed-host"),
                ("AGENT_INTERVAL", "1"),
            ],
        )
    }

    fn metrics(&self) -> String {
        ask(
            self.port,
            "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .body
    }

    fn process(&self, unit: &str) -> String {
        let said = self
            .machine
            .run(&format!("systemctl show --property=MainPID --value {unit}"));
        said.well().trim().to_owned()
    }

    fn is(&self, file: &str) -> bool {
        self.machine
            .run(&format!("cmp -s /root/{file} /usr/local/bin/sigma-agent"))
            .code
            == Some(0)
    }
}

#[test]
fn an_installed_agent_registers_is_found_well_reloads_and_leaves() {
    let Some(host) = Host::new() else { return };
    let before: BTreeSet<String> = host.machine.listing().into_keys().collect();

    // A value that the program refuses is known before anything is in place, and does not stay in the way.
    let wrong = [
        ("SIGMA_API_KEY", host.key.as_str()),
        ("AGENT_INTERVAL", "never"),
    ];
    let refused = host.machine.install("--file /root/agent", &wrong);
    refused.refused(1, "the configuration would be refused");
    assert!(refused.said.contains("never"), "{}", refused.said);
    for path in [
        "/etc/sigma-agent/agent.yaml",
        "/etc/sigma-agent/key",
        "/usr/local/bin/sigma-agent",
        "/etc/systemd/system/sigma-agent.service",
    ] {
        assert!(!host.machine.has(path), "{path} is left");
    }

    let start = Instant::now();
    let said = std::thread::scope(|scope| {
        let installing = scope.spawn(|| host.install("agent"));
        assert!(host.metrics().contains("sigma_"));
        println!(
            "from the start of install.sh to the first metrics: {:?}",
            start.elapsed()
        );
        installing.join().unwrap().well()
    });
    assert!(!said.contains(&host.key), "the key is told: {said}");
    let record = host.api.registered();
    assert_eq!(record["hostname"], "installed-host");
    for (path, rights) in [
        ("/etc/sigma-agent", "750 0:sigma-agent"),
        ("/etc/sigma-agent/agent.yaml", "640 0:sigma-agent"),
        ("/etc/sigma-agent/key", "640 0:sigma-agent"),
        ("/etc/systemd/system/sigma-agent.service", "644 0:root"),
        ("/usr/local/bin/sigma-agent", "755 0:root"),
    ] {
        assert_eq!(host.machine.rights(path), rights, "{path}");
    }
    let user = host.machine.run("ps -o user= -C sigma-agent || id -nu $(stat -c %u /proc/$(systemctl show -P MainPID sigma-agent))").said;
    assert!(user.contains("sigma-agent"), "{user}");
    let check = host.machine.run("/usr/local/bin/sigma-agent check");
    let findings = check
        .said
        .lines()
        .filter(|line| line.starts_with("look ") || line.starts_with("broken "));
    let findings: Vec<&str> = findings.collect();
    // A container's own figures are no host's, and that is told.
    assert!(
        matches!(findings.as_slice(), [one] if one.contains("runs in systemd-nspawn")),
        "{}",
        check.said
    );
    assert_eq!(
        host.machine
            .run("systemctl is-enabled sigma-agent")
            .said
            .trim(),
        "enabled"
    );

    // A new key in the file is taken over without a restart.
    let process = host.process("sigma-agent");
    host.machine.run("systemctl reload sigma-agent").well();
    wait_for("the reload", || {
        let log = host
            .machine
            .run("journalctl --unit sigma-agent --output cat")
            .said;
        log.contains("configuration reloaded").then_some(())
    });
    assert_eq!(host.process("sigma-agent"), process);

    // The same once more changes nothing, and restarts nothing.
    host.install("agent").well();
    assert_eq!(host.process("sigma-agent"), process);

    let said = host.machine.install("--uninstall", &[]).well();
    let left: Vec<String> = host
        .machine
        .listing()
        .into_keys()
        .filter(|path| {
            !before.contains(path)
                && !path.starts_with("var/log/")
                && !path.starts_with("var/lib/systemd")
        })
        .collect();
    for path in &left {
        let kept = ["etc/sigma-agent", "var/lib/sigma-agent"]
            .iter()
            .any(|kept| path.starts_with(kept));
        assert!(kept || is_of_the_users(path), "left behind: {path}");
    }
    assert!(
        said.contains("stays: /etc/sigma-agent") && said.contains("stays: /var/lib/sigma-agent"),
        "{said}"
    );
    host.machine.install("--purge", &[]).well();
    assert!(!host.machine.has("/etc/sigma-agent") && !host.machine.has("/var/lib/sigma-agent"));
    assert!(!host.machine.read("/etc/passwd").contains("sigma-agent"));
}

/// What the tools for users write beside their files.
pub(crate) fn is_of_the_users(path: &str) -> bool {
    [
        "etc/passwd-",
        "etc/group-",
        "etc/shadow-",
        "etc/gshadow-",
        "etc/.pwd.lock",
        "etc/subuid-",
        "etc/subgid-",
    ]
    .contains(&path)
}

#[test]
fn an_upgrade_keeps_the_configuration_and_a_broken_one_is_undone() {
    let Some(host) = Host::new() else { return };
    host.install("agent").well();
    let config = host.machine.read("/etc/sigma-agent/agent.yaml");
    host.install("newer").well();
    assert!(host.is("newer"));
    assert_eq!(host.machine.read("/etc/sigma-agent/agent.yaml"), config);

    // It does not stay up: the last good one runs again.
    let broken = host.install("broken");
    broken.refused(3, "going back to the version before it");
    assert!(
        broken.said.contains("sigma-agent runs again as before"),
        "{}",
        broken.said
    );
    assert!(host.is("newer") && host.metrics().contains("sigma_"));

    // Ended with its broken program just in place, and once more: it knows which was good.
    host.install("agent").well();
    for signal in ["KILL", "TERM"] {
        lay_trap(&host.machine, signal, 99);
        let mut cut = host.machine.command(&format!(
            "{TRAPPED} sh /root/install.sh --health-timeout 30 --file /root/broken & id=$!
            until grep -qx was.* /usr/local/lib/sigma-agent/on-trial && cmp -s /root/broken /usr/local/bin/sigma-agent; do sleep 0.1; done
            kill -{signal} $id; wait $id"
        ));
        cut.output().unwrap();
        if signal == "KILL" {
            assert!(host.is("broken"));
            host.install("broken").refused(3, "going back");
        }
        wait_for("the good program", || host.is("agent").then_some(()));
        assert!(host.metrics().contains("sigma_"));
        assert!(!host.machine.has("/usr/local/lib/sigma-agent/on-trial"));
    }

    // By hand, there and back.
    host.install("newer").well();
    host.machine.install("--rollback", &[]).well();
    assert!(host.is("agent"));
    host.machine.install("--rollback", &[]).well();
    assert!(host.is("newer") && host.metrics().contains("sigma_"));

    // A configuration that the program would refuse is found before anything is stopped.
    let process = host.process("sigma-agent");
    host.machine
        .run("echo 'metrics_prot: 1' >>/etc/sigma-agent/agent.yaml")
        .well();
    let refused = host.install("agent");
    refused.refused(1, "would refuse /etc/sigma-agent/agent.yaml");
    assert!(refused.said.contains("metrics_prot"), "{}", refused.said);
    assert_eq!(host.process("sigma-agent"), process);
}

#[test]
fn two_roles_share_a_program_and_one_leaves_alone() {
    let Some(host) = Host::new() else { return };
    host.install("agent").well();
    let luna = Api::start_luna(host.api.lab.clone());
    let key = host.api.lab.create_machine("luna").unwrap().key.clone();
    let root = luna.root();
    let words = "--role luna --health-timeout 20 --file /root/";
    host.machine
        .install(&format!("{words}agent"), &[])
        .refused(1, "LUNASENTRI_API_KEY");
    let variables = [
        ("LUNASENTRI_SERVER_URL", root.as_str()),
        ("LUNASENTRI_API_KEY", key.as_str()),
    ];
    // A new role with a program that breaks the old one: the old one decides.
    host.machine
        .install(
            "--role luna --health-timeout 5 --file /root/broken",
            &variables,
        )
        .refused(3, "sigma-agent runs again as before");
    assert!(host.is("agent") && host.metrics().contains("sigma_"));
    host.machine
        .install(&format!("{words}agent"), &variables)
        .well();
    assert_eq!(
        host.machine.rights("/etc/lunasentri/agent.yaml"),
        "640 0:lunasentri"
    );
    wait_for("a sample", || {
        luna.lab.machines().unwrap()[0].online.then_some(())
    });
    assert!(host.machine.has("/var/log/lunasentri/agent.log"));

    // An upgrade for one is an upgrade for both, and for the units of both.
    host.machine
        .run("echo '# old' >>/etc/systemd/system/sigma-agent.service")
        .well();
    let (sigma, moon) = (
        host.process("sigma-agent"),
        host.process("lunasentri-agent"),
    );
    host.machine.install(&format!("{words}newer"), &[]).well();
    assert_ne!(host.process("sigma-agent"), sigma);
    assert_ne!(host.process("lunasentri-agent"), moon);
    let unit = host.machine.read("/etc/systemd/system/sigma-agent.service");
    assert!(!unit.contains("# old"), "{unit}");

    host.machine.install("--uninstall", &[]).well();
    assert!(host.is("newer"), "the program stays for the other");
    assert_eq!(
        host.machine
            .run("systemctl is-active lunasentri-agent")
            .said
            .trim(),
        "active"
    );
    host.machine.install("--purge --role luna", &[]).well();
    assert!(
        !host.machine.has("/usr/local/bin/sigma-agent")
            && !host.machine.has("/usr/local/lib/sigma-agent")
    );
}

/// A setting of the kernel, which a container has in common with this host: put back at the end.
struct Setting(&'static str, String);

impl Setting {
    fn kept(path: &'static str) -> Self {
        Self(path, std::fs::read_to_string(path).unwrap_or_default())
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0, &self.1);
    }
}

#[test]
fn the_roles_guest_and_aegis_run_as_their_units_say() {
    let Some(machine) = Machine::with_systemd() else {
        return;
    };
    let _run_times = Setting::kept("/proc/sys/kernel/bpf_stats_enabled");
    let (guest, aegis) = (free_port().to_string(), free_port().to_string());
    machine
        .install(
            "--role guest --health-timeout 20 --file /root/agent",
            &[("METRICS_PORT", &guest)],
        )
        .well();
    let answer = ask(
        guest.parse().unwrap(),
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.body.contains("cpu"), "{}", answer.body);
    let words = "--role aegis --health-timeout 20 --file /root/agent";
    machine
        .install(
            words,
            &[("AGENT_HTTP_PORT", &aegis), ("AGENT_NATS_URL", "off")],
        )
        .well();
    let capabilities = machine
        .run("grep CapEff /proc/$(systemctl show -P MainPID aegisflux-agent)/status")
        .said;
    // CAP_NET_ADMIN (12), CAP_PERFMON (38), CAP_BPF (39).
    assert!(
        capabilities.trim().ends_with("000000c000001000"),
        "{capabilities}"
    );
    machine.install("--purge --role aegis", &[]).well();
    machine.install("--purge --role guest", &[]).well();
    assert!(
        !machine.has("/usr/local/bin/sigma-agent") && !machine.has("/sys/fs/bpf/aegisflux-agent")
    );
}
