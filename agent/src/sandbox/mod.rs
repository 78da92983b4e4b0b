//! What the agent takes from itself at its start, and what it says of that.

mod needs;
mod reach;

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::OnceLock;

use confine::{Capability, Report};
use serde_json::{Value, json};

use crate::cli::{Config, Env, Sandbox as Mode};

/// What is in force in this process, for those who ask.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// `None`: it was switched off.
    report: Option<Report>,
    /// Why the rules about files are no part of it, where they are not.
    without_rules: Option<&'static str>,
}

/// Takes away what this configuration does not need, before there are other threads. `Err` where all of it was demanded and cannot be had.
pub(crate) fn enter(config: &Config, env: Env<'_>) -> Result<Sandbox, String> {
    // It can be told only before there is one of our own.
    is_filtered_by_others();
    if config.sandbox != Mode::Off {
        make_folders(config);
    }
    let sandbox = apply(config, env);
    let missing = sandbox.missing();
    if !missing.is_empty() {
        let missing = missing.join("; ");
        if config.sandbox == Mode::Strict {
            return Err(format!(
                "--sandbox strict: {missing}; --sandbox auto goes without"
            ));
        }
        tracing::warn!(missing, "part of the sandbox is not in force");
    }
    if sandbox.report.is_some() {
        tracing::debug!(in_force = sandbox.summary(), "sandbox");
    }
    Ok(sandbox)
}

/// Puts the sandbox in force and says what came of it; nothing is made or logged.
pub(crate) fn apply(config: &Config, env: Env<'_>) -> Sandbox {
    if config.sandbox == Mode::Off {
        return Sandbox {
            report: None,
            without_rules: None,
        };
    }
    let needs = needs::of(config, env);
    Sandbox {
        report: Some(needs.profile.apply()),
        without_rules: needs.without_rules,
    }
}

/// Whether a filter of system calls was there before our own: a service manager's may end who calls what it does not list.
pub(crate) fn is_filtered_by_others() -> bool {
    static FILTERED: OnceLock<bool> = OnceLock::new();
    *FILTERED.get_or_init(|| {
        let Ok(status) = std::fs::read_to_string("/proc/thread-self/status") else {
            return true;
        };
        let mode = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp:"));
        mode.is_some_and(|mode| mode.trim_ascii() != "0")
    })
}

/// A rule is about what stands at a path: the folders that the agent writes have to be there first. Their owners make them with the same
/// mode, and say it if they cannot.
fn make_folders(config: &Config) {
    for folder in needs::own_folders(config) {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        if let Err(error) = made {
            tracing::debug!(folder = %folder.display(), %error, "not made before the sandbox");
        }
    }
}

impl Sandbox {
    pub(crate) fn is_off(&self) -> bool {
        self.report.is_none()
    }

    /// What was asked for and is not in force.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.report
            .as_ref()
            .map(Report::shortcomings)
            .unwrap_or_default()
    }

    /// Why the rules about files are left out, where they are.
    pub(crate) fn without_rules(&self) -> Option<&'static str> {
        self.without_rules
    }

    /// Whether files are out of reach that the file modes would allow.
    pub(crate) fn hides_files(&self) -> bool {
        let report = self.report.as_ref();
        report.is_some_and(|report| report.landlock.in_force().is_some())
    }

    /// What is in force, in a line.
    pub(crate) fn summary(&self) -> String {
        let Some(report) = &self.report else {
            return "off".to_owned();
        };
        let mut parts = Vec::new();
        if let Some(kept) = report.capabilities.in_force() {
            let kept = names(&kept.capabilities);
            parts.push(match kept.as_slice() {
                [] => "no capabilities".to_owned(),
                kept => format!("of the capabilities {}", kept.join(" ")),
            });
        }
        if let Some(landlock) = report.landlock.in_force() {
            parts.push(format!("files by {} rules", landlock.rules));
        }
        if let Some(calls) = report.calls.in_force() {
            parts.push(format!("{} system calls refused", calls.refused));
        }
        parts.join(", ")
    }

    /// The same for `/status`.
    pub(crate) fn as_json(&self) -> Value {
        let Some(report) = &self.report else {
            return json!({ "in_force": "off" });
        };
        let mut missing = self.missing();
        missing.extend(self.without_rules.map(str::to_owned));
        let landlock = report.landlock.in_force();
        json!({
            "in_force": if missing.is_empty() { "whole" } else { "part" },
            "no_new_privileges": report.no_new_privs.in_force().is_some(),
            "capabilities": report.capabilities.in_force().map(|kept| names(&kept.capabilities)),
            "files": landlock.map(|landlock| json!({ "rules": landlock.rules, "landlock_version": landlock.abi })),
            "refused_system_calls": report.calls.in_force().map(|calls| calls.refused),
            "missing": missing,
        })
    }
}

fn names(capabilities: &[Capability]) -> Vec<String> {
    capabilities.iter().map(Capability::to_string).collect()
}

/// Whether a folder belongs to many programs: a rule about it would be about their files, too.
fn is_shared(folder: &Path) -> bool {
    const SHARED: [&str; 14] = [
        "/",
        "/dev",
        "/etc",
        "/home",
        "/opt",
        "/root",
        "/run",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/local/etc",
        "/var",
        "/var/lib",
        "/var/tmp",
    ];
    SHARED.iter().any(|shared| folder == Path::new(shared))
        || folder.parent() == Some(Path::new("/home"))
}

#[cfg(test)]
mod tests;
