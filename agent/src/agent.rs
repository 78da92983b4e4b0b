//! What runs in the agent: its loops and its server, built from the configuration.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use periodic::{Backoff, Change, Control, Failure, Outcome, Phase, Policy, Retry, Supervisor};
#[cfg(feature = "aegis")]
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::cli::{Config, Http};
use crate::http::{self, Limits, Routes};
use crate::loops;
use crate::notify::Notify;
use crate::place::Place;
#[cfg(feature = "sigma")]
use crate::ports::{Holders, Ports};
#[cfg(feature = "aegis")]
use crate::programs::nats::{self, Line};
#[cfg(feature = "aegis")]
use crate::programs::{self, Asked, Desk};
#[cfg(feature = "luna")]
use crate::push::{Courier, Outbox};
use crate::shared::Shared;

/// How long loops that are at work may go on after the word to stop.
const GRACE: Duration = Duration::from_millis(300);

/// How long the last words over NATS may take.
#[cfg(feature = "aegis")]
const FAREWELL: Duration = Duration::from_secs(3);

/// How often a taken port is tried again: the only one to suffer is this host.
const PORT_BACKOFF: Backoff = Backoff {
    floor: Duration::from_secs(5),
    base: Duration::from_secs(10),
    cap: Duration::from_secs(30),
};

/// An agent that is built and not yet running.
pub(crate) struct Agent {
    pub(crate) supervisor: Supervisor,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: watch::Sender<Arc<Config>>,
    notify: Arc<Notify>,
    stop_http: watch::Sender<bool>,
    #[cfg(any(feature = "guest", feature = "luna", feature = "sigma"))]
    place: Place,
    /// What tells this host from others: its place in the rhythm of a fleet follows from it.
    pub(crate) id: String,
    #[cfg(feature = "sigma")]
    ports: Option<Arc<Ports>>,
    #[cfg(feature = "guest")]
    guest: Option<watch::Receiver<loops::guest::Reading>>,
    #[cfg(feature = "luna")]
    outbox: Option<Arc<Outbox>>,
    /// `None`: no programs are run.
    #[cfg(feature = "aegis")]
    desk: Option<Arc<Desk>>,
    /// Where events about programs go out and requests come in; `None`: nowhere.
    #[cfg(feature = "aegis")]
    line: Option<Line>,
    /// The requests that came in.
    #[cfg(feature = "aegis")]
    asked: Option<mpsc::Receiver<Asked>>,
}

