//! The table of options: it feeds the parser, the help, the configuration file and docs/CONFIG.md.

/// What a group of options is about; the order is that of the help and the docs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Api,
    Identity,
    Addresses,
    Http,
    Ports,
    Host,
    General,
}

impl Section {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::Api,
        Self::Identity,
        Self::Addresses,
        Self::Http,
        Self::Ports,
        Self::Host,
        Self::General,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Api => "Sigma API",
            Self::Identity => "Identity and rhythm",
            Self::Addresses => "Addresses",
            Self::Http => "HTTP server",
            Self::Ports => "Port scan",
            Self::Host => "Where the host is",
            Self::General => "General",
        }
    }
}

/// What a reload (SIGHUP) does with a changed value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reload {
    /// Taken over while running.
    Live,
    /// Said in the log, taken over at the next start.
    Restart,
}

/// One option: `--name VALUE`, its environment variable and its key in the file.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) env: &'static str,
    /// What stands for the value in help texts; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    /// Used where nobody says otherwise; `""` means that the option is off.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) section: Section,
    /// Never printed, not even in an error.
    pub(crate) secret: bool,
    pub(crate) reload: Reload,
}

impl Opt {
    /// The key in the YAML file: the name with underscores.
    pub(crate) fn key(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The option called `name`. Asking for one that is not in the table is a mistake in this program, found by any test that loads a configuration.
pub(crate) fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.name == name)
}

