//! Keeps the Sigma API informed: registers this host where needed, and beats.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipdiscover::{Address, Origin, Scope};
use periodic::{Backoff, Control, Failure, Outcome, Phase, Policy, Retry};
use serde_json::{Map, Value};
use sigma_client::{
    ApiKey, Client, Error, Heartbeat, IpEntry, PublicIp, Registration, StoredAddress, SystemInfo,
    Vps, VpsStatus,
};
use tokio::sync::{Semaphore, watch};

use super::public_ip::Outside;
use crate::cli::{Api, Config, FirstContact, KeySource, Lookup, Sigma};
use crate::place::{Place, in_time, reportable_addresses};
use crate::secret::{self, Secret};
use crate::servers;
use crate::shared::{Call, Record, Reported, Shared};
use crate::snapshot::Snapshot;

/// How long a run may take: a look-up to wait for and three calls of 10 s.
const LIMIT: Duration = Duration::from_secs(50);

/// How long a new host without any address waits for the first look-up.
const LOOKUP_WAIT: Duration = Duration::from_secs(17);

/// In how many complete readings a public address must be missing before it is taken off the record.
const ABSENCES: u32 = 3;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The label of addresses that mean nothing on the Internet.
const INTERNAL: &str = "internal";

/// The loop's state: what is configured, and what the API knows.
pub(crate) struct Registrar {
    settings: watch::Receiver<Arc<Config>>,
    outside: watch::Receiver<Outside>,
    place: Place,
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// What the API has from us beyond heartbeats, once that is sure.
    registered: Option<Said>,
    /// The public addresses on the record, as the API last answered.
    stored: Option<Vec<IpAddr>>,
    /// How many complete readings in a row lacked one of them.
    absences: u32,
    /// What the host last told about itself.
    snapshot: Snapshot,
    /// The turn to read key and certificate files.
    files: Arc<Semaphore>,
    /// Wakes the look-up when this host's own addresses call for it.
    control: Control,
    warned_of_empty_record: bool,
}

/// The client, and the key it was made with.
#[derive(Clone)]
struct Connection {
    client: Client,
    key: Option<Secret>,
}

/// What a registration says beyond what every heartbeat says.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    hostname: String,
    addresses: Vec<IpAddr>,
    alias: Option<String>,
    ssh_port: u16,
}

/// What there is to say about this host now.
struct Report {
    said: Said,
    entries: Vec<IpEntry>,
    /// Whether the addresses are all there are.
    complete: bool,
    system_info: SystemInfo,
}

impl Report {
    fn registration(&self) -> Registration {
        Registration {
            hostname: self.said.hostname.clone(),
            alias: self.said.alias.clone(),
            ip_addresses: self.entries.clone(),
            ssh_port: self.said.ssh_port,
            system_info: self.system_info.clone(),
        }
    }

    fn heartbeat(&self, ip_addresses: Vec<IpEntry>) -> Heartbeat {
        Heartbeat {
            hostname: self.said.hostname.clone(),
            ip_addresses,
            system_info: self.system_info.clone(),
        }
    }
}

/// Every wait is in proportion to the interval: at 60 s, retries come after 30 to 120 s, and every 5 minutes where only a person can help.
pub(crate) fn policy(interval: Duration, phase: Phase) -> Policy {
    Policy {
        backoff: Backoff {
            floor: interval / 2,
            base: interval * 3 / 2,
            cap: interval * 2,
        },
        slow: interval * 5,
        wake_gap: interval / 6,
        limit: LIMIT,
        ..Policy::every(interval, phase)
    }
}

impl Registrar {
    pub(crate) fn new(
        settings: watch::Receiver<Arc<Config>>,
        outside: watch::Receiver<Outside>,
        place: Place,
        shared: Arc<Shared>,
        control: Control,
    ) -> Self {
        Self {
            settings,
            outside,
            place,
            shared,
            connection: None,
            registered: None,
            stored: None,
            absences: 0,
            snapshot: Snapshot::default(),
            files: Arc::new(Semaphore::new(1)),
            control,
            warned_of_empty_record: false,
        }
    }

