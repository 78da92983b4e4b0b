//! Asks the registry what is assigned, and fetches what is new.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use bpf_artifact::http::{FetchError, Listed, Registry};
use periodic::{Failure, Outcome, Retry};

use super::desk::Desk;
use super::guard;
use super::keeper::Keeper;

impl Desk {
    /// Asks the registry, fetches what is new, and does what follows from it.
    pub(crate) async fn poll(&self, etag: &mut Option<String>) -> Outcome {
        // What can be done without the registry comes first.
        self.begin().await?;
        self.look_at_own_port().await;
        let asked = self.ask_registry(etag).await;
        self.registry_answers
            .store(asked.is_ok(), Ordering::Relaxed);
        // What has a status is an answer, if not the one that was hoped for.
        let failure = asked.as_ref().err();
        let answers = failure.is_none_or(|failure| failure.class.is_some());
        self.baseline.registry.store(answers, Ordering::Relaxed);
        if asked.is_err() {
            // Files of tokens and certificates may have changed.
            *self.line() = None;
        }
        asked
    }

    fn line(&self) -> MutexGuard<'_, Option<Registry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn registry(&self) -> Result<Registry, Failure> {
        if let Some(registry) = self.line().clone() {
            return Ok(registry);
        }
        let settings = Arc::clone(&self.settings);
        let opened = tokio::task::spawn_blocking(move || guard::registry(&settings)).await;
        match opened {
            Ok(Ok(registry)) => Ok(self.line().insert(registry).clone()),
            Ok(Err(why)) => Err(Failure::new(why, Retry::Slowly)),
            Err(error) => Err(Failure::new(error.to_string(), Retry::Backoff)),
        }
    }

    async fn ask_registry(&self, etag: &mut Option<String>) -> Outcome {
        let registry = self.registry().await?;
        registry.health().await.map_err(|error| failed(&error))?;
        self.registry_answers.store(true, Ordering::Relaxed);
        self.baseline.registry.store(true, Ordering::Relaxed);
        let listed = registry
            .list(&self.settings.host_id, etag.as_deref())
            .await
            .map_err(|error| failed(&error))?;
        match listed {
            Listed::Unchanged => self.change(Keeper::listed_again).await,
            Listed::Now { listing, etag: new } => {
                let listing = Arc::new(listing);
                let all = self.fetch(&registry, &listing).await?;
                let waits = self
                    .change(move |keeper| {
                        keeper.listed(&listing);
                        keeper.waits()
                    })
                    .await?;
                // What could not be fetched or judged has to be listed again.
                *etag = new.filter(|_| all && !waits);
                Ok(())
            }
        }
    }

    /// Fetches what is new, one archive after the other; whether all of them came.
    async fn fetch(
        &self,
        registry: &Registry,
        listing: &Arc<bpf_artifact::Listing>,
    ) -> Result<bool, Failure> {
        let listed = Arc::clone(listing);
        let wanted = self.with(move |keeper| keeper.wanted(&listed)).await?;
        let mut all = true;
        for artifact in wanted {
            match registry.download(&artifact).await {
                Ok(archive) => {
                    self.with(move |keeper| keeper.receive(&artifact, &archive))
                        .await?;
                }
                Err(error) => {
                    all = false;
                    let error = error.to_string();
                    self.with(move |keeper| keeper.not_fetched(&artifact, &error))
                        .await?;
                }
            }
        }
        Ok(all)
    }
}

/// What a failed question to a server means for the next one.
pub(super) fn failed(error: &FetchError) -> Failure {
    let retry = match error.retry_after() {
        Some(wait) => Retry::After(wait),
        None if error.is_denied() => Retry::Slowly,
        None if error.is_transient() => Retry::Backoff,
        None => Retry::NextPeriod,
    };
    let failure = Failure::new(error.to_string(), retry);
    match error.status() {
        Some(status) => failure.of_class(status.to_string()),
        None => failure,
    }
}
