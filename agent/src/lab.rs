//! `sigma-agent lab`: a small Sigma API with an agent beside it, on loopback, for one machine.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sigma_lab::{Machine, Role, Vps};
use tokio::net::TcpListener;

use crate::agent::Agent;
use crate::app::{block_on, told_to_stop};
use crate::cli::{self, Log, LogFormat, LogOutput};
use crate::clock::rfc3339;
use crate::logging;
use crate::notify::Notify;
use crate::place::Place;

/// Where the real API listens by default.
const API_PORT: u16 = 3000;

/// Where the lab's LunaSentri server listens if it can.
const LUNA_PORT: u16 = 3001;

/// The lab's agent at the LunaSentri server.
const MACHINE: &str = "lab";

/// Where the agent's server listens by default.
const METRICS_PORT: u16 = 9102;

/// The name of a machine that has none of its own.
const NAMELESS: &str = "lab";

/// How often the lab looks for news to print.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(options: &cli::Lab) -> Result<(), String> {
    logging::init(
        &Log {
            level: tracing::Level::WARN,
            format: LogFormat::Human,
            output: LogOutput::Stderr,
            file: None,
        },
        false,
    )?;
    block_on(async {
        let lab = open(options.data.as_deref())?;
        let keys = |name, role| {
            lab.replace_key(name, role)
                .map_err(|error| format!("cannot make a key: {error}"))
        };
        let (admin, key) = (keys("lab", Role::Admin)?, keys("lab-agent", Role::Agent)?);

        let api = listen(options.api_port, API_PORT).await?;
        let api_url = format!("{}/api", url(&api)?);
        let luna = listen(None, LUNA_PORT).await?;
        let luna_url = url(&luna)?;
        let machine_key = machine_key(&lab)?;
        let backlog = Folder::beside(options.data.as_deref())?;
        let config = options
            .agent(&cli::LabPlaces {
                api_url: &api_url,
                api_key: &key,
                luna_url: &luna_url,
                luna_key: &machine_key,
                state: backlog.path(),
                metrics_port: free_port().await?,
                hostname: hostname().as_deref(),
            })
            .map_err(|refusal| refusal.to_string())?;
        let metrics_port = config
            .http
            .as_ref()
            .and_then(|http| http.ports.first().copied())
            .unwrap_or_default();
        print(&welcome(
            &api_url,
            &luna_url,
            metrics_port,
            &admin,
            options.data.as_deref(),
        ));

        let agent = Agent::new(config, Arc::new(Notify::none())).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let signal = async {
            let told = told_to_stop().await;
            stop.send_replace(true);
            told
        };
        let (told, served, luna_served, (), ()) = tokio::join!(
            signal,
            sigma_lab::serve(api, lab.clone(), until(stopped.clone())),
            sigma_lab::serve_luna(luna, lab.clone(), until(stopped.clone())),
            agent.run(until(stopped.clone())),
            watch(&lab, until(stopped)),
        );
        print("stopped\n");
        told.and(served)
            .and(luna_served)
            .map_err(|error| error.to_string())
    })
}

fn url(listener: &TcpListener) -> Result<String, String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(format!("http://{address}"))
}

/// A key for the lab's machine; a kept database has the machine already.
fn machine_key(lab: &sigma_lab::Lab) -> Result<String, String> {
    let failed = |error: sigma_lab::Error| format!("cannot make a key: {error}");
    let machines = lab.machines().map_err(failed)?;
    match machines.iter().find(|machine| machine.name == MACHINE) {
        Some(machine) => lab.rotate_machine_key(machine.id).map_err(failed),
        None => lab
            .create_machine(MACHINE)
            .map(|machine| machine.key)
            .map_err(failed),
    }
}

/// The folder for samples that could not be sent: kept with the database, or gone at the end like it.
enum Folder {
    Kept(PathBuf),
    Passing(PathBuf),
}

impl Folder {
    fn beside(data: Option<&Path>) -> Result<Self, String> {
        let Some(data) = data else {
            let path = std::env::temp_dir().join(format!("sigma-lab-{}", std::process::id()));
            return Ok(Self::Passing(path));
        };
        // The agent's options are text, as those of every agent.
        let path = data.join("backlog");
        path.to_str()
            .map(|text| Self::Kept(text.into()))
            .ok_or_else(|| "--data: the folder's name is not UTF-8 text".to_owned())
    }

