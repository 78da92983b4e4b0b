//! Where samples are pushed, how often, and what becomes of those that could not be sent.

use std::path::PathBuf;
use std::time::Duration;

use metricpush::{ApiKey, ServerUrl};

use super::server::{KeySource, Server, take_key, take_server};
use crate::cli::layers::{Env, Layers};
use crate::cli::values;

/// What the push of samples needs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Push {
    pub(crate) server_url: ServerUrl,
    pub(crate) key: KeySource,
    /// Tried when the server refuses the first.
    pub(crate) next_key: KeySource,
    pub(crate) server: Server,
    pub(crate) interval: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) max_retries: u32,
    pub(crate) system_info_period: Duration,
    pub(crate) backfill: Backfill,
}

/// Which samples of an outage are sent when it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backfill {
    /// None: they stay in the backlog.
    Off,
    /// The newest; the others are given up.
    Latest,
    /// All, the oldest first.
    All,
}

/// What is kept of samples that could not be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backlog {
    pub(crate) folder: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

const BACKFILL: &[(&str, Backfill)] = &[
    ("off", Backfill::Off),
    ("latest", Backfill::Latest),
    ("all", Backfill::All),
];

/// The names under which systemd hands over the keys: `LoadCredential=lunasentri_api_key:/path`.
const CREDENTIAL: &str = "lunasentri_api_key";
const NEXT_CREDENTIAL: &str = "lunasentri_next_key";

/// Where the backlog is kept where nobody says otherwise.
const STATE: &str = "/var/lib/lunasentri";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The push of samples; the outer `None` is a mistake, the inner one switched off.
pub(super) fn take(layers: &mut Layers, env: Env<'_>) -> Option<Option<Push>> {
    let on = layers.take("push", values::boolean);
    let url = layers.take("push-url", values::push_url);
    let plain_http = layers.take("push-plain-http", values::boolean);
    let check = |text: &str| {
        ApiKey::parse(text)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let key = take_key(layers, env, "push-key", "push-key-file", CREDENTIAL, check);
    let next_key = take_key(
        layers,
        env,
        "push-next-key",
        "push-next-key-file",
        NEXT_CREDENTIAL,
        check,
    );
    let server = take_server(
        layers,
        "push-ca",
        "push-client-cert",
        "push-client-key",
        "push-env-proxy",
    );
    let interval = layers.take("push-interval", values::span(Duration::from_secs(1)..=HOUR));
    let retry_backoff = layers.take(
        "push-retry-backoff",
        values::span(Duration::from_millis(100)..=MINUTE),
    );
    let max_retries = layers.take("push-max-retries", values::number(0..=100));
    let system_info_period =
        layers.take("push-system-info-period", values::span(MINUTE..=30 * DAY));
    let backfill = layers.take("push-backfill", values::choice(BACKFILL));
    let on = on?;
    if on {
        demand(layers, &key, url.as_ref(), plain_http);
    }
    let push = Push {
        server_url: url?,
        key,
        next_key,
        server: server?,
        interval: interval?,
        retry_backoff: retry_backoff?,
        max_retries: max_retries?,
        system_info_period: system_info_period?,
        backfill: backfill?,
    };
    Some(on.then_some(push))
}

pub(super) fn take_backlog(layers: &mut Layers, env: Env<'_>) -> Option<Backlog> {
    let folder = layers.take("push-state-dir", values::path);
    let bytes = layers.take("push-backlog-mib", values::mebibytes(1..=1024));
    let age = layers.take("push-backlog-age", values::span(HOUR..=365 * DAY));
    Some(Backlog {
        folder: folder.unwrap_or_else(|| super::state_folder(env, STATE)),
        bytes: bytes?,
        age: age?,
    })
}

/// What a push cannot do without.
fn demand(layers: &mut Layers, key: &KeySource, url: Option<&ServerUrl>, plain_http: Option<bool>) {
    let named = layers.rank("push-key").is_some() || layers.rank("push-key-file").is_some();
    if *key == KeySource::None && !named {
        let (file, plain) = (layers.flag("push-key-file"), layers.flag("push-key"));
        layers.mistake(format!(
            "{file} is missing: the server takes samples only with this machine's key (or {plain}, or LUNASENTRI_API_KEY)"
        ));
    }
    let readable = url.is_some_and(ServerUrl::exposes_key);
    if readable && plain_http == Some(false) {
        let (url, plain_http) = (layers.flag("push-url"), layers.flag("push-plain-http"));
        layers.mistake(format!(
            "{url}: plain http would show the key to everybody on the way; use https, or say {plain_http}"
        ));
    }
}