const fn option(
    section: Section,
    name: &'static str,
    env: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Opt {
    Opt {
        name,
        env,
        value: Some(value),
        default,
        help,
        section,
        secret: false,
        reload: Reload::Live,
    }
}

const fn switch(
    section: Section,
    name: &'static str,
    env: &'static str,
    help: &'static str,
) -> Opt {
    Opt {
        name,
        env,
        value: None,
        default: "false",
        help,
        section,
        secret: false,
        reload: Reload::Live,
    }
}

impl Opt {
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn needs_restart(mut self) -> Self {
        self.reload = Reload::Restart;
        self
    }
}

/// Interfaces of container and VM bridges: their addresses mean nothing outside this host.
const BRIDGES: &str = "docker*,br-????????????,veth*,cni*,podman*,nerdctl*,virbr*,vnet*,lxcbr*,lxdbr*,incusbr*,ve-*,vb-*,vz-*,flannel*,cali*,vxlan.calico,cilium_*,weave*,kube-*";

/// The categories that dashboards know.
const SOURCES: &str = "envoy,sshd,nginx,node_exporter=node_exporter|prometheus-node-exporter,xray";

const SERVICES: &str = "https://icanhazip.com,https://ifconfig.me/ip,https://api.ipify.org";

/// Every option of the agent.
pub(crate) const OPTIONS: &[Opt] = &[
    option(
        Section::Api,
        "api-url",
        "SIGMA_API_URL",
        "URL",
        "http://localhost:3000/api",
        "Base URL of the Sigma API",
    ),
    option(
        Section::Api,
        "api-key",
        "SIGMA_API_KEY",
        "KEY",
        "",
        "API key; shows in the process list, so prefer --api-key-file",
    )
    .secret(),
    option(
        Section::Api,
        "api-key-file",
        "SIGMA_API_KEY_FILE",
        "FILE",
        "",
        "File with the API key; read again on SIGHUP and when the API answers 401",
    ),
    option(
        Section::Api,
        "api-ca",
        "SIGMA_API_CA",
        "FILE",
        "",
        "PEM file of CA certificates to trust for the API besides the system's",
    ),
    option(
        Section::Api,
        "api-client-cert",
        "SIGMA_API_CLIENT_CERT",
        "FILE",
        "",
        "PEM file of a client certificate (mTLS); needs --api-client-key",
    ),
    option(
        Section::Api,
        "api-client-key",
        "SIGMA_API_CLIENT_KEY",
        "FILE",
        "",
        "PEM file of the client certificate's private key",
    ),
    switch(
        Section::Api,
        "api-env-proxy",
        "SIGMA_API_ENV_PROXY",
        "Reach the API through the proxy that HTTP_PROXY and HTTPS_PROXY name",
    ),
    option(
        Section::Identity,
        "interval",
        "AGENT_INTERVAL",
        "SECONDS",
        "60",
        "Heartbeat interval, 1 to 150 seconds (the web UI calls a host offline after 180)",
    ),
    option(
        Section::Identity,
        "first-contact",
        "AGENT_FIRST_CONTACT",
        "register|heartbeat",
        "register",
        "What a start sends first: `register` also makes a retired or suspended VPS active again, `heartbeat` asks first and registers only where needed",
    ),
    option(
        Section::Identity,
        "hostname",
        "AGENT_HOSTNAME",
        "NAME",
        "",
        "Hostname to report; default: first line of /etc/host_hostname, else the kernel's",
    ),
    option(
        Section::Identity,
        "alias",
        "AGENT_ALIAS",
        "NAME",
        "",
        "Alias to register, such as a DNS name under which the API reaches this host",
    ),
    option(
        Section::Identity,
        "ssh-port",
        "AGENT_SSH_PORT",
        "PORT",
        "22",
        "SSH port to report",
    ),
    option(
        Section::Addresses,
        "public-ip",
        "AGENT_PUBLIC_IP",
        "IP",
        "",
        "Public address to report, for multi-homed hosts and forwarded ports; asks nobody",
    ),
    option(
        Section::Addresses,
        "public-ip-lookup",
        "AGENT_PUBLIC_IP_LOOKUP",
        "auto|always|off",
        "auto",
        "Ask the services below for the public address: `auto` only where no local address is public",
    ),
    option(
        Section::Addresses,
        "public-ip-services",
        "AGENT_PUBLIC_IP_SERVICES",
        "URL,URL",
        SERVICES,
        "Services that answer with the caller's address, asked in this order",
    ),
    option(
        Section::Addresses,
        "ignore-interfaces",
        "AGENT_IGNORE_INTERFACES",
        "PATTERN,PATTERN",
        BRIDGES,
        "Interfaces whose addresses are not reported; `*` stands for anything, `?` for one character",
    ),
    option(
        Section::Http,
        "metrics-port",
        "AGENT_METRICS_PORT",
        "PORT",
        "9102",
        "Port of the HTTP server, 0 = off",
    )
    .needs_restart(),
    option(
        Section::Http,
        "metrics-address",
        "AGENT_METRICS_ADDRESS",
        "IP",
        "::",
        "Address of the HTTP server; `::` is every IPv6 and IPv4 address",
    )
    .needs_restart(),
    option(
        Section::Http,
        "http-token-file",
        "AGENT_HTTP_TOKEN_FILE",
        "FILE",
        "",
        "File with a token that every request but /healthz must bring as `Authorization: Bearer …`; the Sigma API sends none",
    )
    .needs_restart(),
    switch(
        Section::Http,
        "node-compat",
        "AGENT_NODE_COMPAT",
        "Show the host on /metrics under node_exporter's names too, for dashboards and alerts made for it",
    )
    .needs_restart(),
    switch(
        Section::Ports,
        "port-scan",
        "AGENT_PORT_SCAN",
        "Scan which ports are taken and by whom",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "port-scan-range",
        "AGENT_PORT_SCAN_RANGE",
        "START-END",
        "10000-30000",
        "Ports to scan: ranges and single ports separated by commas",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "port-scan-interval",
        "AGENT_PORT_SCAN_INTERVAL",
        "SECONDS",
        "60",
        "Time between scans, 1 second to 1 day",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "port-scan-method",
        "AGENT_PORT_SCAN_METHOD",
        "exact|listen|bind",
        "exact",
        "How ports are looked at: `exact` equals a bind test; `listen` sees listeners and UDP only, for hosts with very many connections; `bind` tests every port",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "port-scan-exclude",
        "AGENT_PORT_SCAN_EXCLUDE",
        "PORTS",
        "",
        "Ports to hand out never, such as those that the kernel redirects (DNAT): no socket shows them",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "port-scan-sources",
        "AGENT_PORT_SCAN_SOURCES",
        "NAME,NAME=PROGRAM|PROGRAM",
        SOURCES,
        "Categories of owners; `other` and `unknown` are always there",
    )
    .needs_restart(),
    option(
        Section::Ports,
        "attribution",
        "AGENT_ATTRIBUTION",
        "auto|proc|ss|off",
        "auto",
        "Who tells the owners of ports: `proc` (what `auto` is) reads the open files of processes, and takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for those of other users; `ss` runs that command",
    )
    .needs_restart(),
    option(
        Section::Host,
        "host-root",
        "AGENT_HOST_ROOT",
        "DIR",
        "/",
        "Where the host's file system is mounted; proc and sys are looked for below it",
    )
    .needs_restart(),
    option(
        Section::Host,
        "host-proc",
        "AGENT_HOST_PROC",
        "DIR",
        "",
        "Where the host's /proc is mounted, if not below --host-root",
    )
    .needs_restart(),
    option(
        Section::General,
        "config",
        "AGENT_CONFIG",
        "FILE",
        "/etc/sigma-agent/agent.yaml",
        "Configuration file; the default one may be missing",
    )
    .needs_restart(),
    option(
        Section::General,
        "log-level",
        "AGENT_LOG_LEVEL",
        "LEVEL",
        "info",
        "How much is logged: error, warn, info, debug or trace",
    ),
    option(
        Section::General,
        "log-format",
        "AGENT_LOG_FORMAT",
        "auto|human|json",
        "auto",
        "`auto` is JSON under a service manager, else lines for people",
    )
    .needs_restart(),
];