impl Agent {
    pub(crate) async fn new(config: Config, notify: Arc<Notify>) -> Self {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        announce(&config);
        let teller = Arc::clone(&notify);
        let supervisor = Supervisor::new(RandomState::new().hash_one(std::process::id()))
            .on_change(move |name, change| tell(name, change, &teller));
        let place = Place::new(&config.host);
        #[cfg(feature = "sigma")]
        let ports = config.scan.as_ref().map(|scan| {
            Arc::new(Ports::new(
                scan,
                place.proc().to_owned(),
                place.cgroup(),
                Holders::One,
            ))
        });
        let id = place.beside(identity).await.unwrap_or_default();
        let shared = Arc::new(Shared::new());
        #[cfg(feature = "aegis")]
        let desk = config.programs.as_ref().map(|settings| {
            let places = (place.proc(), place.sys());
            let outbox = Arc::new(programs::Outbox::new(settings.nats.is_some()));
            Desk::new(settings, places, Arc::clone(&shared), outbox)
        });
        #[cfg(feature = "aegis")]
        let (line, asked) = desk.as_ref().and_then(open_line).unzip();
        #[cfg(feature = "aegis")]
        let desk = desk.map(|desk| match &line {
            Some(line) => Arc::new(desk.on(line)),
            None => Arc::new(desk),
        });
        let mut agent = Self {
            #[cfg(any(feature = "guest", feature = "luna", feature = "sigma"))]
            place,
            id,
            #[cfg(feature = "sigma")]
            ports,
            #[cfg(feature = "guest")]
            guest: None,
            #[cfg(feature = "luna")]
            outbox: config
                .push
                .as_ref()
                .map(|_| Arc::new(Outbox::new(&config.backlog))),
            supervisor,
            #[cfg(feature = "aegis")]
            desk,
            #[cfg(feature = "aegis")]
            line,
            #[cfg(feature = "aegis")]
            asked,
            shared,
            settings: watch::Sender::new(Arc::new(config)),
            notify,
            stop_http: watch::Sender::new(false),
        };
        #[cfg(feature = "sigma")]
        agent.spawn_scan();
        #[cfg(feature = "guest")]
        agent.spawn_guest();
        agent.spawn_http();
        #[cfg(feature = "sigma")]
        agent.spawn_sigma();
        #[cfg(feature = "luna")]
        agent.spawn_push();
        #[cfg(feature = "aegis")]
        agent.spawn_programs();
        agent.spawn_watchdog();
        agent
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.settings.borrow())
    }

    #[cfg(feature = "sigma")]
    fn spawn_scan(&mut self) {
        let config = self.config();
        if let (Some(ports), Some(scan)) = (&self.ports, &config.scan) {
            let mut task = loops::scan::Scan::new(Arc::clone(ports));
            let policy = Policy::every(scan.interval, phase(&config, &self.id));
            self.supervisor
                .spawn(loops::SCAN, policy, async move || task.run().await);
        }
    }

    /// The sampler that the guest's manager reads, and the report of the guest's address.
    #[cfg(feature = "guest")]
    fn spawn_guest(&mut self) {
        let config = self.config();
        if config.guest.api {
            let (mut sampler, reading) = loops::guest::Sampler::new(&config.host);
            self.guest = Some(reading);
            self.supervisor
                .spawn(loops::GUEST, loops::guest::policy(), async move || {
                    sampler.run().await
                });
        }
        if let Some(report) = config.guest.report.clone() {
            let mut reporter = loops::guest_report::Reporter::new(
                report,
                self.place.clone(),
                config.ignore_interfaces.clone(),
            );
            let policy = loops::guest_report::policy(phase(&config, &self.id));
            self.supervisor
                .spawn(loops::REPORT, policy, async move || reporter.run().await);
        }
    }

    /// The server comes early, so that the first report carries its port; where the port is taken, the rest starts without it.
    fn spawn_http(&mut self) {
        let Some(http) = self.config().http.clone() else {
            return;
        };
        // A reader of its own: a scrape that a sick disk holds up must not hold up the heartbeats.
        let place = Place::new(&self.config().host);
        let routes = Routes {
            shared: Arc::clone(&self.shared),
            board: self.supervisor.board(),
            settings: self.settings.subscribe(),
            #[cfg(feature = "page")]
            live: self.spawn_history(place.clone()),
            place,
            #[cfg(feature = "sigma")]
            ports: self.ports.clone(),
            #[cfg(feature = "guest")]
            guest: self.guest.clone(),
            #[cfg(feature = "luna")]
            outbox: self.outbox.clone(),
            #[cfg(feature = "aegis")]
            desk: self.desk.clone(),
            token: http.token.clone(),
            #[cfg(feature = "sigma")]
            node_compat: http.node_compat,
            #[cfg(feature = "sigma")]
            pace: Arc::default(),
            scrapes: Arc::default(),
        };
        let mut server = Server {
            closed: http.ports.clone(),
            http,
            routes,
            stop: self.stop_http.subscribe(),
        };
        let (control, shared) = (self.supervisor.control(), Arc::clone(&self.shared));
        let policy = Policy {
            backoff: PORT_BACKOFF,
            wake_gap: Duration::from_secs(1),
            ..Policy::every(Duration::from_secs(3600), Phase::START)
        };
        self.supervisor.spawn(loops::HTTP, policy, async move || {
            let news = server.open()?;
            if news && shared.has_reported() {
                // The API was told that there is no server: it should hear of this one.
                control.wake(loops::HEARTBEAT);
            }
            Ok(())
        });
    }

    /// The readings of the host that the live page shows.
    #[cfg(feature = "page")]
    fn spawn_history(&mut self, place: Place) -> http::Live {
        use crate::history::{self, History};

        let history = Arc::new(History::new(self.supervisor.control()));
        let mut recorder = loops::history::Recorder {
            place,
            history: Arc::clone(&history),
        };
        let policy = history::policy(history::SELDOM);
        self.supervisor
            .spawn(loops::HISTORY, policy, async move || recorder.run().await);
        http::Live::new(history, self.stop_http.subscribe())
    }

    #[cfg(feature = "sigma")]
    fn spawn_sigma(&mut self) {
        use loops::public_ip::{self, Outside, PublicIp};
        use loops::register_heartbeat::Registrar;

        let config = self.config();
        let Some(sigma) = &config.sigma else { return };
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
        let phase = phase(&config, &self.id);
        let policy = Policy {
            backoff: public_ip::BACKOFF,
            ..Policy::every(public_ip::REFRESH, phase)
        };
        self.supervisor
            .spawn(loops::PUBLIC_IP, policy, async move || {
                public_ip.run().await
            });
        let policy = loops::register_heartbeat::policy(sigma.interval, phase);
        self.supervisor
            .spawn(loops::HEARTBEAT, policy, async move || {
                registrar.run().await
            });
    }

    /// The samples, and the two loops that send them: the newest first, what an outage has left behind it.
    #[cfg(feature = "luna")]
    fn spawn_push(&mut self) {
        use loops::push::{Backfiller, Sender, backfill_policy, policy};
        use loops::sample::{self, Collector};

        let config = self.config();
        let (Some(push), Some(outbox)) = (&config.push, self.outbox.clone()) else {
            return;
        };
        let phase = phase(&config, &self.id);
        let control = self.supervisor.control();
        let delivery = Arc::new(Courier::new(self.settings.subscribe()));
        let mut collector = Collector::new(
            self.settings.subscribe(),
            self.place.clone(),
            Arc::clone(&outbox),
            control.clone(),
        );
        let mut sender = Sender {
            settings: self.settings.subscribe(),
            place: self.place.clone(),
            outbox: Arc::clone(&outbox),
            delivery: Arc::clone(&delivery),
            control: control.clone(),
            informed: None,
            facts: None,
            last: None,
        };
        let mut backfiller = Backfiller {
            settings: self.settings.subscribe(),
            outbox,
            delivery,
            control,
            opened: false,
        };
        let supervisor = &mut self.supervisor;
        let rhythm = sample::policy(push.interval, phase);
        supervisor.spawn(loops::SAMPLE, rhythm, async move || collector.run().await);
        supervisor.spawn(loops::PUSH, policy(push, phase), async move || {
            sender.run().await
        });
        supervisor.spawn(loops::BACKFILL, backfill_policy(phase), async move || {
            backfiller.run().await
        });
    }

    /// The loops that ask for programs, look at them, and end them; and the one who obeys requests.
    #[cfg(feature = "aegis")]
    fn spawn_programs(&mut self) {
        use loops::programs::{
            Keys, Poll, deadline_policy, keys_policy, meter_policy, obey, poll_policy,
        };

        let config = self.config();
        let (Some(desk), Some(programs)) = (self.desk.clone(), &config.programs) else {
            return;
        };
        let phase = phase(&config, &self.id);
        let control = self.supervisor.control();
        if let Some(asked) = self.asked.take() {
            tokio::spawn(obey(Arc::clone(&desk), control.clone(), asked));
        }
        let supervisor = &mut self.supervisor;
        let ender = Arc::clone(&desk);
        supervisor.spawn(loops::DEADLINE, deadline_policy(), async move || {
            ender.end_what_is_due().await
        });
        if let Some(vault) = &programs.vault {
            let mut keys = Keys {
                desk: Arc::clone(&desk),
                longest: Duration::ZERO,
                control,
                known: false,
            };
            supervisor.spawn(loops::KEYS, keys_policy(vault, phase), async move || {
                keys.run().await
            });
        }
        let mut poll = Poll {
            desk: Arc::clone(&desk),
            etag: None,
        };
        supervisor.spawn(loops::POLL, poll_policy(programs, phase), async move || {
            poll.run().await
        });
        supervisor.spawn(loops::METER, meter_policy(programs), async move || {
            desk.meter().await
        });
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
        #[cfg(feature = "aegis")]
        if let Some(desk) = &self.desk {
            desk.shut_down().await;
        }
        #[cfg(feature = "aegis")]
        if let Some(line) = self.line {
            line.close(FAREWELL).await;
        }
        #[cfg(feature = "luna")]
        if let Some(outbox) = self.outbox {
            // A disk that hangs holds up the end no longer than this.
            let _ = tokio::time::timeout(GRACE, outbox.save()).await;
        }
    }
}

