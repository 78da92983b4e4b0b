//! Where signed programs come from, who is trusted, what they may do here, and who is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bpf_artifact::{HostId, Policy, PublicKey};
use bpf_lifecycle::{Counting, Limits, ReturnTo, Settings};

use super::server::{Server, take_server};
use super::vault::{self, Vault};
use crate::cli::layers::{Env, Layers};
use crate::cli::values;

/// What running signed programs needs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Programs {
    pub(crate) host_id: HostId,
    pub(crate) registry: Registry,
    pub(crate) policy: Policy,
    pub(crate) public_keys: Vec<PublicKey>,
    /// `None`: Vault is not asked.
    pub(crate) vault: Option<Vault>,
    /// Whether tokens and keys may travel unencrypted to other machines.
    pub(crate) plain_http: bool,
    pub(crate) cache: PathBuf,
    pub(crate) state: PathBuf,
    /// `None`: no program outlives the agent.
    pub(crate) pins: Option<PathBuf>,
    pub(crate) default_ttl: Duration,
    pub(crate) protected_interfaces: Vec<String>,
    /// Whether a program that cuts the agent off is undone.
    pub(crate) guard: bool,
    pub(crate) lifecycle: Settings,
    /// `None`: events go nowhere.
    pub(crate) nats: Option<Nats>,
}

/// Who assigns programs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Registry {
    pub(crate) url: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) server: Server,
    pub(crate) interval: Duration,
}

/// Who is told.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Nats {
    pub(crate) urls: Vec<String>,
    pub(crate) telemetry_subject: String,
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) nkey_file: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and private key, both PEM files.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    pub(crate) jetstream: bool,
    /// Whether the subjects without the host's id are published to as well.
    pub(crate) flat_subjects: bool,
    /// The stream that requests come from; `None`: they come as they are sent.
    pub(crate) commands_stream: Option<String>,
    /// Who may send requests; empty: whoever may publish to the subject.
    pub(crate) command_keys: Vec<PublicKey>,
}

const POLICY: &[(&str, Policy)] = &[
    ("strict", Policy::Strict),
    ("archive", Policy::Archive),
    ("insecure-accept", Policy::InsecureAccept),
];
const COUNTING: &[(&str, Counting)] = &[
    ("window", Counting::Window),
    ("cumulative", Counting::Cumulative),
];
const MODE: &[(&str, ReturnTo)] = &[
    ("unload", ReturnTo::Nothing),
    ("previous", ReturnTo::Previous),
];

/// Where the state is kept where nobody says otherwise.
const STATE: &str = "/var/lib/aegisflux-agent";

const DAY: u64 = 86_400;

/// Signed programs; the outer `None` is a mistake, the inner one switched off.
pub(super) fn take(layers: &mut Layers, env: Env<'_>) -> Option<Option<Programs>> {
    let on = layers.take("programs", values::boolean);
    let host_id = layers.take("host-id", values::host_id);
    let registry = take_registry(layers);
    let policy = layers.take("signature-policy", values::choice(POLICY));
    let given = layers.rank("public-key").is_some();
    let public_keys = layers.take("public-key", values::public_keys);
    let vault = vault::take(layers, env);
    let plain_http = layers.take("programs-plain-http", values::boolean);
    let cache = layers.take("cache-dir", values::path);
    let state = layers.take("programs-state-dir", values::path);
    let pins = layers.take("pins-dir", values::path_or_off);
    let default_ttl = layers.take("default-ttl", values::duration(1..=365 * DAY));
    let protected = layers.take("protected-interfaces", values::list(values::text));
    let guard = layers.take("connectivity-guard", values::boolean);
    let lifecycle = take_lifecycle(layers);
    let nats = take_nats(layers);
    if given && public_keys.is_none() {
        return None;
    }
    let programs = Programs {
        host_id: host_id?,
        registry: registry?,
        policy: policy?,
        public_keys: public_keys.unwrap_or_default(),
        vault: vault?,
        plain_http: plain_http?,
        cache: cache?,
        state: state.unwrap_or_else(|| super::state_folder(env, STATE)),
        pins: pins?,
        default_ttl: default_ttl?,
        protected_interfaces: protected.unwrap_or_default(),
        guard: guard?,
        lifecycle: lifecycle?,
        nats: nats?,
    };
    if !on? {
        return Some(None);
    }
    demand(layers, &programs);
    warn(layers, &programs);
    Some(Some(programs))
}

fn take_registry(layers: &mut Layers) -> Option<Registry> {
    let url = layers.take("registry-url", values::http_url);
    let token_file = layers.take("registry-token-file", values::token_file);
    let server = take_server(
        layers,
        "registry-ca",
        "registry-client-cert",
        "registry-client-key",
        "registry-env-proxy",
    );
    let interval = layers.take("poll-interval", values::duration(1..=DAY));
    Some(Registry {
        url: url?,
        token_file,
        server: server?,
        interval: interval?,
    })
}

