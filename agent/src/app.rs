//! The agent's life: bind, build, announce, spawn, wait, drain.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use periodic::{Backoff, Change, Control, Failure, Outcome, Phase, Policy, Retry, Supervisor};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{self, Config, Env, Http, Refusal};
use crate::http::{self, Limits, Routes};
use crate::logging;
use crate::loops;
use crate::loops::public_ip::{self, Outside, PublicIp};
use crate::loops::register_heartbeat::{self, Registrar};
use crate::loops::scan::Scan;
use crate::notify::Notify;
use crate::ports::{Holders, Ports};
use crate::shared::Shared;
use crate::snapshot::Place;

/// How long loops that are at work may go on after the word to stop.
const GRACE: Duration = Duration::from_millis(300);

/// How often a taken port is tried again: the only one to suffer is this host.
const PORT_BACKOFF: Backoff = Backoff {
    floor: Duration::from_secs(5),
    base: Duration::from_secs(10),
    cap: Duration::from_secs(30),
};

/// Host files are read on threads beside the main one; they go when there is nothing to read.
const IDLE_THREAD: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: Config, args: &[OsString], env: Env<'_>) -> Result<(), String> {
    logging::init(
        config.log.format,
        config.log.level,
        under_service_manager(env),
    );
    let notify = Arc::new(Notify::from_env(env));
    block_on(async {
        // First of all: until signals are caught, a word to stop would end the process as if it had failed.
        let mut signals =
            Signals::new().map_err(|error| format!("cannot catch signals: {error}"))?;
        let agent = Agent::new(config, Arc::clone(&notify)).await;
        let settings = agent.settings.clone();
        let control = agent.supervisor.control();
        let id = agent.id.clone();
        let reloads = async {
            loop {
                match signals.next().await {
                    Told::Stop(signal) => break tracing::info!(signal, "stopping"),
                    Told::Reload => reload(args, env, &id, &settings, &control, &notify),
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

/// An agent that is built and not yet running.
pub(crate) struct Agent {
    pub(crate) supervisor: Supervisor,
    pub(crate) shared: Arc<Shared>,
    settings: watch::Sender<Arc<Config>>,
    notify: Arc<Notify>,
    stop_http: watch::Sender<bool>,
    place: Place,
    /// What tells this host from others: its place in the rhythm of a fleet follows from it.
    id: String,
    ports: Option<Arc<Ports>>,
}

impl Agent {
    pub(crate) async fn new(config: Config, notify: Arc<Notify>) -> Self {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            api = config.api.url,
            interval_seconds = config.interval.as_secs(),
            "starting"
        );
        let teller = Arc::clone(&notify);
        let supervisor = Supervisor::new(RandomState::new().hash_one(std::process::id()))
            .on_change(move |name, change| tell(name, change, &teller));
        let place = Place::new(&config.host);
        let ports = config.scan.as_ref().map(|scan| {
            Arc::new(Ports::new(
                scan,
                place.proc().to_owned(),
                place.cgroup().to_owned(),
                Holders::One,
            ))
        });
        let id = place.beside(identity).await.unwrap_or_default();
        let mut agent = Self {
            place,
            id,
            ports,
            supervisor,
            shared: Arc::new(Shared::new()),
            settings: watch::Sender::new(Arc::new(config)),
            notify,
            stop_http: watch::Sender::new(false),
        };
        agent.spawn_scan();
        agent.spawn_http();
        agent.spawn_api();
        agent.spawn_watchdog();
        agent
    }

    fn spawn_scan(&mut self) {
        let config = Arc::clone(&self.settings.borrow());
        if let (Some(ports), Some(scan)) = (&self.ports, &config.scan) {
            let mut task = Scan::new(Arc::clone(ports));
            let policy = Policy::every(scan.interval, phase(&config, &self.id));
            self.supervisor
                .spawn(loops::SCAN, policy, async move || task.run().await);
        }
    }

    /// The server comes first, so that the first report carries its port; where the port is taken, the rest starts without it.
    fn spawn_http(&mut self) {
        let Some(http) = self.settings.borrow().http.clone() else {
            return;
        };
        let routes = Routes {
            shared: Arc::clone(&self.shared),
            board: self.supervisor.board(),
            settings: self.settings.subscribe(),
            // A reader of its own: a scrape that a sick disk holds up must not hold up the heartbeats.
            place: Place::new(&self.settings.borrow().host),
            ports: self.ports.clone(),
            token: http.token.clone(),
            node_compat: http.node_compat,
            pace: Arc::default(),
            scrapes: Arc::default(),
        };
        let (shared, control, stop) = (
            Arc::clone(&self.shared),
            self.supervisor.control(),
            self.stop_http.subscribe(),
        );
        let policy = Policy {
            backoff: PORT_BACKOFF,
            wake_gap: Duration::from_secs(1),
            ..Policy::every(Duration::from_secs(3600), Phase::START)
        };
        self.supervisor.spawn(loops::HTTP, policy, async move || {
            if shared.listening().is_some() {
                return Ok(());
            }
            open(&http, &routes, stop.clone())?;
            if shared.reported().is_some() {
                // The API was told that there is no server: it should hear of this one.
                control.wake(loops::HEARTBEAT);
            }
            Ok(())
        });
    }

    fn spawn_api(&mut self) {
        let config = Arc::clone(&self.settings.borrow());
        let place = self.place.clone();
        let outside = watch::Sender::new(Outside::default());
        let mut registrar = Registrar::new(
            self.settings.subscribe(),
            outside.subscribe(),
            place.clone(),
            Arc::clone(&self.shared),
            self.supervisor.control(),
        );
        let mut public_ip = PublicIp {
            settings: self.settings.subscribe(),
            place,
            outside,
            control: self.supervisor.control(),
            last_good: ipdiscover::public::LastGood::default(),
        };
        let policy = Policy {
            backoff: public_ip::BACKOFF,
            ..Policy::every(public_ip::REFRESH, phase(&config, &self.id))
        };
        self.supervisor
            .spawn(loops::PUBLIC_IP, policy, async move || {
                public_ip.run().await
            });
        self.supervisor.spawn(
            loops::HEARTBEAT,
            heartbeat_policy(&config, &self.id),
            async move || registrar.run().await,
        );
    }

    fn spawn_watchdog(&mut self) {
        let Some(period) = self.notify.watchdog_period() else {
            return;
        };
        let notify = Arc::clone(&self.notify);
        self.supervisor.spawn(
            "watchdog",
            Policy::every(period, Phase::START),
            async move || {
                notify.alive();
                Ok(())
            },
        );
    }

    /// Runs until `stop` is over, then lets what is under way end, but not for long.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        self.notify.ready();
        let stop = async {
            stop.await;
            self.notify.stopping();
            self.stop_http.send_replace(true);
        };
        let dropped = self.supervisor.run(stop, GRACE).await;
        if !dropped.is_empty() {
            tracing::warn!(loops = dropped.join(", "), "cut off while stopping");
        }
        self.stop_http.closed().await;
    }
}

/// Opens the server's socket and starts answering.
fn open(http: &Http, routes: &Routes, stop: watch::Receiver<bool>) -> Outcome {
    let (listener, listening) = http::listen(http).map_err(|error| {
        let advice =
            "no status, metrics or port allocation until it is free; or set --metrics-port";
        Failure::new(
            format!(
                "cannot listen on {} port {}: {error}; {advice}",
                http.address, http.port
            ),
            Retry::Backoff,
        )
    })?;
    tracing::info!(address = %http.address, port = listening.port, "listening");
    routes.shared.set_listening(listening);
    tokio::spawn(http::serve(
        listener,
        routes.clone(),
        Limits::default(),
        stop,
    ));
    Ok(())
}

/// Every wait is in proportion to the interval: at 60 s, retries come after 30 to 120 s, and every 5 minutes where only a person can help.
fn heartbeat_policy(config: &Config, id: &str) -> Policy {
    let interval = config.interval;
    Policy {
        backoff: Backoff {
            floor: interval / 2,
            base: interval * 3 / 2,
            cap: interval * 2,
        },
        slow: interval * 5,
        wake_gap: interval / 6,
        limit: register_heartbeat::LIMIT,
        ..Policy::every(interval, phase(config, id))
    }
}

/// Where in its interval this host beats: spread over the fleet, the same after every restart.
fn phase(config: &Config, id: &str) -> Phase {
    let given = config.identity.hostname.as_deref().unwrap_or_default();
    Phase::of(format!("{id}{given}").as_bytes())
}

/// What tells this host from others. Clones share a machine-id, so the hostname counts too.
fn identity(place: &Place) -> String {
    let mut id = place.machine_id().unwrap_or_default();
    id.push_str(&place.hostname().unwrap_or_default());
    id
}

/// Says a change of a loop's state once, in the log and to the service manager.
fn tell(name: &str, change: &Change, notify: &Notify) {
    match change {
        Change::FirstSuccess => {
            tracing::debug!(task = name, "works");
            if name == loops::HEARTBEAT {
                notify.status("registered, heartbeats arrive");
            }
        }
        Change::Failing { failure, next_in } | Change::FailingDifferently { failure, next_in } => {
            tracing::warn!(
                task = name,
                error = failure.message,
                next_try_in_seconds = next_in.as_secs() + u64::from(next_in.subsec_nanos() > 0),
                "failing"
            );
            notify.status(&format!("{name} failing: {failure}"));
        }
        Change::Recovered {
            failed_for,
            failures,
        } => {
            tracing::info!(
                task = name,
                failed_for_seconds = failed_for.as_secs(),
                failures,
                "works again"
            );
            notify.status(&format!("{name} works again"));
        }
    }
}

/// Takes a changed configuration over; one with mistakes changes nothing.
fn reload(
    args: &[OsString],
    env: Env<'_>,
    id: &str,
    settings: &watch::Sender<Arc<Config>>,
    control: &Control,
    notify: &Notify,
) {
    notify.reloading();
    match cli::reload(args, env) {
        Ok(new) => {
            let old = Arc::clone(&settings.borrow());
            for option in cli::needs_restart(&old, &new) {
                tracing::warn!(option, "changed, but takes effect only after a restart");
            }
            for warning in &new.warnings {
                tracing::warn!("{warning}");
            }
            logging::set_level(new.log.level);
            let new = Config {
                http: old.http.clone(),
                scan: old.scan.clone(),
                host: old.host.clone(),
                ..new
            };
            control.set_policy(loops::HEARTBEAT, &heartbeat_policy(&new, id));
            settings.send_replace(Arc::new(new));
            control.wake(loops::HTTP);
            control.wake(loops::PUBLIC_IP);
            control.wake(loops::HEARTBEAT);
            tracing::info!("configuration reloaded");
        }
        Err(Refusal::Mistakes(mistakes)) => {
            for mistake in mistakes {
                tracing::error!(%mistake, "the configuration has a mistake: the old one stays");
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
