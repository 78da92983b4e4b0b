//! Asks Vault which keys are trusted, and keeps the token for it alive.

use std::time::{Duration, SystemTime};

use bpf_artifact::http::{Endpoint, Secret, Vault};
use periodic::{Failure, Outcome, Retry};

use super::desk::Desk;
use super::polling::failed;
use crate::cli;
use crate::servers;

impl Desk {
    /// Asks Vault for the keys, and keeps the token alive. A place that does not answer keeps nobody from the keys of another.
    pub(crate) async fn refresh_keys(&self, longest: &mut Duration) -> Outcome {
        let Some(settings) = &self.settings().vault else {
            return Ok(());
        };
        let (config, plain) = (settings.clone(), self.settings().plain_http);
        let opened = tokio::task::spawn_blocking(move || open(&config, plain)).await;
        let vault = match opened {
            Ok(Ok(vault)) => vault,
            Ok(Err(why)) => return Err(Failure::new(why, Retry::Slowly)),
            Err(error) => return Err(Failure::new(error.to_string(), Retry::Backoff)),
        };
        let (mut fetched, mut outcome) = (Vec::new(), Ok(()));
        for place in &settings.keys {
            match vault.keys(place, SystemTime::now()).await {
                Ok(keys) => fetched.push(keys),
                Err(error) => outcome = Err(failed(&error)),
            }
        }
        if !fetched.is_empty() {
            self.change(move |keeper| keeper.replace_keys(fetched))
                .await?;
            renew(&vault, settings.refresh, longest).await;
        }
        outcome
    }
}

/// Renews the token when a third of the longest life it was seen with is left.
async fn renew(vault: &Vault, refresh: Duration, longest: &mut Duration) {
    let state = match vault.token().await {
        Ok(state) => state,
        Err(error) => return tracing::debug!(%error, "the token does not tell its life"),
    };
    let Some(left) = state.ttl.filter(|_| state.renewable != Some(false)) else {
        return;
    };
    *longest = left.max(*longest);
    if left > *longest / 3 && left > refresh.saturating_mul(2) {
        return;
    }
    match vault.renew(None).await {
        Ok(_) => tracing::info!("the token for Vault is renewed"),
        Err(error) => tracing::warn!(%error, "the token for Vault cannot be renewed"),
    }
}

/// A client of Vault; reads the files of token and certificate anew.
pub(crate) fn open(vault: &cli::Vault, plain: bool) -> Result<Vault, String> {
    let http = servers::builder(&vault.url, &vault.server)?
        .build_http()
        .map_err(|error| error.to_string())?;
    let endpoint = Endpoint::parse(&vault.url).map_err(|error| error.to_string())?;
    let mut endpoint = endpoint.allow_plain(plain);
    if let Some(token) = vault.token.read()? {
        endpoint =
            endpoint.token(Secret::parse(token.expose()).map_err(|error| error.to_string())?);
    }
    let opened = Vault::new(http, endpoint).map_err(|error| error.to_string())?;
    match &vault.namespace {
        Some(namespace) => opened
            .namespace(namespace)
            .map_err(|error| error.to_string()),
        None => Ok(opened),
    }
}