/// Opens the line over which events of programs go out and requests come in.
#[cfg(feature = "aegis")]
fn open_line(desk: &Desk) -> Option<(Line, mpsc::Receiver<Asked>)> {
    let settings = desk.settings();
    let (signals, asked) = programs::signals();
    let line = nats::Settings::new(
        settings.nats.clone()?,
        settings.host_id.to_string(),
        settings.state.join("nats"),
    );
    Some((Line::open(line, Arc::clone(desk.outbox()), signals), asked))
}

/// Lets a reloaded configuration change the rhythm of the loops.
pub(crate) fn follow(config: &Config, id: &str, control: &Control) {
    #[cfg(feature = "sigma")]
    if let Some(sigma) = &config.sigma {
        let policy = loops::register_heartbeat::policy(sigma.interval, phase(config, id));
        control.set_policy(loops::HEARTBEAT, &policy);
    }
    #[cfg(feature = "luna")]
    if let Some(push) = &config.push {
        let phase = phase(config, id);
        control.set_policy(loops::SAMPLE, &loops::sample::policy(push.interval, phase));
        control.set_policy(loops::PUSH, &loops::push::policy(push, phase));
    }
    #[cfg(not(any(feature = "luna", feature = "sigma")))]
    let _ = (config, id, control);
}

