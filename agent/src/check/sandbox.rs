//! What the agent could take from itself here: found out by doing it, as the last thing this process does.

use super::Finding;
use crate::cli::Config;
use crate::sandbox;

const ABOUT: &str = "sandbox";

/// Everything that is looked at after this is looked at from inside.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let sandbox = sandbox::apply(config, &|name| std::env::var_os(name));
    let missing = sandbox.missing();
    let mut findings = vec![if sandbox.is_off() {
        Finding::look(
            ABOUT,
            "off: whoever takes over the agent gets all its rights",
            "leave --sandbox at auto",
        )
    } else if missing.is_empty() {
        let left_out = sandbox.without_rules().map(|why| format!("; {why}"));
        let what = sandbox.summary() + &left_out.unwrap_or_default();
        Finding::well(ABOUT, what)
    } else {
        Finding::look(
            ABOUT,
            format!(
                "{}; not in force: {}",
                sandbox.summary(),
                missing.join("; ")
            ),
            "a newer kernel has it, unless the service's SystemCallFilter= keeps it away",
        )
    }];
    if config.sandbox == crate::cli::Sandbox::Strict && !missing.is_empty() {
        findings.push(Finding::broken(
            ABOUT,
            "--sandbox strict refuses to start without all of it",
            "use --sandbox auto, or a newer kernel",
        ));
    }
    findings
}
