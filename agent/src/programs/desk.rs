//! Where all that is done about programs comes together: one thing at a time, on a thread that may block.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bpf_artifact::http::{Registry, Secret};
use bpf_lifecycle::{Answer, ArtifactId, Caller, Signal};
use periodic::{Failure, Outcome, Retry};
use tokio::sync::{OnceCell, Semaphore, watch};

use super::guard::Baseline;
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
    pub(super) settings: Arc<Programs>,
    proc: PathBuf,
    sys: PathBuf,
    pub(super) shared: Arc<Shared>,
    keeper: Arc<Mutex<Option<Keeper>>>,
    /// One thing at a time: what hangs in the kernel holds one thread, not one for each try.
    turn: Arc<Semaphore>,
    view: watch::Sender<Arc<View>>,
    outbox: Arc<Outbox>,
    /// Whether the registry answered when it was last asked.
    pub(super) registry_answers: AtomicBool,
    /// What was within reach before something new was attached.
    pub(super) baseline: Baseline,
    /// Whether that is known, and what was left to do at the start is done.
    pub(super) begun: OnceCell<()>,
    /// The way to the registry, until it fails.
    pub(super) registry: Mutex<Option<Registry>>,
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
            baseline: Baseline::default(),
            begun: OnceCell::new(),
            registry: Mutex::default(),
            link: None,
        }
    }

    /// Shows how the line is doing, and sees to it that no program cuts it.
    pub(crate) fn on(mut self, line: &Line) -> Self {
        if let Some(nats) = &self.settings.nats {
            self.baseline.peers.push(line.peer(nats));
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
    pub(super) async fn with<T: Send + 'static>(
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

    /// Reads figures and does what follows from them.
    pub(crate) async fn meter(&self) -> Outcome {
        self.change(Keeper::meter).await
    }

    /// Ends what has run its time. Cheap when nothing is due.
    pub(crate) async fn end_what_is_due(&self) -> Outcome {
        let view = self.view();
        let Some(now) = view.now() else {
            return self.begin().await;
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
