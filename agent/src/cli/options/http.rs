//! The agent's own HTTP server.

use super::{Opt, option, section};
use crate::cli::role::Role;

pub(super) const HTTP: &[Opt] = &[
    option(
        section::HTTP,
        "metrics-port",
        "AGENT_METRICS_PORT",
        "PORT",
        "9102",
        "Port of the HTTP server, 0 = off; several separated by commas",
    )
    .by_variable(&[(Role::Aegis, "AGENT_HTTP_PORT")])
    .by_role(&[(Role::Luna, "0"), (Role::Guest, "8080"), (Role::Aegis, "8080")])
    .needs_restart(),
    option(
        section::HTTP,
        "metrics-address",
        "AGENT_METRICS_ADDRESS",
        "IP",
        "::",
        "Address of the HTTP server; `::` is every IPv6 and IPv4 address",
    )
    .by_variable(&[(Role::Aegis, "AGENT_HTTP_ADDRESS")])
    .needs_restart(),
    option(
        section::HTTP,
        "http-token-file",
        "AGENT_HTTP_TOKEN_FILE",
        "FILE",
        "",
        "File with a token that every request but /healthz and /health must bring as `Authorization: Bearer …`; the Sigma API sends none",
    )
    .needs_restart(),
];