    /// What would be sent now, as far as this host alone can tell; nothing is sent.
    pub(crate) async fn preview(&mut self) -> Result<Option<(Registration, Heartbeat)>, Failure> {
        let config = self.take_settings();
        let Some(sigma) = &config.sigma else {
            return Ok(None);
        };
        let report = self.report(&config, sigma).await?;
        let heartbeat = report.heartbeat(report.entries.clone());
        Ok(Some((report.registration(), heartbeat)))
    }

    /// One contact with the API.
    pub(crate) async fn run(&mut self) -> Outcome {
        let config = self.take_settings();
        // The task is there only where heartbeats are on, and a reload does not switch them off.
        let Some(sigma) = &config.sigma else {
            return Ok(());
        };
        let connection = self.connection(&sigma.api).await?;
        let report = self.report(&config, sigma).await?;
        let outcome = match self.contact(&connection.client, &config, &report).await {
            Err(error) if error.is_unauthorized() => {
                match self.with_another_key(&sigma.api, &connection).await {
                    Some(client) => self.contact(&client, &config, &report).await,
                    None => Err(error),
                }
            }
            other => other,
        };
        outcome.map_err(|error| failure(&error))
    }

    /// The configuration; a new one drops the connection, so that changed key and certificate files count too.
    fn take_settings(&mut self) -> Arc<Config> {
        if self.settings.has_changed().unwrap_or(false) {
            self.connection = None;
        }
        Arc::clone(&self.settings.borrow_and_update())
    }

