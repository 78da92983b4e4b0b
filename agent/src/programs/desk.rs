//! Where all that is done about programs comes together: one thing at a time, on a thread that may block.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bpf_artifact::http::{FetchError, Listed, Registry, Secret};
use bpf_lifecycle::{Answer, ArtifactId, Caller, Signal};
use periodic::{Failure, Outcome, Retry};
use tokio::sync::{Semaphore, watch};

use super::guard::{self, Peer};
use super::keeper::Keeper;
use super::nats::{self, Line};
use super::outbox::Outbox;
use super::signals::Answered;
use super::view::View;
use crate::cli::Programs;
use crate::secret;
use crate::shared::Shared;

/// How long the end of the agent waits for programs to be unloaded.
const UNLOADING: Duration = Duration::from_secs(10);

/// The one place from which programs are changed.
pub(crate) struct Desk {
    settings: Arc<Programs>,
    proc: PathBuf,
    sys: PathBuf,
    shared: Arc<Shared>,
    keeper: Arc<Mutex<Option<Keeper>>>,
    /// One thing at a time: what hangs in the kernel holds one thread, not one for each try.
    turn: Arc<Semaphore>,
    view: watch::Sender<Arc<View>>,
    outbox: Arc<Outbox>,
    /// Whether the registry answered when it was last asked.
    registry_answers: AtomicBool,
    /// Whether the agent's own port answered then.
    own_port_answers: AtomicBool,
    peers: Vec<Peer>,
    /// The way to the registry, until it fails.
    registry: Mutex<Option<Registry>>,
    link: Option<Arc<nats::Link>>,
}

