//! Signed eBPF programs: where they come from, who is trusted, what they may do here, and who is told.

use super::{Opt, option, section, switch};
use crate::cli::role::Role;

pub(super) const PROGRAMS: &[Opt] = &[
    switch(
        section::PROGRAMS,
        "programs",
        "AGENT_PROGRAMS",
        "Run the signed eBPF programs that a registry assigns to this host",
    )
    .by_role(&[(Role::Aegis, "true")])
    .needs_restart(),
    option(
        section::PROGRAMS,
        "host-id",
        "AGENT_HOST_ID",
        "ID",
        "localhost",
        "What the registry calls this host; every host needs an id of its own",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "registry-url",
        "AGENT_REGISTRY_URL",
        "URL",
        "http://localhost:8084",
        "Base URL of the registry (newer registries listen on 8090)",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "registry-token-file",
        "AGENT_REGISTRY_TOKEN_FILE",
        "FILE",
        "",
        "File with a token for the registry, sent as `Authorization: Bearer …`",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "registry-ca",
        "AGENT_REGISTRY_CA",
        "FILE",
        "",
        "PEM file of CA certificates to trust for the registry besides the system's",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "registry-client-cert",
        "AGENT_REGISTRY_CLIENT_CERT",
        "FILE",
        "",
        "PEM file of a client certificate (mTLS) for the registry; needs its key",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "registry-client-key",
        "AGENT_REGISTRY_CLIENT_KEY",
        "FILE",
        "",
        "PEM file of that certificate's private key",
    )
    .needs_restart(),
    switch(
        section::PROGRAMS,
        "registry-env-proxy",
        "AGENT_REGISTRY_ENV_PROXY",
        "Reach the registry through the proxy that HTTP_PROXY and HTTPS_PROXY name",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "poll-interval",
        "AGENT_POLL_INTERVAL_SEC",
        "SECONDS",
        "30",
        "Time between two questions to the registry, 1 to 86400",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "signature-policy",
        "AGENT_SIGNATURE_POLICY",
        "strict|archive|insecure-accept",
        "strict",
        "`strict` takes only a signed manifest; `archive` also a signature over the archive alone; `insecure-accept` takes whatever the registry sends",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "public-key",
        "AGENT_PUBLIC_KEY",
        "KEY",
        "",
        "Public keys that are trusted: base64 of 32 bytes (Ed25519) or PEM, as many as there are",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-url",
        "AGENT_VAULT_URL",
        "URL",
        "http://localhost:8200",
        "Base URL of Vault or OpenBao",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-key",
        "AGENT_VAULT_KEY",
        "NAME",
        "",
        "Transit key whose versions are trusted",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-mount",
        "AGENT_VAULT_MOUNT",
        "NAME",
        "transit",
        "Where the transit engine is mounted",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-kv-path",
        "AGENT_VAULT_KV_PATH",
        "PATH",
        "",
        "Secret in a KV store (version 2) whose public keys are trusted, such as `bpf-registry/signer`; without --vault-key and this one, Vault is not asked",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-kv-field",
        "AGENT_VAULT_KV_FIELD",
        "NAME",
        "public_key",
        "Field of that secret with the keys, in the forms of --public-key",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-kv-mount",
        "AGENT_VAULT_KV_MOUNT",
        "NAME",
        "secret",
        "Where the KV store is mounted",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-token",
        "AGENT_VAULT_TOKEN",
        "TOKEN",
        "dev-token",
        "Token for Vault; shows in the process list, so prefer the file",
    )
    .secret()
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-token-file",
        "AGENT_VAULT_TOKEN_FILE",
        "FILE",
        "",
        "File with that token, read again for each question",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-namespace",
        "AGENT_VAULT_NAMESPACE",
        "NAME",
        "",
        "Namespace in Vault",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-cacert",
        "AGENT_VAULT_CACERT",
        "FILE",
        "",
        "PEM file of CA certificates to trust for Vault besides the system's",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-refresh",
        "AGENT_VAULT_REFRESH_SEC",
        "SECONDS",
        "300",
        "Time between two questions for the keys, 1 to 86400; a revoked key stops what it signed after this long",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "vault-max-age",
        "AGENT_VAULT_MAX_AGE_SEC",
        "SECONDS",
        "86400",
        "How long fetched keys count while Vault is away, 60 to 2592000; after that nothing new is loaded",
    )
    .needs_restart(),
    switch(
        section::PROGRAMS,
        "programs-plain-http",
        "AGENT_PROGRAMS_PLAIN_HTTP",
        "Let tokens and keys travel unencrypted to a registry or Vault that is not on this host",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "cache-dir",
        "AGENT_CACHE_DIR",
        "DIR",
        "/tmp/aegisflux-agent",
        "Folder for downloaded archives, for a start without the registry; refused if it is somebody else's",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "programs-state-dir",
        "AGENT_PROGRAMS_STATE_DIR",
        "DIR",
        "",
        "Folder for what must outlive a reboot: serials, ends, history; default: the service manager's state folder, else /var/lib/aegisflux-agent",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "pins-dir",
        "AGENT_PINS_DIR",
        "DIR",
        "/sys/fs/bpf/aegisflux-agent",
        "Folder of the agent's own in a bpffs, for programs that outlive the agent, or `off`",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "max-programs",
        "AGENT_MAX_PROGRAMS",
        "N",
        "10",
        "How many programs run at once, 1 to 1000; a new one takes the place of an old one",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "default-ttl",
        "AGENT_DEFAULT_TTL_SEC",
        "SECONDS",
        "3600",
        "How long a program runs whose signer says nothing, 1 to 31536000",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "protected-interfaces",
        "AGENT_PROTECTED_INTERFACES",
        "NAME,NAME",
        "",
        "Interfaces to which nothing is attached, such as the one that administrators come in by",
    )
    .needs_restart(),
    switch(
        section::PROGRAMS,
        "connectivity-guard",
        "AGENT_CONNECTIVITY_GUARD",
        "After attaching a network or LSM program, prove that the registry and the agent's own HTTP port can still be reached, else undo it",
    )
    .on()
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-max-errors",
        "AGENT_ROLLBACK_MAX_ERRORS",
        "N",
        "10",
        "More errors of a program than this lead to its rollback",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-max-violations",
        "AGENT_ROLLBACK_MAX_VIOLATIONS",
        "N",
        "100",
        "More violations than this",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-max-cpu-percent",
        "AGENT_ROLLBACK_MAX_CPU_PERCENT",
        "PERCENT",
        "80.0",
        "More CPU time than this; 100 is one processor all the time",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-max-latency-ms",
        "AGENT_ROLLBACK_MAX_LATENCY_MS",
        "MS",
        "1000.0",
        "A longer mean time of one run than this",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-max-memory-kb",
        "AGENT_ROLLBACK_MAX_MEMORY_KB",
        "KB",
        "102400",
        "More locked memory than this",
    )
    .needs_restart(),
    switch(
        section::PROGRAMS,
        "rollback-verifier-failure",
        "AGENT_ROLLBACK_VERIFIER_FAILURE",
        "Bar a program that the kernel's verifier refuses at once, and report it as rolled back",
    )
    .on()
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-check-interval",
        "AGENT_ROLLBACK_CHECK_INTERVAL_SEC",
        "SECONDS",
        "30",
        "Time between two checks of these limits, and between two reports of figures, 1 to 3600",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-delay",
        "AGENT_ROLLBACK_DELAY_SEC",
        "SECONDS",
        "5",
        "How long a limit has to stay exceeded before the program is undone, 0 to 3600",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-counting",
        "AGENT_ROLLBACK_COUNTING",
        "window|cumulative",
        "window",
        "Whether errors and violations count per check interval or since the program was loaded",
    )
    .needs_restart(),
    option(
        section::PROGRAMS,
        "rollback-mode",
        "AGENT_ROLLBACK_MODE",
        "unload|previous",
        "unload",
        "What takes the place of a program that was rolled back: nothing, or the version before it",
    )
    .needs_restart(),
];

