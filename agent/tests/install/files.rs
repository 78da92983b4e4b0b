//! The installer carries the units and scripts of this tree, so that it and the program are all that has to be brought.

use std::fmt::Write;
use std::fs;

use crate::machine::script;

const BEGIN: &str = "# files: begin\n";
const END: &str = "# files: end\n";

#[test]
fn the_installer_carries_the_units_and_scripts_of_this_tree() {
    let deploy = script().parent().unwrap().to_owned();
    let mut wanted = String::new();
    let mut put = |name: &str, file: &str| {
        let text = fs::read_to_string(deploy.join(file)).expect(file);
        writeln!(
            wanted,
            "{name})\ncat <<'END-OF-FILE'\n{text}END-OF-FILE\n;;"
        )
        .unwrap();
    };
    let services = [
        "aegisflux-agent",
        "guest-agent",
        "lunasentri-agent",
        "sigma-agent",
    ];
    for name in services {
        put(
            &format!("systemd/{name}"),
            &format!("systemd/{name}.service"),
        );
    }
    for level in ["full", "user"] {
        let file = format!("systemd/dropins/sigma-owners-{level}.conf");
        put(&format!("systemd/owners-{level}"), &file);
    }
    for name in services {
        put(&format!("openrc/{name}"), &format!("openrc/{name}"));
    }
    let text = fs::read_to_string(script()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (carried, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(script(), format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert!(
        carried == wanted,
        "deploy/install.sh carries other files than deploy/systemd and deploy/openrc have: UPDATE_GOLDEN=1 cargo test --test install carries"
    );
}