    fn path(&self) -> &str {
        let (Self::Kept(path) | Self::Passing(path)) = self;
        path.to_str().unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Passing(path) = self {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn open(data: Option<&Path>) -> Result<sigma_lab::Lab, String> {
    let Some(folder) = data else {
        return sigma_lab::Lab::in_memory().map_err(|error| error.to_string());
    };
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("--data {}: {error}", folder.display()))?;
    sigma_lab::Lab::open(&folder.join("sigma-lab.sqlite"))
        .map_err(|error| format!("--data {}: {error}", folder.display()))
}

/// The port that was asked for, or else the usual one, or else any that is free.
async fn listen(asked: Option<u16>, usual: u16) -> Result<TcpListener, String> {
    let port = asked.unwrap_or(usual);
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && asked.is_none() => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        other => other,
    }
    .map_err(|error| format!("cannot listen on 127.0.0.1 port {port}: {error}"))
}

/// A port for the agent's server; it may be gone a moment later, and then the agent says so and tries again.
async fn free_port() -> Result<u16, String> {
    let listener = listen(None, METRICS_PORT).await?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// A name for a machine that has none of its own.
fn hostname() -> Option<String> {
    let here = cli::HostPlace {
        root: "/".into(),
        proc: None,
    };
    let own = Place::new(&here).hostname();
    own.is_none_or(|name| cli::sigma_reserved(name.trim()))
        .then(|| NAMELESS.to_owned())
}

fn welcome(
    api_url: &str,
    luna_url: &str,
    metrics_port: u16,
    admin: &str,
    data: Option<&Path>,
) -> String {
    let database = data.map_or_else(
        || "in memory, gone at the end (--data DIR keeps it)".to_owned(),
        |folder| folder.display().to_string(),
    );
    format!(
        "\
sigma-lab: a small Sigma API and LunaSentri server with an agent beside them, for this machine alone.
Fleets run the real ones.

  API       {api_url}
  samples   {luna_url}/agent/metrics
  agent     http://127.0.0.1:{metrics_port}/ (in a browser: this machine, live)
  database  {database}

Look at it from another terminal (the key is new at every start and good for this lab only):
  curl -s -H 'X-Api-Key: {admin}' {api_url}/vps
  curl -s http://127.0.0.1:{metrics_port}/status

Ctrl-C ends it.

"
    )
}

/// Prints what happens in the database.
async fn watch(lab: &sigma_lab::Lab, stop: impl Future<Output = ()>) {
    let look = async {
        let (mut known, mut seen): (Vec<Vps>, Vec<Machine>) = Default::default();
        loop {
            if let (Ok(now), Ok(machines)) = (lab.vps(), lab.machines()) {
                print(&news(&known, &now));
                print(&samples(&seen, &machines));
                (known, seen) = (now, machines);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = stop => {}
        () = look => {}
    }
}

/// The samples that came between two looks, a line each.
fn samples(before: &[Machine], now: &[Machine]) -> String {
    let mut text = String::new();
    for machine in now {
        let Some(row) = &machine.latest else { continue };
        let old = before.iter().find(|old| old.id == machine.id);
        // The rows of an earlier run are no news.
        if before.is_empty() || old.is_some_and(|old| old.latest.as_ref() == Some(row)) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  sample      {}  cpu {:.1} %, memory {:.1} %, disk {:.1} %",
            rfc3339(SystemTime::now()),
            machine
                .system_info
                .hostname
                .as_deref()
                .unwrap_or(&machine.name),
            row.cpu_pct,
            row.mem_used_pct,
            row.disk_used_pct
        );
    }
    text
}

/// What changed between two looks at the records, a line each.
fn news(before: &[Vps], now: &[Vps]) -> String {
    let mut text = String::new();
    for vps in now {
        let what = match before.iter().find(|old| old.id == vps.id) {
            None => "registered",
            Some(old) if old.last_heartbeat != vps.last_heartbeat => "heartbeat",
            Some(_) => continue,
        };
        let addresses: Vec<&str> = vps
            .addresses
            .iter()
            .map(|address| address.ip.as_str())
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {what:10}  {} ({})  {}",
            rfc3339(SystemTime::now()),
            vps.hostname,
            vps.status,
            addresses.join(", ")
        );
    }
    text
}

/// To standard output; whoever closed it wants no more of it.
fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
