//! The push of samples to a LunaSentri-style API.

use super::{Opt, option, section, switch};
use crate::cli::role::Role;

/// The server that the specification names.
const SERVER: &str = "https://lunasentri-api.serverplus.org";

pub(super) const PUSH: &[Opt] = &[
    switch(
        section::PUSH,
        "push",
        "AGENT_PUSH",
        "Push a sample of this host to the server below, again and again",
    )
    .by_role(&[(Role::Luna, "true")])
    .needs_restart(),
    option(
        section::PUSH,
        "push-url",
        "LUNASENTRI_SERVER_URL",
        "URL",
        SERVER,
        "Base URL of the server",
    )
    .named(&[(Role::Luna, "server-url")]),
    option(
        section::PUSH,
        "push-key",
        "LUNASENTRI_API_KEY",
        "KEY",
        "",
        "Key of this machine at the server; shows in the process list, so prefer the file",
    )
    .named(&[(Role::Luna, "api-key")])
    .secret(),
    option(
        section::PUSH,
        "push-key-file",
        "LUNASENTRI_API_KEY_FILE",
        "FILE",
        "",
        "File with the key; read again on SIGHUP and when the server answers 401",
    )
    .named(&[(Role::Luna, "api-key-file")]),
    option(
        section::PUSH,
        "push-next-key",
        "LUNASENTRI_NEXT_KEY",
        "KEY",
        "",
        "Key that is tried when the server refuses the first, for a rotation without a restart",
    )
    .named(&[(Role::Luna, "next-key")])
    .secret(),
    option(
        section::PUSH,
        "push-next-key-file",
        "LUNASENTRI_NEXT_KEY_FILE",
        "FILE",
        "",
        "File with that key",
    )
    .named(&[(Role::Luna, "next-key-file")]),
    option(
        section::PUSH,
        "push-interval",
        "LUNASENTRI_INTERVAL",
        "DURATION",
        "10s",
        "Time between samples, 1s to 1h (the server calls a machine offline after 120s)",
    )
    .named(&[(Role::Luna, "interval")]),
    option(
        section::PUSH,
        "push-retry-backoff",
        "LUNASENTRI_RETRY_BACKOFF",
        "DURATION",
        "5s",
        "Wait before the first retry, 100ms to 1m; it doubles each time, with jitter, up to a minute",
    )
    .named(&[(Role::Luna, "retry-backoff")]),
    option(
        section::PUSH,
        "push-max-retries",
        "LUNASENTRI_MAX_RETRIES",
        "N",
        "3",
        "How often one sample is tried again before it waits in the backlog, 0 to 100",
    )
    .named(&[(Role::Luna, "max-retries")]),
    option(
        section::PUSH,
        "push-system-info-period",
        "LUNASENTRI_SYSTEM_INFO_PERIOD",
        "DURATION",
        "1h",
        "How often facts about this host are sent along, 1m to 30d",
    )
    .named(&[(Role::Luna, "system-info-period")]),
    option(
        section::PUSH,
        "push-backfill",
        "LUNASENTRI_BACKFILL",
        "off|latest|all",
        "off",
        "Which samples of an outage are sent afterwards: LunaSentri files samples under the time of their arrival, so `off` keeps them here (see `backlog`); `latest` sends the newest; `all` sends all, oldest first, one a second, for servers that honour timestamps",
    )
    .named(&[(Role::Luna, "backfill")]),
    option(
        section::PUSH,
        "push-backlog-mib",
        "LUNASENTRI_BACKLOG_MIB",
        "MIB",
        "8",
        "Most space on disk for samples that could not be sent, 1 to 1024; the oldest go first (8 hold 30 days of one every 10 seconds)",
    )
    .named(&[(Role::Luna, "backlog-mib")])
    .needs_restart(),
    option(
        section::PUSH,
        "push-backlog-age",
        "LUNASENTRI_BACKLOG_AGE",
        "DURATION",
        "30d",
        "How long samples that could not be sent are kept, 1h to 365d",
    )
    .named(&[(Role::Luna, "backlog-age")])
    .needs_restart(),
    option(
        section::PUSH,
        "push-state-dir",
        "LUNASENTRI_STATE_DIR",
        "DIR",
        "",
        "Folder for samples that could not be sent; default: the service manager's state folder, else /var/lib/lunasentri",
    )
    .named(&[(Role::Luna, "state-dir")])
    .needs_restart(),
    switch(
        section::PUSH,
        "push-plain-http",
        "LUNASENTRI_PLAIN_HTTP",
        "Let the key travel unencrypted to a server that is not on this host",
    )
    .named(&[(Role::Luna, "plain-http")]),
    option(
        section::PUSH,
        "push-ca",
        "LUNASENTRI_CA",
        "FILE",
        "",
        "PEM file of CA certificates to trust for the server besides the system's",
    )
    .named(&[(Role::Luna, "ca")]),
    option(
        section::PUSH,
        "push-client-cert",
        "LUNASENTRI_CLIENT_CERT",
        "FILE",
        "",
        "PEM file of a client certificate (mTLS) for the server; needs its key",
    )
    .named(&[(Role::Luna, "client-cert")]),
    option(
        section::PUSH,
        "push-client-key",
        "LUNASENTRI_CLIENT_KEY",
        "FILE",
        "",
        "PEM file of that certificate's private key",
    )
    .named(&[(Role::Luna, "client-key")]),
    switch(
        section::PUSH,
        "push-env-proxy",
        "LUNASENTRI_ENV_PROXY",
        "Reach the server through the proxy that HTTP_PROXY and HTTPS_PROXY name",
    )
    .named(&[(Role::Luna, "env-proxy")]),
];