    async fn connection(&mut self, api: &Api) -> Result<Connection, Failure> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let files = api.clone();
        let connection = in_time(&self.files, move || connect(&files)).await;
        let slow = || Err("the key or certificate files cannot be read in time".to_owned());
        let connection = connection
            .unwrap_or_else(slow)
            .map_err(|why| Failure::new(why, Retry::Slowly))?;
        Ok(self.connection.insert(connection).clone())
    }

    /// The client with the key that the file holds now, if that is another one than before.
    async fn with_another_key(&mut self, api: &Api, before: &Connection) -> Option<Client> {
        let KeySource::File(path) = &api.key else {
            return None;
        };
        let file = path.clone();
        match in_time(&self.files, move || secret::read(&file)).await? {
            Ok(key) if before.key.as_ref() != Some(&key) => {
                tracing::info!(file = %path.display(), "the API key has changed: trying the new one");
                let new = ApiKey::parse(key.expose()).ok().flatten();
                let client = before.client.with_api_key(new);
                self.connection = Some(Connection {
                    client: client.clone(),
                    key: Some(key),
                });
                Some(client)
            }
            Ok(_) => None,
            Err(why) => {
                tracing::warn!(%why, "the API key cannot be read again");
                None
            }
        }
    }

    async fn report(&mut self, config: &Config, sigma: &Sigma) -> Result<Report, Failure> {
        let (local, complete) = reportable_addresses(&self.place, &config.ignore_interfaces).await;
        // Decided from this host's own tables alone, so this waits for no network; an error means that nobody decides any more.
        let outside = self
            .outside
            .wait_for(|outside| outside.wanted.is_some())
            .await
            .map_or_else(|_| Outside::default(), |outside| outside.clone());
        let complete = complete
            && outside.is_complete()
            && !self.calls_for_a_look_up(config, &local, &outside);
        let mut addresses = ipdiscover::reportable(local.iter().chain(&outside.addresses));
        if let Some(fixed) = config.public.fixed {
            put_first(&mut addresses, fixed);
        }
        self.snapshot = match Snapshot::take(&self.place).await {
            Some(snapshot) => snapshot,
            None => std::mem::take(&mut self.snapshot).without_what_changes(),
        };
        let hostname =
            hostname(config, &self.snapshot).map_err(|why| Failure::new(why, Retry::NextPeriod))?;
        let public_ip = self.public_ip(config, &addresses);
        let metrics_port = self
            .shared
            .listening()
            .map_or(0, |listening| listening.port);
        let said = Said {
            hostname,
            addresses: addresses.iter().map(|address| address.ip).collect(),
            alias: sigma.alias.clone(),
            ssh_port: sigma.ssh_port,
        };
        self.count_absences(&said.addresses, complete);
        self.shared.sigma.set_reported(Reported {
            hostname: said.hostname.clone(),
            addresses: said.addresses.clone(),
            public_ip,
        });
        Ok(Report {
            said,
            entries: addresses
                .iter()
                .map(|address| entry(address, config.public.fixed))
                .collect(),
            complete,
            system_info: system_info(&self.snapshot, metrics_port, public_ip),
        })
    }

    /// The address for the API to call back: public IPv4, or IPv6 where the server listens on it.
    fn public_ip(&self, config: &Config, addresses: &[Address]) -> Option<IpAddr> {
        let ipv6_served = self
            .shared
            .listening()
            .is_some_and(|listening| listening.ipv6);
        let mut public = addresses
            .iter()
            .filter(|address| address.scope.is_public())
            .map(|address| address.ip);
        config
            .public
            .fixed
            .or_else(|| public.find(|ip| ip.is_ipv4() || ipv6_served))
    }

    async fn contact(
        &mut self,
        client: &Client,
        config: &Config,
        report: &Report,
    ) -> Result<(), Error> {
        let Some(sigma) = &config.sigma else {
            return Ok(());
        };
        if self
            .registered
            .as_ref()
            .is_some_and(|before| before.hostname != report.said.hostname)
        {
            tracing::info!(hostname = report.said.hostname, "the hostname has changed");
            self.forget();
        }
        if self.must_register(sigma.first_contact, report) {
            self.register(client, report).await?;
        }
        match self.heartbeat(client, report).await {
            Err(error) if error.is_unknown_host() => {
                self.start_over(client, config, sigma, report).await
            }
            Err(error) => Err(error),
            Ok(vps) => self.settle(client, report, &vps).await,
        }
    }

    /// Registers a host that the API does not know: nothing can be lost there.
    async fn start_over(
        &mut self,
        client: &Client,
        config: &Config,
        sigma: &Sigma,
        report: &Report,
    ) -> Result<(), Error> {
        self.forget();
        let awaited = self.awaited(config, sigma, report).await;
        let report = awaited.as_ref().unwrap_or(report);
        self.register(client, report).await?;
        self.heartbeat(client, report).await.map(drop)
    }

    /// After a heartbeat that came first: registers if the record says other things than we do, else takes it as registered.
    async fn settle(&mut self, client: &Client, report: &Report, vps: &Vps) -> Result<(), Error> {
        if self.registered.is_some() || !self.loses_nothing(report) {
            return Ok(());
        }
        let same_port = vps.ssh_port.is_none_or(|port| port == report.said.ssh_port);
        let same_alias = report.said.alias.is_none() || report.said.alias == vps.alias;
        if same_port && same_alias {
            self.registered = Some(report.said.clone());
        } else if self.in_service() {
            self.register(client, report).await?;
        }
        Ok(())
    }

    /// The report with the addresses of the first look-up, where a new host has no address to tell without it.
    async fn awaited(&mut self, config: &Config, sigma: &Sigma, report: &Report) -> Option<Report> {
        if !report.entries.is_empty() || self.outside.borrow().is_settled() {
            return None;
        }
        let settled = self.outside.wait_for(Outside::is_settled);
        let _ = tokio::time::timeout(LOOKUP_WAIT, settled).await;
        self.report(config, sigma).await.ok()
    }

    /// Whether to register before the heartbeat.
    ///
    /// Registering replaces the list of addresses and makes the record active. So it waits for a list that loses nothing, and what
    /// changes while the operator has retired or suspended the record is left to the heartbeats.
    fn must_register(&self, first_contact: FirstContact, report: &Report) -> bool {
        let due = match &self.registered {
            Some(before) => *before != report.said && self.in_service(),
            None => {
                first_contact == FirstContact::Register
                    && (self.shared.sigma.record().is_none() || self.in_service())
            }
        };
        due && self.loses_nothing(report)
    }

    fn in_service(&self) -> bool {
        self.shared.sigma.record().is_some_and(|record| {
            matches!(record.status, VpsStatus::Active | VpsStatus::Provisioning)
        })
    }

    /// Whether the last local public address has gone since nobody had to be asked: then somebody is asked at once.
    fn calls_for_a_look_up(&self, config: &Config, local: &[Address], outside: &Outside) -> bool {
        let wanted = config.public.lookup == Lookup::Auto && config.public.fixed.is_none();
        let alone = !local.iter().any(|address| address.scope.is_public());
        let calls = wanted && alone && outside.wanted == Some(false);
        if calls {
            self.control.wake(super::PUBLIC_IP);
        }
        calls
    }

    fn count_absences(&mut self, listed: &[IpAddr], complete: bool) {
        let stored = self.stored.as_deref().unwrap_or_default();
        let lacks = stored.iter().any(|ip| !listed.contains(ip));
        self.absences = if complete && lacks {
            self.absences.saturating_add(1)
        } else {
            0
        };
    }

    /// Whether sending these addresses takes no public one, and with it its label, off the record. One that stays away in several
    /// readings is gone for good; one reading alone may have met an interface on its way down and up again.
    fn loses_nothing(&self, report: &Report) -> bool {
        let listed = |ip: &IpAddr| report.said.addresses.contains(ip);
        let safe = match &self.stored {
            None => report.complete,
            Some(stored) => {
                stored.iter().all(listed) || report.complete && self.absences >= ABSENCES
            }
        };
        safe && !report.entries.is_empty()
    }

    async fn register(&mut self, client: &Client, report: &Report) -> Result<(), Error> {
        let start = Instant::now();
        let outcome = client.register(&report.registration()).await;
        self.shared
            .sigma
            .meter(Call::Register)
            .ended(start, &outcome);
        let vps = outcome?;
        tracing::info!(
            hostname = vps.hostname,
            id = vps.id,
            status = vps.status.as_str(),
            addresses = report.entries.len(),
            "registered"
        );
        self.registered = Some(report.said.clone());
        self.learn(&vps);
        Ok(())
    }

    async fn heartbeat(&mut self, client: &Client, report: &Report) -> Result<Vps, Error> {
        // An empty list keeps what the API has; an incomplete one would not.
        let ip_addresses = if self.loses_nothing(report) {
            report.entries.clone()
        } else {
            Vec::new()
        };
        let start = Instant::now();
        let outcome = client.heartbeat(&report.heartbeat(ip_addresses)).await;
        self.shared
            .sigma
            .meter(Call::Heartbeat)
            .ended(start, &outcome);
        let vps = outcome?;
        self.learn(&vps);
        Ok(vps)
    }

    fn forget(&mut self) {
        self.registered = None;
        self.stored = None;
        self.shared.sigma.replace_record(None);
    }

    /// Takes the API's answer in, and says once what an operator should know.
    fn learn(&mut self, vps: &Vps) {
        let stored = vps.ip_addresses.iter().filter_map(StoredAddress::parsed);
        self.stored = Some(stored.filter(|ip| Scope::of(*ip).is_public()).collect());
        let record = Record {
            id: vps.id.clone(),
            hostname: vps.hostname.clone(),
            status: vps.status.clone(),
        };
        if let Some(before) = self.shared.sigma.replace_record(Some(record.clone()))
            && before != record
        {
            tracing::warn!(
                id = record.id,
                was_id = before.id,
                hostname = record.hostname,
                was_hostname = before.hostname,
                status = record.status.as_str(),
                was_status = before.status.as_str(),
                "the API's record of this host has changed"
            );
        }
        if vps.stored_system_info().is_none() && !self.warned_of_empty_record {
            self.warned_of_empty_record = true;
            tracing::warn!(
                id = record.id,
                "the API answers well but stores nothing of our reports: give this record an `extra` of {{}} there"
            );
        }
    }
}