fn take_lifecycle(layers: &mut Layers) -> Option<Settings> {
    let max_programs = layers.take("max-programs", values::whole(1..=1000));
    let max_errors = layers.take("rollback-max-errors", values::whole(0..=u64::MAX));
    let max_violations = layers.take("rollback-max-violations", values::whole(0..=u64::MAX));
    let max_cpu_percent = layers.take("rollback-max-cpu-percent", values::amount);
    let max_latency_ms = layers.take("rollback-max-latency-ms", values::amount);
    let max_memory_kb = layers.take("rollback-max-memory-kb", values::whole(1..=u64::MAX));
    let verifier_failure = layers.take("rollback-verifier-failure", values::boolean);
    let interval = layers.take("rollback-check-interval", values::duration(1..=3600));
    let delay = layers.take("rollback-delay", values::duration(0..=3600));
    let counting = layers.take("rollback-counting", values::choice(COUNTING));
    let return_to = layers.take("rollback-mode", values::choice(MODE));
    Some(Settings {
        max_programs: usize::try_from(max_programs?).ok()?,
        limits: Limits {
            max_errors: max_errors?,
            max_violations: max_violations?,
            max_cpu_percent: max_cpu_percent?,
            max_latency_ms: max_latency_ms?,
            max_memory_kb: max_memory_kb?,
            verifier_failure: verifier_failure?,
        },
        counting: counting?,
        check_interval_seconds: interval?.as_secs(),
        rollback_delay_seconds: delay?.as_secs(),
        return_to: return_to?,
        ..Settings::default()
    })
}

fn take_nats(layers: &mut Layers) -> Option<Option<Nats>> {
    let urls = layers.take("nats-url", values::nats_urls);
    let telemetry_subject = layers.take("telemetry-subject", values::subject);
    let credentials_file = layers.take("nats-credentials-file", values::token_file);
    let token_file = layers.take("nats-token-file", values::token_file);
    let nkey_file = layers.take("nats-nkey-file", values::token_file);
    let user = layers.take("nats-user", values::text);
    let password_file = layers.take("nats-password-file", values::token_file);
    let ca = layers.take("nats-ca", values::pem);
    let certificate = layers.take("nats-client-cert", values::pem);
    let private = layers.take("nats-client-key", values::pem);
    let jetstream = layers.take("nats-jetstream", values::boolean);
    let flat_subjects = layers.take("nats-flat-subjects", values::boolean);
    let commands_stream = layers.take("nats-commands-stream", values::stream);
    let keys_given = layers.rank("nats-commands-key").is_some();
    let command_keys = layers.take("nats-commands-key", values::ed25519_keys);
    if user.is_some() != password_file.is_some() {
        layers.mistake(
            "--nats-user and --nats-password-file go together: give both or neither".to_owned(),
        );
    }
    if keys_given && command_keys.is_none() {
        return None;
    }
    if certificate.is_some() != private.is_some() {
        layers.mistake(
            "--nats-client-cert and --nats-client-key go together: give both or neither".to_owned(),
        );
    }
    let (urls, telemetry_subject) = (urls?, telemetry_subject?);
    let (jetstream, flat_subjects) = (jetstream?, flat_subjects?);
    Some((!urls.is_empty()).then_some(Nats {
        urls,
        telemetry_subject,
        credentials_file,
        token_file,
        nkey_file,
        user,
        password_file,
        ca,
        client: certificate.zip(private),
        jetstream,
        flat_subjects,
        commands_stream,
        command_keys: command_keys.unwrap_or_default(),
    }))
}

/// What must not travel where everybody can read or alter it.
fn demand(layers: &mut Layers, programs: &Programs) {
    if programs.plain_http {
        return;
    }
    let advice = "use https, or say --programs-plain-http";
    let token = programs.registry.token_file.is_some();
    if token && values::is_plain_to_others(&programs.registry.url) {
        layers.mistake(format!(
            "--registry-url: plain http would show the token to everybody on the way; {advice}"
        ));
    }
    let vault = programs.vault.as_ref();
    if vault.is_some_and(|vault| values::is_plain_to_others(&vault.url)) {
        layers.mistake(format!(
            "--vault-url: whoever can alter plain http decides which keys are trusted; {advice}"
        ));
    }
}

fn warn(layers: &mut Layers, programs: &Programs) {
    let mut warn = |text: &str| layers.warnings.push(text.to_owned());
    if programs.host_id.as_str() == "localhost" {
        warn(
            "--host-id is `localhost`: every host that keeps this default is the same one to the registry",
        );
    }
    if programs.policy == Policy::InsecureAccept {
        warn(
            "--signature-policy insecure-accept: whoever reaches the registry can run code in this kernel",
        );
    } else if programs.public_keys.is_empty() && programs.vault.is_none() {
        warn(
            "no key is trusted (--public-key, --vault-key and --vault-kv-path are not set): no program will be loaded",
        );
    }
    if programs.cache.starts_with(Path::new("/tmp")) {
        warn(
            "--cache-dir is below /tmp, where everybody can take the name first: give a folder of the agent's own",
        );
    }
}
