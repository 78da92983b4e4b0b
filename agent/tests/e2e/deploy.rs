//! What deploy/ says about the agent is true of the agent: keys, variables, files that belong together.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::parts::{binary, folder};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(tree().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below `from`, named from the top of the tree.
fn files(from: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![tree().join(from)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(tree()).unwrap().display().to_string());
            }
        }
    }
    found
}

/// What `check` says first about this file: whether it has a mistake.
fn judged(role: &str, text: &str) -> Value {
    let folder = folder("packaged");
    let file = folder.join("agent.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let said = binary(&["check", "--json", "--role", role, "--config"])
        .arg(&file)
        .args(["--public-ip-lookup", "off", "--metrics-port", "0"])
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    said["findings"][0].clone()
}

#[test]
fn packaged_configurations_change_nothing_until_edited_and_suggest_only_what_exists() {
    // The last is what the role cannot do without and nobody can suggest.
    for (role, name, needed) in [
        ("sigma", "sigma-agent", ""),
        ("luna", "lunasentri", "api_key: k\n"),
        ("aegis", "aegisflux", ""),
    ] {
        let text = read(&format!("deploy/packaging/etc/{name}/agent.yaml"));
        assert!(
            text.lines()
                .all(|line| line.is_empty() || line.starts_with('#')),
            "{name}: something is set"
        );
        // A suggestion is `#key: value`; what only its reader can know stands as `…`, and what only its reader can make is left out.
        let suggested: String = text
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| {
                line.starts_with(|c: char| c.is_ascii_lowercase())
                    && !line.contains('…')
                    && !line.starts_with("api_key_file:")
            })
            .fold(String::new(), |all, line| all + line + "\n");
        assert!(suggested.lines().count() > 1, "{name}: no suggestions");
        let judged = judged(role, &(suggested + needed));
        assert_eq!(judged["about"], "configuration");
        assert_eq!(judged["verdict"], "ok", "{name}: {judged}");
    }
    assert_eq!(judged("sigma", "no_such_key: 1\n")["verdict"], "broken");
}

#[test]
fn every_variable_in_deploy_is_one_of_the_agents() {
    let known = read("docs/CONFIG.md");
    let ours = ["AGENT_", "SIGMA_API_", "LUNASENTRI_"];
    let mut seen = BTreeSet::new();
    for path in files("deploy") {
        // The installer has variables of its own.
        if path == "deploy/install.sh" || path.ends_with("/test") {
            continue;
        }
        let text = read(&path);
        let words =
            text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        for word in words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))) {
            assert!(
                known.contains(&format!("`{word}`")),
                "{path}: no option has the variable {word}"
            );
            seen.insert(word.to_owned());
        }
    }
    assert!(seen.len() > 8, "the variables were not found: {seen:?}");
}

#[test]
fn images_are_named_with_the_version_of_the_agent() {
    let name = format!("sigma-agent:{}", env!("CARGO_PKG_VERSION"));
    let tag = format!("newTag: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(read("deploy/docker/compose.yaml").contains(&name));
    for role in ["sigma", "luna", "aegis"] {
        assert!(
            read(&format!("deploy/k8s/{role}/{role}.yaml")).contains(&name),
            "{role}"
        );
        assert!(
            read(&format!("deploy/k8s/{role}/kustomization.yaml")).contains(&tag),
            "{role}"
        );
    }
}

#[test]
fn every_user_of_a_unit_is_made_by_the_packages() {
    let made = read("deploy/packaging/sysusers.conf");
    let mut users = 0;
    for path in files("deploy/systemd")
        .into_iter()
        .filter(|path| path.ends_with(".service"))
    {
        for user in read(&path)
            .lines()
            .filter_map(|line| line.strip_prefix("User="))
        {
            users += 1;
            assert!(
                made.lines()
                    .any(|line| line.split_whitespace().nth(1) == Some(user)),
                "{path}: nobody makes {user}"
            );
            for script in [
                "deploy/packaging/debian/postinst",
                "deploy/packaging/sigma-agent.spec",
            ] {
                assert!(
                    read(script).contains(&format!("\n{user} /var/lib/")),
                    "{script}: nobody makes {user}"
                );
            }
        }
    }
    assert!(users > 1, "no unit names its user");
}
