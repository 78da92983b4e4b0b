//! Whether the Sigma API answers as it should, and whether ports can be looked at.

use std::time::{Duration, Instant};

use portscan::{Error as ScanError, ephemeral_ports};
use sigma_client::{ApiKey, Call, Client, Error, Reply, VpsFilter, VpsPage};

use super::Finding;
use crate::cli::{Role, Scan, Sigma, flag};
use crate::place::Place;
use crate::ports::{Holders, Ports};
use crate::servers;

const API: &str = "api";
const PORTS: &str = "ports";

/// Asks the API for one record: any role of a key may.
pub(super) async fn look(sigma: &Sigma, role: Role) -> Vec<Finding> {
    let client = match client(sigma) {
        Ok(client) => client,
        Err(why) => {
            return vec![Finding::broken(
                API,
                why,
                "mend the file, or name another one",
            )];
        }
    };
    let start = Instant::now();
    let answer = client
        .send(&Call::vps_page(&VpsFilter::default(), 1, 1))
        .await;
    let took = start.elapsed();
    match answer {
        Ok(reply) => well(sigma, &reply, took),
        Err(error) => vec![refused(&error, role)],
    }
}

fn client(sigma: &Sigma) -> Result<Client, String> {
    let key = sigma.api.key.read()?;
    let key = key.map(|key| ApiKey::parse(key.expose())).transpose();
    let key = key.map_err(|error| error.to_string())?.flatten();
    let builder = servers::builder(&sigma.api.url, &sigma.api.server)?.api_key(key);
    builder.build().map_err(|error| error.to_string())
}

fn well(sigma: &Sigma, reply: &Reply<VpsPage>, took: Duration) -> Vec<Finding> {
    let what = format!("{} answers, after {} ms", sigma.api.url, took.as_millis());
    let mut findings = vec![Finding::well(API, what)];
    findings.extend(reply.date.map(super::clock));
    findings
}

fn refused(error: &Error, role: Role) -> Finding {
    let key = flag(role, "api-key-file");
    let advice = if error.is_unauthorized() {
        format!("the API wants a key that it knows: check {key}")
    } else if error.is_forbidden() {
        format!("the key may not read records: {key} takes a key of role agent")
    } else if error.is_wrong_url() {
        "this does not answer like a Sigma API; check --api-url".to_owned()
    } else {
        "check --api-url, the network and the API itself; the agent goes on trying".to_owned()
    };
    Finding::broken(API, error.to_string(), advice)
}

/// One scan, with what it says about itself.
pub(super) fn look_at_ports(scan: &Scan, place: &Place) -> Vec<Finding> {
    let ports = Ports::new(scan, place.proc().to_owned(), place.cgroup(), Holders::One);
    let mut findings = match ports.look() {
        Ok(scanned) => {
            let summary = &scanned.summary;
            let what = format!("{} of {} available", summary.available, summary.total);
            let warnings = scanned.picture.warnings.iter().map(|warning| {
                let advice = "owners of other users take CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";
                Finding::look(PORTS, warning.to_string(), advice)
            });
            let mut findings = vec![Finding::well(PORTS, what)];
            findings.extend(warnings);
            findings
        }
        Err(error) => vec![no_scan(&error)],
    };
    findings.extend(overlap(scan, place));
    findings
}

fn no_scan(error: &ScanError) -> Finding {
    Finding::broken(
        PORTS,
        format!("cannot scan: {error}"),
        "mount a procfs, or set --host-proc",
    )
}

/// Ports that the kernel itself picks for connections are handed out to nobody.
fn overlap(scan: &Scan, place: &Place) -> Option<Finding> {
    let ephemeral = ephemeral_ports(place.proc()).ok()?;
    let shared = scan
        .ranges
        .iter()
        .filter(|port| ephemeral.contains(*port))
        .count();
    (shared > 0).then(|| {
        Finding::look(
            PORTS,
            format!("{shared} ports of the range are those that the kernel picks for connections ({ephemeral}), and are not handed out"),
            "choose another --port-scan-range, or reserve ports with net.ipv4.ip_local_reserved_ports",
        )
    })
}
