//! Which options of the agent each command takes.

use super::options::{Opt, section};

/// Where the agent's own server is; its health page asks for no token.
pub(super) fn health(option: &Opt) -> bool {
    section::GENERAL == option.section
        || matches!(
            option.name,
            "metrics-port" | "metrics-address" | "host-root" | "host-proc"
        )
}

pub(super) fn role(option: &Opt) -> bool {
    option.name == "role"
}

/// What decides what is told, but no secret, and no file that holds one.
pub(super) fn once(option: &Opt) -> bool {
    let secret = option.secret || option.value == Some("FILE");
    // Whether the push is on, and that it wants a key, is known without the key.
    matches!(option.name, "config" | "push-key") || !secret && !is_about_programs(option)
}

#[cfg(feature = "aegis")]
fn is_about_programs(option: &Opt) -> bool {
    [section::PROGRAMS, section::NATS].contains(&option.section) && option.name != "programs"
}

#[cfg(not(feature = "aegis"))]
fn is_about_programs(_: &Opt) -> bool {
    false
}

pub(super) fn host(option: &Opt) -> bool {
    [
        section::IDENTITY,
        section::ADDRESSES,
        section::HOST,
        section::GENERAL,
    ]
    .contains(&option.section)
}

#[cfg(feature = "sigma")]
pub(super) fn ports(option: &Opt) -> bool {
    [section::PORTS, section::HOST, section::GENERAL].contains(&option.section)
        && !matches!(
            option.name,
            "port-scan" | "port-scan-range" | "port-scan-interval"
        )
}

#[cfg(feature = "luna")]
pub(super) fn backlog(option: &Opt) -> bool {
    option.section == section::GENERAL
        || matches!(
            option.name,
            "push-state-dir" | "push-backlog-mib" | "push-backlog-age"
        )
}

/// Where programs and the kernel's files are.
#[cfg(feature = "aegis")]
pub(super) fn pins(option: &Opt) -> bool {
    [section::HOST, section::GENERAL].contains(&option.section) || option.name == "pins-dir"
}

/// Where the kernel's files and what is remembered of programs are.
#[cfg(feature = "aegis")]
pub(super) fn state(option: &Opt) -> bool {
    [section::HOST, section::GENERAL].contains(&option.section)
        || option.name == "programs-state-dir"
}
