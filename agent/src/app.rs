//! The agent's life: build, announce, wait, reload, drain.

use std::sync::Arc;
use std::time::Duration;

use periodic::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::agent::{Agent, follow};
use crate::cli::{self, Call, Config, Env, Refusal};
use crate::logging;
use crate::loops;
use crate::notify::Notify;
#[cfg(feature = "sandbox")]
use crate::sandbox;
use crate::shared::Shared;

/// Host files are read on threads beside the main one; they go when there is nothing to read.
const IDLE_THREAD: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: Config, call: Call<'_>) -> Result<(), String> {
    logging::init(&config.log, under_service_manager(call.env))?;
    let notify = Arc::new(Notify::from_env(call.env));
    // While this is the only thread: those that come later are born with as little.
    #[cfg(feature = "sandbox")]
    let sandbox = sandbox::enter(&config, call.env)?;
    block_on(async {
        // First of all: until signals are caught, a word to stop would end the process as if it had failed.
        let mut signals =
            Signals::new().map_err(|error| format!("cannot catch signals: {error}"))?;
        let agent = Agent::new(config, Arc::clone(&notify)).await;
        #[cfg(feature = "sandbox")]
        agent.shared.set_sandbox(sandbox);
        let (settings, shared) = (agent.settings.clone(), Arc::clone(&agent.shared));
        let control = agent.supervisor.control();
        let id = agent.id.clone();
        let reloads = async {
            loop {
                match signals.next().await {
                    Told::Stop(signal) => break tracing::info!(signal, "stopping"),
                    Told::Reload => reload(call, &id, &settings, &control, &notify, &shared),
                }
            }
        };
        agent.run(reloads).await;
        Ok(())
    })
}

/// Runs a future on this thread; work that hangs on other threads does not hold up the end.
pub(crate) fn block_on(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(IDLE_THREAD)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

/// Whether a service manager reads what is logged: its readiness socket is there, or standard error leads to its journal. Other
/// variables of systemd are inherited by every shell below it.
fn under_service_manager(env: Env<'_>) -> bool {
    let stderr = rustix::fs::fstat(rustix::stdio::stderr()).ok();
    let journal = env("JOURNAL_STREAM").zip(stderr);
    let read = journal.is_some_and(|(stream, file)| {
        stream.to_str() == Some(&format!("{}:{}", file.st_dev, file.st_ino))
    });
    read || env("NOTIFY_SOCKET").is_some()
}

/// Takes a changed configuration over; one with mistakes changes nothing.
fn reload(
    call: Call<'_>,
    id: &str,
    settings: &watch::Sender<Arc<Config>>,
    control: &Control,
    notify: &Notify,
    shared: &Shared,
) {
    notify.reloading();
    match cli::reload(call) {
        Ok(new) => {
            let old = Arc::clone(&settings.borrow());
            for option in cli::needs_restart(&old, &new) {
                tracing::warn!(option, "changed, but takes effect only after a restart");
            }
            for warning in &new.warnings {
                tracing::warn!("{warning}");
            }
            logging::set_level(new.log.level);
            let new = new.without_what_needs_a_restart(&old);
            follow(&new, id, control);
            settings.send_replace(Arc::new(new));
            for task in loops::WOKEN_BY_RELOAD {
                control.wake(task);
            }
            tracing::info!("configuration reloaded");
        }
        Err(Refusal::Mistakes(mistakes)) => {
            for mistake in mistakes {
                tracing::error!(%mistake, "the configuration has a mistake: the old one stays");
            }
            if shared.hides_files() {
                tracing::error!(
                    "files at other places than at the start are out of the sandbox's reach: if that is it, restart"
                );
            }
        }
        Err(Refusal::Usage(words)) => tracing::error!(words, "the old configuration stays"),
    }
    notify.ready();
}

/// What the process is told by a signal.
enum Told {
    Stop(&'static str),
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Told::Stop("SIGINT"),
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}

/// Waits for SIGTERM, SIGINT or SIGHUP: for what a person runs, a closed terminal is the end.
#[cfg(feature = "lab")]
pub(crate) async fn told_to_stop() -> std::io::Result<()> {
    Signals::new()?.next().await;
    Ok(())
}
