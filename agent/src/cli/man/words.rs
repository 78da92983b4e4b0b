//! What the manual page says that no table has.

use super::Role;
use super::options;

pub(super) const DESCRIPTION: &[&str] = &[
    "It goes on by itself when a server is down, when its record was deleted, when its key is rotated in the file and when its address changes. It says a change of state once, starts no process, and writes nothing but what could not be sent and what must outlive a restart.",
    "Before the first start, `check` tells whether it would run well here, and what to do where it would not.",
];

pub(super) const OPTIONS: &[&str] = &[
    "Every option can stand on the command line, in the environment and in the file; the first that has it, in this order, counts. An empty variable counts as not given. All mistakes are told at once, and nothing is started then.",
    "Switches take true, false, yes, no, on, off, 1 and 0; alone they mean true. Lists are separated by commas, or are YAML lists in the file.",
];

/// Files of a role, by the options that name them.
pub(super) fn files(role: Role) -> Vec<(String, &'static str)> {
    let mut files = Vec::new();
    let mut put = |path: &str, what| files.push((path.to_owned(), what));
    let of = |name: &str| options::find(name).map_or("", |option| option.default(role));
    put(
        of("config"),
        "Configuration, unless --config names another file: a line of `key: value` for each option; KEY=VALUE in a file that ends in .conf. It may be missing. With secrets in it, it is for root and the agent's group alone.",
    );
    match role {
        Role::Luna => {
            put(
                "~/.config/lunasentri/agent.yaml",
                "Configuration where the other file is missing.",
            );
            put(
                "/var/lib/lunasentri",
                "Samples that could not be sent, unless the service manager or --state-dir names another folder; `backlog` prints them.",
            );
        }
        Role::Aegis => {
            put(
                "/var/lib/aegisflux-agent",
                "Serials, ends and history of programs, and events that could not be sent.",
            );
            put(
                of("cache-dir"),
                "Downloaded archives, for a start without the registry.",
            );
            put(of("pins-dir"), "Programs that outlive the agent.");
        }
        Role::Sigma => put(
            "/etc/host_hostname",
            "If it is there, its first line is the name that the host reports.",
        ),
        Role::Guest => {}
    }
    files
}

pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "CREDENTIALS_DIRECTORY",
        "Where systemd puts the files of LoadCredential: sigma_api_key, lunasentri_api_key, lunasentri_next_key and aegis_vault_token are taken where no option gives that secret.",
    ),
    (
        "STATE_DIRECTORY",
        "The folder of StateDirectory, for what could not be sent and what must outlive a restart.",
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "Readiness, reload and watchdog of systemd (Type=notify, WatchdogSec).",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "CA certificates, where they are not in the usual places of the system.",
    ),
    (
        "HTTP_PROXY, HTTPS_PROXY, NO_PROXY",
        "Proxies, only where an option that ends in env-proxy asks for them.",
    ),
];

pub(super) const SIGNALS: &[(&str, &str)] = &[
    ("SIGTERM, SIGINT", "Stop; the exit status is 0."),
    (
        "SIGHUP",
        "Read configuration and key files anew. A configuration with a mistake changes nothing and is told in the log; so is a changed option that needs a restart.",
    ),
];

/// What an example does, and its lines.
pub(super) fn examples(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Sigma => &[
            (
                "Run with a key in a file, after a look at whether it would work:",
                "sigma-agent check --api-url https://sigma.example/api --api-key-file /etc/sigma-agent/key\nsigma-agent --api-url https://sigma.example/api --api-key-file /etc/sigma-agent/key",
            ),
            (
                "The same in the file /etc/sigma-agent/agent.yaml:",
                "api_url: https://sigma.example/api\napi_key_file: /etc/sigma-agent/key\nport_scan: true",
            ),
            (
                "Who has which port, and three free ones:",
                "sigma-agent ports --range 1-65535\nsigma-agent ports allocate 3",
            ),
            (
                "Take over a changed file or key:",
                "systemctl reload sigma-agent",
            ),
        ],
        Role::Luna => &[
            (
                "Push a sample every ten seconds:",
                "lunasentri-agent --server-url https://api.example --api-key-file /etc/lunasentri/key --interval 10s",
            ),
            (
                "The same in the file /etc/lunasentri/agent.yaml:",
                "server_url: \"https://api.example\"\napi_key: \"…\"\ninterval: \"10s\"",
            ),
            (
                "What an outage of the server has left here:",
                "lunasentri-agent backlog > outage.jsonl",
            ),
        ],
        Role::Guest => &[
            (
                "In a Firecracker guest, with a report of its address to the manager:",
                "guest-agent --vm-id vm-7 --manager-url http://172.16.0.1:18080",
            ),
            (
                "The same in the file /etc/guest-agent.conf:",
                "VM_ID=vm-7\nMANAGER_URL=http://172.16.0.1:18080",
            ),
        ],
        Role::Aegis => &[
            (
                "Run what a registry assigns to db-02 and a key has signed:",
                "local-agent --host-id db-02 --registry-url https://registry.example --public-key KEY",
            ),
            (
                "What this kernel takes of such programs:",
                "local-agent programs doctor",
            ),
        ],
    }
}