/// The server's sockets: opened as they become free.
struct Server {
    http: Http,
    routes: Routes,
    stop: watch::Receiver<bool>,
    /// The ports that are still to be opened.
    closed: Vec<u16>,
}

impl Server {
    /// Opens what is not open yet; says whether the port that others are told is new.
    fn open(&mut self) -> Result<bool, Failure> {
        let main = self.http.ports.first().copied();
        let (mut news, mut failed) = (false, Ok(()));
        for port in std::mem::take(&mut self.closed) {
            match self.open_one(port, Some(port) == main) {
                Ok(()) => news |= Some(port) == main,
                Err(failure) => {
                    self.closed.push(port);
                    failed = Err(failure);
                }
            }
        }
        failed.map(|()| news)
    }

    fn open_one(&self, port: u16, main: bool) -> Outcome {
        let address = self.http.address;
        let (listener, listening) = http::listen(address, port).map_err(|error| {
            let advice = http::listen_advice(&error);
            Failure::new(
                format!(
                    "cannot listen on {address} port {port}: {error}; nothing is answered there until then: {advice}"
                ),
                Retry::Backoff,
            )
        })?;
        tracing::info!(%address, port = listening.port, "listening");
        if main {
            self.routes.shared.set_listening(listening);
        }
        tokio::spawn(http::serve(
            listener,
            self.routes.clone(),
            Limits::default(),
            self.stop.clone(),
        ));
        Ok(())
    }
}

/// Says once what this agent is about to do.
fn announce(config: &Config) {
    let (version, role) = (env!("CARGO_PKG_VERSION"), config.role.as_str());
    #[cfg(feature = "luna")]
    if let Some(push) = &config.push {
        tracing::info!(
            version,
            server_url = push.server_url.as_str(),
            interval = ?push.interval,
            system_info_period = ?push.system_info_period,
            max_retries = push.max_retries,
            retry_backoff = ?push.retry_backoff,
            "LunaSentri agent starting"
        );
    }
    #[cfg(feature = "sigma")]
    if let Some(sigma) = &config.sigma {
        let (api, interval_seconds) = (&sigma.api.url, sigma.interval.as_secs());
        return tracing::info!(version, role, api, interval_seconds, "starting");
    }
    tracing::info!(version, role, "starting");
}

/// Where in its interval this host does things: spread over the fleet, the same after every restart.
fn phase(config: &Config, id: &str) -> Phase {
    let given = config.hostname.as_deref().unwrap_or_default();
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
