//! Sends one sample: `push SERVER_URL KEY_FILE [NAME=FIGURE ...]`, the names being `hostname`, `cpu`, `memory`, `disk`
//! (percent), `sent`, `received` (bytes) and `uptime` (seconds). Without figures it asks for the server's health.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use metricpush::{ApiKey, Client, Error, Sample, ServerUrl};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("push: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<String, Failure> {
    let [server, key_file, figures @ ..] = arguments else {
        return Err("SERVER_URL and KEY_FILE are needed, then figures such as cpu=12.5".into());
    };
    let server = ServerUrl::parse(server)?;
    if server.exposes_key() {
        return Err("http:// to another host would show the key to everybody on the way".into());
    }
    let key = ApiKey::parse(&std::fs::read_to_string(key_file)?)?;
    let client = Client::new(http()?, &server, env!("CARGO_PKG_VERSION"))?;
    if figures.is_empty() {
        let health = client.health().await?;
        return Ok(format!("{server} says it is {:?}", health.state));
    }
    let body = sample(figures)?.to_json(None);
    match client.push(&key, body).await {
        Ok(accepted) => Ok(format!("{} with key {}", accepted.status, key.hash())),
        Err(error) => Err(format!("{error} ({})", advice(&error)).into()),
    }
}

/// An HTTP client that follows nothing, over TLS that trusts what the system trusts.
fn http() -> Result<reqwest::Client, Failure> {
    // It fails only if there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .build()?)
}

fn sample(figures: &[String]) -> Result<Sample, Failure> {
    let mut sample = Sample::at(SystemTime::now());
    for figure in figures {
        let (name, value) = figure.split_once('=').ok_or("a figure is NAME=FIGURE")?;
        match name {
            "hostname" => sample.hostname = Some(value.to_owned()),
            "cpu" => sample.cpu_percent = Some(value.parse()?),
            "memory" => sample.memory_percent = Some(value.parse()?),
            "disk" => sample.disk_percent = Some(value.parse()?),
            "sent" => sample.network_bytes_sent = Some(value.parse()?),
            "received" => sample.network_bytes_received = Some(value.parse()?),
            "uptime" => sample.uptime = Some(Duration::from_secs(value.parse()?)),
            _ => return Err(format!("{name} is no figure").into()),
        }
    }
    Ok(sample)
}

fn advice(error: &Error) -> &'static str {
    if error.is_transient() {
        "try again later"
    } else if error.is_refused_key() {
        "check the key, and that the machine is enabled"
    } else if error.is_wrong_url() {
        "check the URL: something else answers there"
    } else {
        "trying again will not help"
    }
}
