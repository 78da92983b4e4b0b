//! A tiny probe: is the SSH port of every address of every active VPS reachable from here?
//!
//! `probe API_URL SOURCE [--every SECONDS] [--per-minute N] [--at-once N]`, key in `SIGMA_API_KEY` (role
//! operator). Without `--every` it runs once.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sigma_client::{ApiKey, CheckReport, Client, Error, Vps, VpsFilter};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

type Failure = Box<dyn std::error::Error>;

/// More checks than this in one round are left out: at 90 reports a minute they would take an hour.
const MAX_CHECKS: usize = 5400;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

struct Settings {
    url: String,
    source: String,
    every: Option<Duration>,
    per_minute: u32,
    at_once: usize,
}

struct Target {
    vps_id: String,
    /// The address as the record spells it.
    ip: String,
    addr: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let settings = settings(std::env::args().skip(1))?;
    let key = ApiKey::parse(&std::env::var("SIGMA_API_KEY").unwrap_or_default())?;
    let client = Client::builder(&settings.url).api_key(key).build()?;
    loop {
        match round(&client, &settings).await {
            Ok((reports, lost)) => println!("{reports} reports, {lost} lost"),
            Err(error) if settings.every.is_some() && error.is_transient() => {
                eprintln!("probe: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        let Some(pause) = settings.every else {
            return Ok(());
        };
        sleep(pause).await;
    }
}

/// Reads the list, checks everything on it, reports the results; says how many arrived and how many did not.
async fn round(client: &Client, settings: &Settings) -> Result<(usize, usize), Error> {
    let mut targets = Vec::new();
    let mut pages = client.vps_pages(VpsFilter::active());
    while let Some(page) = pages.next_page().await? {
        targets.extend(page.data.iter().flat_map(targets_of));
    }
    targets.truncate(MAX_CHECKS);
    let reports = check(targets, settings).await;
    let mut pace = interval(Duration::from_secs(60) / settings.per_minute);
    let (mut sent, mut lost) = (0, 0);
    for report in reports {
        pace.tick().await;
        match deliver(client, &report).await {
            Ok(()) => sent += 1,
            Err(error) if error.is_transient() => lost += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((sent, lost))
}

fn targets_of(vps: &Vps) -> Vec<Target> {
    let outside = vps
        .ip_addresses
        .iter()
        .filter(|address| address.label != "internal");
    let target = |address: &sigma_client::StoredAddress| {
        let addr = SocketAddr::new(address.parsed()?, vps.ssh_port?);
        Some(Target {
            vps_id: vps.id.clone(),
            ip: address.ip.clone(),
            addr,
        })
    };
    outside.filter_map(target).collect()
}

async fn check(targets: Vec<Target>, settings: &Settings) -> Vec<CheckReport> {
    let (mut running, mut reports) = (JoinSet::new(), Vec::new());
    for target in targets {
        if running.len() >= settings.at_once {
            reports.extend(running.join_next().await.and_then(Result::ok));
        }
        running.spawn(check_one(target, settings.source.clone()));
    }
    while let Some(report) = running.join_next().await {
        reports.extend(report.ok());
    }
    reports
}

async fn check_one(target: Target, source: String) -> CheckReport {
    let start = Instant::now();
    let success = matches!(
        timeout(CONNECT_LIMIT, TcpStream::connect(target.addr)).await,
        Ok(Ok(_))
    );
    let latency_ms = success
        .then(|| u32::try_from(start.elapsed().as_millis()).ok())
        .flatten();
    CheckReport {
        vps_id: target.vps_id,
        ip: target.ip,
        check_type: "tcp".to_owned(),
        source,
        success,
        latency_ms,
    }
}

/// The library tries once; here a report gets a second chance after the wait that the server asked for.
async fn deliver(client: &Client, report: &CheckReport) -> Result<(), Error> {
    let Err(error) = client.report_check(report).await else {
        return Ok(());
    };
    // Only 429 says for sure that the report was not stored.
    let Some(wait) = error.retry_after().filter(|_| error.status() == Some(429)) else {
        return Err(error);
    };
    sleep(wait.min(Duration::from_secs(120))).await;
    client.report_check(report).await
}

fn settings(mut args: impl Iterator<Item = String>) -> Result<Settings, Failure> {
    let (Some(url), Some(source)) = (args.next(), args.next()) else {
        return Err(
            "usage: probe API_URL SOURCE [--every SECONDS] [--per-minute N] [--at-once N]".into(),
        );
    };
    let mut settings = Settings {
        url,
        source,
        every: None,
        per_minute: 90,
        at_once: 20,
    };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--every" => settings.every = Some(Duration::from_secs(value.parse::<u64>()?.max(1))),
            "--per-minute" => settings.per_minute = value.parse::<u32>()?.clamp(1, 6000),
            "--at-once" => settings.at_once = value.parse::<usize>()?.clamp(1, 100),
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    Ok(settings)
}
