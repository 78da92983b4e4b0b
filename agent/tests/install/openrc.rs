//! The same under a real OpenRC.

use sigma_lab::Role;

use crate::machine::{Ended, Machine};
use crate::parts::{Api, ask, free_port, wait_for};
use crate::systemd::is_of_the_users;

fn get(port: u16, path: &str) -> String {
    ask(
        port,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
    .body
}

#[test]
fn an_agent_under_openrc_registers_is_upgraded_undone_and_removed() {
    let Some(machine) = Machine::with_openrc() else {
        return;
    };
    let before = machine.listing();
    let api = Api::start();
    let (port, key, url) = (free_port(), api.key(Role::Agent), api.url());
    let port_text = port.to_string();
    let install = |file: &str| -> Ended {
        machine.install(
            &format!(
                "--health-timeout {} --file /root/{file}",
                if file == "broken" { 5 } else { 30 }
            ),
            &[
                ("SIGMA_API_URL", &url),
                ("SIGMA_API_KEY", &key),
                ("AGENT_METRICS_PORT", &port_text),
                ("AGENT_HOSTNAME", "openrc-host"),
            ],
        )
    };
    install("agent").well();
    assert_eq!(api.registered()["hostname"], "openrc-host");
    assert!(get(port, "/metrics").contains("sigma_"));
    assert_eq!(machine.rights("/etc/init.d/sigma-agent"), "755 0:root");
    assert_eq!(
        machine
            .rights("/var/log/sigma-agent/agent.log")
            .split(' ')
            .next(),
        Some("640")
    );
    assert!(
        machine
            .run("rc-update show default")
            .said
            .contains("sigma-agent")
    );

    machine.run("rc-service sigma-agent reload").well();
    wait_for("the reload", || {
        machine
            .read("/var/log/sigma-agent/agent.log")
            .contains("configuration reloaded")
            .then_some(())
    });

    // Who is ended comes back.
    machine.run("kill -KILL $(grep -l sigma-agent /proc/[0-9]*/comm | sed -n 's|/proc/\\([0-9]*\\)/comm|\\1|p')").well();
    wait_for("the agent to come back", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });

    install("newer").well();
    install("broken").refused(3, "sigma-agent runs again as before");
    assert_eq!(
        machine
            .run("cmp /root/newer /usr/local/bin/sigma-agent")
            .code,
        Some(0)
    );
    assert!(get(port, "/metrics").contains("sigma_"));

    machine.install("--uninstall", &[]).well();
    wait_for("the end of the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
    machine.install("--purge", &[]).well();
    let left: Vec<String> = machine
        .listing()
        .into_keys()
        .filter(|path| !before.contains_key(path) && !is_of_the_users(path))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn the_roles_luna_and_guest_run_under_openrc_as_users_of_their_own() {
    let Some(machine) = Machine::with_openrc() else {
        return;
    };
    let api = Api::start_luna(sigma_lab::Lab::in_memory().unwrap());
    let (root, key) = (
        api.root(),
        api.lab.create_machine("luna").unwrap().key.clone(),
    );
    let words = "--health-timeout 20 --file /root/agent --role";
    machine
        .install(
            &format!("{words} luna"),
            &[
                ("LUNASENTRI_SERVER_URL", &root),
                ("LUNASENTRI_API_KEY", &key),
            ],
        )
        .well();
    let port = free_port();
    machine
        .install(
            &format!("{words} guest"),
            &[("METRICS_PORT", &port.to_string())],
        )
        .well();
    assert_eq!(get(port, "/health"), "OK");
    wait_for("a sample", || {
        api.lab.machines().unwrap()[0].online.then_some(())
    });
    assert!(machine.has("/var/log/lunasentri/agent.log"));
    assert!(
        machine.read("/var/log/guest-agent.log").contains("guest"),
        "its usual name leads to its log"
    );
    for (program, user) in [
        ("lunasentri-agent", "lunasentri"),
        ("guest-agent", "guest-agent"),
    ] {
        let said = machine
            .run(&format!("for one in /proc/[0-9]*; do case $(readlink $one/exe) in */sigma-agent) tr '\\0' ' ' <$one/cmdline; stat -c %U $one; esac; done | grep {program}"))
            .well();
        assert!(said.trim().ends_with(user), "{said}");
    }
    for role in ["luna", "guest"] {
        machine
            .install(&format!("--purge --role {role}"), &[])
            .well();
    }
    assert!(!machine.has("/usr/local/bin/sigma-agent"));
}
