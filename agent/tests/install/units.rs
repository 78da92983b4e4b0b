//! The units: valid, and no more exposed than they have to be.

use std::fs;
use std::process::Command;

use crate::machine::{Machine, ended, script};
use crate::parts::folder;

/// Unit, drop-in, and the highest exposure that it may have, in tenths.
const EXPOSURES: [(&str, Option<&str>, u32); 6] = [
    ("sigma-agent", None, 14),
    ("sigma-agent", Some("sigma-owners-user"), 16),
    ("sigma-agent", Some("sigma-owners-full"), 22),
    ("lunasentri-agent", None, 11),
    ("guest-agent", None, 12),
    ("aegisflux-agent", None, 18),
];

#[test]
fn no_unit_is_more_exposed_than_its_level_says() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: needs systemd-analyze (Debian: systemd)");
        return;
    }
    let units = script().with_file_name("systemd");
    for (unit, dropin, most) in EXPOSURES {
        let root = folder("exposure");
        let system = root.join("etc/systemd/system");
        let dropins = system.join(format!("{unit}.service.d"));
        fs::create_dir_all(&dropins).unwrap();
        let name = format!("{unit}.service");
        fs::copy(units.join(&name), system.join(&name)).unwrap();
        if let Some(dropin) = dropin {
            let text = fs::read_to_string(units.join(format!("dropins/{dropin}.conf"))).unwrap();
            let text = text.replace("=SERVICES", "=services");
            fs::write(dropins.join("50.conf"), text).unwrap();
        }
        let said = ended(
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager"])
                .arg(format!("--root={}", root.display()))
                .arg(format!("--threshold={most}"))
                .arg(&name),
        )
        .well();
        let level = dropin.unwrap_or("as it is");
        println!(
            "{unit}, {level}: {}",
            said.lines().last().unwrap_or_default()
        );
        fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn systemd_finds_no_fault_in_any_unit_and_dropin() {
    let Some(machine) = Machine::at_rest() else {
        return;
    };
    for role in ["sigma", "luna", "guest", "aegis"] {
        let words = format!("--role {role} --init systemd --no-start --file /root/agent");
        machine.install(&words, &[]).well();
    }
    let words = "--init systemd --no-start --file /root/agent --owners";
    for owners in ["none", "full", "games"] {
        machine.install(&format!("{words} {owners}"), &[]).well();
        for unit in [
            "sigma-agent",
            "lunasentri-agent",
            "guest-agent",
            "aegisflux-agent",
        ] {
            let said = machine
                .run(&format!("systemd-analyze verify --man=no {unit}.service"))
                .well();
            assert_eq!(said, "", "{unit} with owners {owners}");
        }
    }
    let dropin = machine.read("/etc/systemd/system/sigma-agent.service.d/50-owners.conf");
    assert!(dropin.contains("\nUser=games\nGroup=games\n"), "{dropin}");
}
