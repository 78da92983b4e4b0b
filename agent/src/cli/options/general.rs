//! What every role has: who this host is, where its files are, and how the agent itself behaves.

use super::{Opt, option, section};
use crate::cli::role::Role;

/// The variable that names a role: what other options mean follows from it, so it is read first.
pub(in crate::cli) const ROLE_VARIABLE: &str = "AGENT_ROLE";

/// Interfaces of container and VM bridges: their addresses mean nothing outside this host.
const BRIDGES: &str = "docker*,br-????????????,veth*,cni*,podman*,nerdctl*,virbr*,vnet*,lxcbr*,lxdbr*,incusbr*,ve-*,vb-*,vz-*,flannel*,cali*,vxlan.calico,cilium_*,weave*,kube-*";

pub(super) const IDENTITY: &[Opt] = &[option(
    section::IDENTITY,
    "hostname",
    "AGENT_HOSTNAME",
    "NAME",
    "",
    "Hostname to report; default: first line of /etc/host_hostname, else the kernel's",
)];

pub(super) const ADDRESSES: &[Opt] = &[option(
    section::ADDRESSES,
    "ignore-interfaces",
    "AGENT_IGNORE_INTERFACES",
    "PATTERN,PATTERN",
    BRIDGES,
    "Interfaces whose addresses are not reported; `*` stands for anything, `?` for one character",
)];

pub(super) const HOST: &[Opt] = &[
    option(
        section::HOST,
        "host-root",
        "AGENT_HOST_ROOT",
        "DIR",
        "/",
        "Where the host's file system is mounted; proc and sys are looked for below it",
    )
    .needs_restart(),
    option(
        section::HOST,
        "host-proc",
        "AGENT_HOST_PROC",
        "DIR",
        "",
        "Where the host's /proc is mounted, if not below --host-root",
    )
    .needs_restart(),
];

pub(super) const GENERAL: &[Opt] = &[
    option(
        section::GENERAL,
        "role",
        ROLE_VARIABLE,
        "sigma|luna|guest|aegis",
        "",
        "What kind of agent this is: names and defaults of other options follow from it; without it, the name the program is called by decides",
    )
    .needs_restart(),
    option(
        section::GENERAL,
        "config",
        "AGENT_CONFIG",
        "FILE",
        "/etc/sigma-agent/agent.yaml",
        "Configuration file; the default one may be missing",
    )
    .by_role(&[
        (Role::Luna, "/etc/lunasentri/agent.yaml"),
        (Role::Guest, "/etc/guest-agent.conf"),
        (Role::Aegis, "/etc/aegisflux/agent.yaml"),
    ])
    .needs_restart(),
    #[cfg(feature = "sandbox")]
    option(
        section::GENERAL,
        "sandbox",
        "AGENT_SANDBOX",
        "auto|strict|off",
        "auto",
        "Whether the agent gives up what it does not need: `auto` as far as the kernel goes, `strict` all of it or it does not start",
    )
    .needs_restart(),
    option(
        section::GENERAL,
        "log-level",
        "AGENT_LOG_LEVEL",
        "LEVEL",
        "info",
        "How much is logged: error, warn, info, debug or trace",
    ),
    option(
        section::GENERAL,
        "log-format",
        "AGENT_LOG_FORMAT",
        "auto|human|json",
        "auto",
        "`auto` is JSON under a service manager, else lines for people",
    )
    .by_role(&[(Role::Luna, "json"), (Role::Aegis, "json")])
    .needs_restart(),
    option(
        section::GENERAL,
        "log-output",
        "AGENT_LOG_OUTPUT",
        "stderr|stdout",
        "stderr",
        "Where log lines go",
    )
    .by_role(&[(Role::Luna, "stdout"), (Role::Aegis, "stdout")])
    .needs_restart(),
    option(
        section::GENERAL,
        "log-file",
        "AGENT_LOG_FILE",
        "FILE",
        "",
        "Log lines go into this file too, as JSON",
    )
    .needs_restart(),
    option(
        section::GENERAL,
        "log-file-mib",
        "AGENT_LOG_FILE_MIB",
        "MIB",
        "10",
        "Size at which the log file is renamed to FILE.1 and begun anew, 1 to 1024",
    )
    .needs_restart(),
];