pub(super) const NATS: &[Opt] = &[
    option(
        section::NATS,
        "nats-url",
        "AGENT_NATS_URL",
        "URL",
        "nats://localhost:4222",
        "NATS servers that events go to, separated by commas, or `off`",
    )
    .needs_restart(),
    option(
        section::NATS,
        "telemetry-subject",
        "AGENT_TELEMETRY_SUBJECT",
        "SUBJECT",
        "agent.telemetry",
        "Subject of events and figures",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-credentials-file",
        "AGENT_NATS_CREDENTIALS_FILE",
        "FILE",
        "",
        "NATS credentials file (JWT and seed)",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-token-file",
        "AGENT_NATS_TOKEN_FILE",
        "FILE",
        "",
        "File with a NATS token",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-nkey-file",
        "AGENT_NATS_NKEY_FILE",
        "FILE",
        "",
        "File with an NKey seed",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-user",
        "AGENT_NATS_USER",
        "NAME",
        "",
        "User at NATS; needs its password file",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-password-file",
        "AGENT_NATS_PASSWORD_FILE",
        "FILE",
        "",
        "File with that user's password",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-ca",
        "AGENT_NATS_CA",
        "FILE",
        "",
        "PEM file of CA certificates to trust for NATS instead of the system's; asks for TLS",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-client-cert",
        "AGENT_NATS_CLIENT_CERT",
        "FILE",
        "",
        "PEM file of a client certificate (mTLS) for NATS; needs its key",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-client-key",
        "AGENT_NATS_CLIENT_KEY",
        "FILE",
        "",
        "PEM file of that certificate's private key",
    )
    .needs_restart(),
    switch(
        section::NATS,
        "nats-jetstream",
        "AGENT_NATS_JETSTREAM",
        "Publish through JetStream, with acknowledgement and deduplication; needs streams on the server",
    )
    .needs_restart(),
    switch(
        section::NATS,
        "nats-flat-subjects",
        "AGENT_NATS_FLAT_SUBJECTS",
        "Publish also to the subjects without this host's id, and listen to requests for all hosts; a hardened server permits only those with it",
    )
    .on()
    .needs_restart(),
    option(
        section::NATS,
        "nats-commands-stream",
        "AGENT_NATS_COMMANDS_STREAM",
        "NAME",
        "",
        "Take requests from this JetStream stream, so that none is lost while this host is away; needs the stream on the server",
    )
    .needs_restart(),
    option(
        section::NATS,
        "nats-commands-key",
        "AGENT_NATS_COMMANDS_KEY",
        "KEY",
        "",
        "Ed25519 public keys (base64 or PEM, several with commas) that requests must be signed with; default: no signature is asked for",
    )
    .needs_restart(),
];
