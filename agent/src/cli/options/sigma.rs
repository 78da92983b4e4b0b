//! The Sigma API, the addresses it hears of, and the port scan.

use super::{Opt, option, section, switch};
use crate::cli::role::Role;

/// The categories that dashboards know.
const SOURCES: &str = "envoy,sshd,nginx,node_exporter=node_exporter|prometheus-node-exporter,xray";

const SERVICES: &str = "https://icanhazip.com,https://ifconfig.me/ip,https://api.ipify.org";

pub(super) const API: &[Opt] = &[
    switch(
        section::API,
        "heartbeat",
        "AGENT_HEARTBEAT",
        "Register this host with the Sigma API and send heartbeats",
    )
    .by_role(&[(Role::Sigma, "true")])
    .needs_restart(),
    option(
        section::API,
        "api-url",
        "SIGMA_API_URL",
        "URL",
        "http://localhost:3000/api",
        "Base URL of the Sigma API",
    ),
    option(
        section::API,
        "api-key",
        "SIGMA_API_KEY",
        "KEY",
        "",
        "API key; shows in the process list, so prefer --api-key-file",
    )
    .named(&[(Role::Luna, "sigma-api-key")])
    .secret(),
    option(
        section::API,
        "api-key-file",
        "SIGMA_API_KEY_FILE",
        "FILE",
        "",
        "File with the API key; read again on SIGHUP and when the API answers 401",
    )
    .named(&[(Role::Luna, "sigma-api-key-file")]),
    option(
        section::API,
        "api-ca",
        "SIGMA_API_CA",
        "FILE",
        "",
        "PEM file of CA certificates to trust for the API besides the system's",
    ),
    option(
        section::API,
        "api-client-cert",
        "SIGMA_API_CLIENT_CERT",
        "FILE",
        "",
        "PEM file of a client certificate (mTLS); needs --api-client-key",
    ),
    option(
        section::API,
        "api-client-key",
        "SIGMA_API_CLIENT_KEY",
        "FILE",
        "",
        "PEM file of the client certificate's private key",
    ),
    switch(
        section::API,
        "api-env-proxy",
        "SIGMA_API_ENV_PROXY",
        "Reach the API through the proxy that HTTP_PROXY and HTTPS_PROXY name",
    ),
];

pub(super) const HEARTBEATS: &[Opt] = &[
    option(
        section::HEARTBEATS,
        "interval",
        "AGENT_INTERVAL",
        "SECONDS",
        "60",
        "Heartbeat interval, 1 to 150 seconds (the web UI calls a host offline after 180)",
    )
    .named(&[(Role::Luna, "sigma-interval")]),
    option(
        section::HEARTBEATS,
        "first-contact",
        "AGENT_FIRST_CONTACT",
        "register|heartbeat",
        "register",
        "What a start sends first: `register` also makes a retired or suspended VPS active again, `heartbeat` asks first and registers only where needed",
    ),
    option(
        section::HEARTBEATS,
        "alias",
        "AGENT_ALIAS",
        "NAME",
        "",
        "Alias to register, such as a DNS name under which the API reaches this host",
    ),
    option(
        section::HEARTBEATS,
        "ssh-port",
        "AGENT_SSH_PORT",
        "PORT",
        "22",
        "SSH port to report",
    ),
];

pub(super) const ADDRESSES: &[Opt] = &[
    option(
        section::ADDRESSES,
        "public-ip",
        "AGENT_PUBLIC_IP",
        "IP",
        "",
        "Public address to report, for multi-homed hosts and forwarded ports; asks nobody",
    ),
    option(
        section::ADDRESSES,
        "public-ip-lookup",
        "AGENT_PUBLIC_IP_LOOKUP",
        "auto|always|off",
        "auto",
        "Ask the services below for the public address: `auto` only where no local address is public",
    ),
    option(
        section::ADDRESSES,
        "public-ip-services",
        "AGENT_PUBLIC_IP_SERVICES",
        "URL,URL",
        SERVICES,
        "Services that answer with the caller's address, asked in this order",
    ),
];

pub(super) const HTTP: &[Opt] = &[
    switch(
        section::HTTP,
        "node-compat",
        "AGENT_NODE_COMPAT",
        "Show the host on /metrics under node_exporter's names too, for dashboards and alerts made for it",
    )
    .needs_restart(),
];

pub(super) const PORTS: &[Opt] = &[
    switch(
        section::PORTS,
        "port-scan",
        "AGENT_PORT_SCAN",
        "Scan which ports are taken and by whom",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "port-scan-range",
        "AGENT_PORT_SCAN_RANGE",
        "START-END",
        "10000-30000",
        "Ports to scan: ranges and single ports separated by commas",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "port-scan-interval",
        "AGENT_PORT_SCAN_INTERVAL",
        "SECONDS",
        "60",
        "Time between scans, 1 second to 1 day",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "port-scan-method",
        "AGENT_PORT_SCAN_METHOD",
        "exact|listen|bind",
        "exact",
        "How ports are looked at: `exact` equals a bind test; `listen` sees listeners and UDP only, for hosts with very many connections; `bind` tests every port",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "port-scan-exclude",
        "AGENT_PORT_SCAN_EXCLUDE",
        "PORTS",
        "",
        "Ports to hand out never, such as those that the kernel redirects (DNAT): no socket shows them",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "port-scan-sources",
        "AGENT_PORT_SCAN_SOURCES",
        "NAME,NAME=PROGRAM|PROGRAM",
        SOURCES,
        "Categories of owners; `other` and `unknown` are always there",
    )
    .needs_restart(),
    option(
        section::PORTS,
        "attribution",
        "AGENT_ATTRIBUTION",
        "auto|proc|ss|off",
        "auto",
        "Who tells the owners of ports: `proc` (what `auto` is) reads the open files of processes, and takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for those of other users; `ss` runs that command",
    )
    .needs_restart(),
];