fn connect(api: &Api) -> Result<Connection, String> {
    let key = api.key.read()?;
    let parsed = key.as_ref().map(|key| ApiKey::parse(key.expose()));
    let parsed = parsed.transpose().map_err(|error| error.to_string())?;
    let client = servers::builder(&api.url, &api.server)?
        .api_key(parsed.flatten())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Connection { client, key })
}

/// The name to register under: never one that many machines share.
fn hostname(config: &Config, snapshot: &Snapshot) -> Result<String, String> {
    if let Some(name) = &config.hostname {
        return Ok(name.clone());
    }
    match snapshot.hostname.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() && !crate::cli::sigma_reserved(name) => Ok(name.to_owned()),
        Some(name) => Err(format!(
            "the hostname {name:?} stands for no particular machine: set --hostname"
        )),
        None => Err("the hostname cannot be read: set --hostname".to_owned()),
    }
}

/// Puts the address that the operator chose in front, where Prometheus and the API look first.
fn put_first(addresses: &mut Vec<Address>, fixed: IpAddr) {
    let known = addresses
        .iter()
        .position(|address| address.ip == fixed)
        .map(|at| addresses.remove(at));
    addresses.insert(
        0,
        known.unwrap_or_else(|| Address::new(fixed, Origin::Local)),
    );
}

