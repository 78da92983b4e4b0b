//! Which keys of Vault or OpenBao are trusted, and how it is asked.

use std::time::Duration;

use bpf_artifact::VaultKeys;
use bpf_artifact::http::Secret as Token;

use super::server::{KeySource, Server, take_key};
use crate::cli::layers::{Env, Layers};
use crate::cli::values;

/// Who says which keys are trusted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Vault {
    pub(crate) url: String,
    /// Where the keys are; at least one place.
    pub(crate) keys: Vec<VaultKeys>,
    pub(crate) token: KeySource,
    pub(crate) namespace: Option<String>,
    pub(crate) server: Server,
    pub(crate) refresh: Duration,
    pub(crate) max_age: Duration,
}

/// The name under which systemd hands over the token: `LoadCredential=aegis_vault_token:/path`.
const CREDENTIAL: &str = "aegis_vault_token";

const DAY: u64 = 86_400;

/// Vault, if keys in it are named; the outer `None` is a mistake.
pub(super) fn take(layers: &mut Layers, env: Env<'_>) -> Option<Option<Vault>> {
    let url = layers.take("vault-url", values::http_url);
    let keys = take_keys(layers);
    let check = |text: &str| {
        Token::parse(text)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let token = take_key(
        layers,
        env,
        "vault-token",
        "vault-token-file",
        CREDENTIAL,
        check,
    );
    let namespace = layers.take("vault-namespace", values::text);
    let ca = layers.take("vault-cacert", values::pem);
    let refresh = layers.take("vault-refresh", values::duration(1..=DAY));
    let max_age = layers.take("vault-max-age", values::duration(60..=30 * DAY));
    let (url, keys, refresh, max_age) = (url?, keys?, refresh?, max_age?);
    Some((!keys.is_empty()).then_some(Vault {
        url,
        keys,
        token,
        namespace,
        server: Server {
            ca,
            client: None,
            proxy_from_environment: false,
        },
        refresh,
        max_age,
    }))
}

fn take_keys(layers: &mut Layers) -> Option<Vec<VaultKeys>> {
    let name = layers.take("vault-key", values::segment);
    let mount = layers.take("vault-mount", values::segment);
    let path = layers.take("vault-kv-path", values::segments);
    let field = layers.take("vault-kv-field", values::segment);
    let store = layers.take("vault-kv-mount", values::segment);
    let (mount, field, store) = (mount?, field?, store?);
    let transit = name.map(|name| VaultKeys::Transit { mount, name });
    let kv = path.map(|path| VaultKeys::Kv {
        mount: store,
        path,
        field,
    });
    Some(transit.into_iter().chain(kv).collect())
}
