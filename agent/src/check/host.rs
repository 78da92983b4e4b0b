//! What can be found out on this host alone: who it is, what it runs in, whether ports and folders can be used.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Finding;
use crate::ask;
use crate::cli::{Config, Http};
use crate::http;
use crate::place::Place;

/// How long something on this host may take to say what it is.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn look(config: &Config, place: &Place) -> Vec<Finding> {
    let mut findings = vec![hostname(config, place)];
    findings.extend(container(config, place));
    findings.extend(kernel_files(place));
    if let Some(http) = &config.http {
        findings.extend(http.ports.iter().map(|port| listener(http, *port)));
    }
    findings
}

fn hostname(config: &Config, place: &Place) -> Finding {
    const ABOUT: &str = "hostname";
    let given = config.hostname.clone().or_else(|| place.hostname());
    match given.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() && !crate::cli::sigma_reserved(name) => {
            Finding::well(ABOUT, name)
        }
        Some(name) => Finding::broken(
            ABOUT,
            format!("{name:?} stands for no particular machine"),
            "set --hostname",
        ),
        None => Finding::broken(ABOUT, "cannot be read", "set --hostname"),
    }
}

/// In a container whose host is not mounted, the figures are the container's own.
fn container(config: &Config, place: &Place) -> Option<Finding> {
    const ABOUT: &str = "machine";
    let host = place.host();
    let found = host.virtualization();
    let name = crate::place::virtualization(&host).unwrap_or("nothing that can be told");
    let own = config.host.root == std::path::Path::new("/") && config.host.proc.is_none();
    Some(if found.is_container() && own {
        Finding::look(
            ABOUT,
            format!("runs in {name}, so processes, disks and addresses are the container's own"),
            "to see the host, mount it and set --host-root (docker: -v /:/host:ro,rslave --pid host --network host)",
        )
    } else {
        Finding::well(ABOUT, format!("runs on {name}"))
    })
}

fn kernel_files(place: &Place) -> Option<Finding> {
    let error = place.host().cpu().err()?;
    Some(Finding::broken(
        "host files",
        error.to_string(),
        "mount a procfs, or set --host-root or --host-proc",
    ))
}

fn listener(server: &Http, port: u16) -> Finding {
    const ABOUT: &str = "http";
    let place = format!("{} port {port}", server.address);
    match http::try_port(server.address, port) {
        Ok(()) => Finding::well(ABOUT, format!("{place} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            match agent_at(server.address, port) {
                Some(version) => Finding::well(
                    ABOUT,
                    format!("{place} is served by a running agent, {version}"),
                ),
                None => Finding::broken(
                    ABOUT,
                    format!("{place} is taken by another program"),
                    "see who has it with `ss -ltnp`, or set --metrics-port",
                ),
            }
        }
        Err(error) => Finding::broken(
            ABOUT,
            format!("cannot listen on {place}: {error}"),
            "set --metrics-address and --metrics-port",
        ),
    }
}

/// The version of the agent that answers there, if one does.
fn agent_at(address: IpAddr, port: u16) -> Option<String> {
    ask::ways_to(address).into_iter().find_map(|way| {
        let deadline = Instant::now() + PATIENCE;
        let reply = ask::get(SocketAddr::new(way, port), "/version", deadline).ok()?;
        let body: serde_json::Value = serde_json::from_str(&reply.body).ok()?;
        (body.get("name")? == "sigma-agent")
            .then(|| body.get("version")?.as_str().map(str::to_owned))?
    })
}