/// An address with its label. `internal` once stored cannot be taken back by an agent, so it is for what is sure to be internal.
fn entry(address: &Address, fixed: Option<IpAddr>) -> IpEntry {
    let internal = matches!(
        address.scope,
        Scope::Private | Scope::SharedCgnat | Scope::UniqueLocal
    ) && fixed != Some(address.ip);
    let label = if internal { INTERNAL } else { "" };
    IpEntry {
        ip: address.ip,
        label: label.to_owned(),
    }
}

/// The facts that the API and its web UI read, and a few that help people; what is unknown is left out.
fn system_info(snapshot: &Snapshot, metrics_port: u16, public_ip: Option<IpAddr>) -> SystemInfo {
    let facts = [
        ("os", &snapshot.os),
        ("kernel", &snapshot.kernel),
        ("arch", &snapshot.architecture),
        ("virtualization", &snapshot.virtualization),
    ];
    let mut extra: Map<String, Value> = facts
        .into_iter()
        .filter_map(|(key, fact)| Some((key.to_owned(), fact.as_deref()?.into())))
        .collect();
    extra.insert("agent_version".to_owned(), env!("CARGO_PKG_VERSION").into());
    SystemInfo {
        cpu_cores: snapshot.cpu_cores,
        ram_mb: snapshot.memory_total_bytes.map(|bytes| bytes / MIB),
        disk_gb: snapshot.disk_total_bytes.map(|bytes| bytes / GIB),
        disk_used_gb: snapshot.disk_used_bytes.map(|bytes| bytes / GIB),
        uptime_seconds: snapshot.uptime.map(|uptime| uptime.as_secs()),
        load_avg: snapshot.load,
        metrics_port,
        public_ip: public_ip.map(PublicIp::from),
        extra,
    }
}

/// What an API's refusal means for the next try, in words that say what to do.
fn failure(error: &Error) -> Failure {
    let advice = if error.is_unauthorized() {
        ": the API refuses the key; check --api-key-file (it also says this while its database is away)"
    } else if error.is_forbidden() {
        ": the key's role may not do this; it takes a key of role agent"
    } else if error.is_wrong_url() || error.is_unknown_host() {
        ": this does not answer like a Sigma API; check --api-url"
    } else {
        ""
    };
    let retry = match error.retry_after() {
        _ if !advice.is_empty() => Retry::Slowly,
        Some(wait) => Retry::After(wait),
        None if error.is_transient() => Retry::Backoff,
        None => Retry::NextPeriod,
    };
    let failure = Failure::new(format!("{error}{advice}"), retry);
    // What a server says beside its status may differ from answer to answer, and is the same state all the same.
    match error.status() {
        Some(status) => failure.of_class(status.to_string()),
        None => failure,
    }
}