impl Desk {
    pub(crate) fn new(
        settings: &Programs,
        (proc, sys): (&Path, &Path),
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            proc: proc.to_owned(),
            sys: sys.to_owned(),
            shared,
            keeper: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            view: watch::Sender::new(Arc::new(View::unknown("not begun yet"))),
            outbox,
            registry_answers: AtomicBool::new(false),
            own_port_answers: AtomicBool::new(false),
            peers: Vec::new(),
            registry: Mutex::default(),
            link: None,
        }
    }

    /// Shows how the line is doing, and sees to it that no program cuts it.
    pub(crate) fn on(mut self, line: &Line) -> Self {
        if let Some(nats) = &self.settings.nats {
            self.peers.push(line.peer(nats));
        }
        self.link = Some(line.link());
        self
    }

    /// How the line to NATS is doing, if there is one.
    pub(crate) fn nats(&self) -> Option<nats::Figures> {
        self.link.as_ref().map(|link| link.figures())
    }

    /// The newest picture.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub(crate) fn settings(&self) -> &Programs {
        &self.settings
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn registry_answers(&self) -> bool {
        self.registry_answers.load(Ordering::Relaxed)
    }

    /// Does something with the programs; opens the kernel's side first, where that has not worked before.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let (keeper, settings) = (Arc::clone(&self.keeper), Arc::clone(&self.settings));
        let (proc, sys) = (self.proc.clone(), self.sys.clone());
        let (outbox, view) = (Arc::clone(&self.outbox), self.view.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
            let done = match keeper.as_mut() {
                Some(keeper) => Ok(work(keeper)),
                None => {
                    let opened = Keeper::open(settings, (&proc, &sys), outbox, view.clone());
                    opened.map(|opened| work(keeper.insert(opened)))
                }
            };
            drop(turn);
            if let Err(error) = &done {
                view.send_replace(Arc::new(View::unknown(error)));
            }
            done
        });
        match done.await {
            Ok(done) => done.map_err(|why| Failure::new(why, Retry::Backoff)),
            Err(error) => Err(Failure::new(
                format!("it broke off: {error}"),
                Retry::Backoff,
            )),
        }
    }

    /// The same, and then proves that nothing new has cut off the agent.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let guarded = self.settings.guard;
        let (done, risky) = self
            .with(move |keeper| {
                let done = work(keeper);
                (done, std::mem::take(&mut keeper.risky))
            })
            .await?;
        if guarded && !risky.is_empty() {
            self.guard(risky).await?;
        }
        Ok(done)
    }

    /// Undoes what has cut off the agent, the newest first, until it is back.
    async fn guard(&self, mut risky: Vec<ArtifactId>) -> Result<(), Failure> {
        let own = self.own_port_answers.load(Ordering::Relaxed);
        let own = self.shared.own_address().filter(|_| own);
        loop {
            let registry = self.registry_answers();
            let seen = guard::in_reach(&self.settings, registry, own, &self.peers).await;
            let Err(why) = seen else { return Ok(()) };
            let Some(id) = risky.pop() else {
                tracing::error!(
                    why,
                    "still cut off, and nothing is left that could be undone"
                );
                return Ok(());
            };
            tracing::error!(artifact_id = %id, why, "this program has cut off the agent: it is undone");
            self.with(move |keeper| {
                keeper.counts.cut_offs += 1;
                keeper.undo(Signal {
                    id,
                    caller: Caller::Operator,
                    request_id: None,
                    remark: Some(format!("connectivity guard: {why}")),
                });
                keeper.risky.clear();
            })
            .await?;
        }
    }

    /// Opens the kernel's side, if that is to be done yet.
    pub(crate) async fn open(&self) -> Outcome {
        self.change(|_| ()).await
    }

    /// Asks the registry, fetches what is new, and does what follows from it.
    pub(crate) async fn poll(&self, etag: &mut Option<String>) -> Outcome {
        // What can be done without the registry comes first.
        self.open().await?;
        let own = match self.shared.own_address() {
            Some(own) => guard::answers(own).await,
            None => false,
        };
        self.own_port_answers.store(own, Ordering::Relaxed);
        let asked = self.ask_registry(etag).await;
        self.registry_answers
            .store(asked.is_ok(), Ordering::Relaxed);
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

    /// Reads figures and does what follows from them.
    pub(crate) async fn meter(&self) -> Outcome {
        self.change(Keeper::meter).await
    }

    /// Ends what has run its time. Cheap when nothing is due.
    pub(crate) async fn end_what_is_due(&self) -> Outcome {
        let view = self.view();
        let Some(now) = view.now() else {
            return self.open().await;
        };
        let due = view
            .running
            .iter()
            .any(|running| running.deadline.is_over(&now));
        if due {
            self.change(Keeper::look).await?;
        }
        Ok(())
    }

    /// Takes a request for a rollback.
    pub(crate) async fn roll_back(
        &self,
        artifact_id: &str,
        reason: Option<String>,
        request_id: Option<String>,
    ) -> Answered {
        let id = match artifact_id.parse::<ArtifactId>() {
            Ok(id) => id,
            Err(why) => return Answered::Refused(why.to_string()),
        };
        let signal = Signal {
            id,
            caller: Caller::Orchestrator,
            request_id,
            remark: reason,
        };
        let answer = self.change(move |keeper| keeper.undo(signal)).await;
        match answer {
            Ok(Answer::Taken) => Answered::Taken,
            Ok(Answer::Duplicate) => Answered::Duplicate,
            Ok(_) => Answered::Refused("too many requests wait, or the id is too long".to_owned()),
            Err(failure) => Answered::Refused(failure.message),
        }
    }

    /// Unloads what does not persist; a kernel that hangs holds up the end no longer than a while.
    pub(crate) async fn shut_down(&self) {
        let keeper = Arc::clone(&self.keeper);
        let turn = Arc::clone(&self.turn);
        let done = async {
            let turn = turn.acquire_owned().await;
            let done = tokio::task::spawn_blocking(move || {
                let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
                keeper.iter_mut().for_each(Keeper::shut_down);
                drop(turn);
            });
            done.await
        };
        if tokio::time::timeout(UNLOADING, done).await.is_err() {
            tracing::error!("programs could not be unloaded in time");
        }
    }
}

/// The token in a file.
pub(super) fn token(path: &Path) -> Result<Secret, String> {
    let text = secret::read(path)?;
    Secret::parse(text.expose()).map_err(|error| format!("{}: {error}", path.display()))
}

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
