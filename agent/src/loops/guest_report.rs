//! Tells the manager of a guest's host under which address the guest is reached.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use ipdiscover::Address;
use periodic::{Backoff, Failure, Outcome, Phase, Policy, Retry};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::Report;
use crate::place::{Place, reportable_addresses};

/// How this agent introduces itself to the manager.
const USER_AGENT: &str = concat!("sigma-agent/", env!("CARGO_PKG_VERSION"));

/// How long one report may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Reports are repeated, since a manager that was restarted has forgotten them; while one fails, a waiting manager is soon told.
pub(crate) fn policy(phase: Phase) -> Policy {
    Policy {
        backoff: Backoff {
            floor: Duration::from_secs(5),
            base: Duration::from_secs(5),
            cap: Duration::from_secs(10),
        },
        limit: LIMIT,
        ..Policy::every(Duration::from_secs(30), phase)
    }
}

/// The loop's state.
pub(crate) struct Reporter {
    report: Report,
    place: Place,
    ignored: Vec<String>,
    /// The address that was told last.
    told: Option<IpAddr>,
}

impl Reporter {
    pub(crate) fn new(report: Report, place: Place, ignored: Vec<String>) -> Self {
        Self {
            report,
            place,
            ignored,
            told: None,
        }
    }

    pub(crate) async fn run(&mut self) -> Outcome {
        let (addresses, _) = reportable_addresses(&self.place, &self.ignored).await;
        let Some(address) = choose(&self.report, &addresses) else {
            return Err(Failure::new(self.no_address(), Retry::Backoff));
        };
        self.post(address)
            .await
            .map_err(|why| Failure::new(why, Retry::Backoff))?;
        if self.told.replace(address) != Some(address) {
            tracing::info!(%address, manager = self.report.manager.authority, "address reported");
        }
        Ok(())
    }

    fn no_address(&self) -> String {
        match &self.report.interface {
            Some(name) => format!("the interface {name} has no address that others can reach"),
            None => "this guest has no address that others can reach".to_owned(),
        }
    }

    async fn post(&self, address: IpAddr) -> Result<(), String> {
        let manager = &self.report.manager;
        let path = path(&self.report);
        let fail =
            |why: &dyn std::fmt::Display| format!("POST http://{}{path}: {why}", manager.authority);
        let stream = TcpStream::connect(manager.address)
            .await
            .map_err(|error| fail(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| fail(&error))?;
        let request = Request::post(&path)
            .header(header::HOST, &manager.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body(address).to_string())))
            .map_err(|error| fail(&error))?;
        // The connection moves the bytes; it ends by itself when nothing of the sender and the answer is left.
        tokio::spawn(connection);
        let sending = sender.send_request(request);
        let answer = sending.await.map_err(|error| fail(&error))?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(fail(&status))
        }
    }
}

/// IPv4 first, since that is what managers dial; among several the one with the default route.
pub(crate) fn choose(report: &Report, addresses: &[Address]) -> Option<IpAddr> {
    let wanted = |address: &&Address| match &report.interface {
        Some(name) => address.interface.as_ref() == Some(name),
        None => true,
    };
    let rank = |address: &&Address| (!address.ip.is_ipv4(), address.default_route != Some(true));
    let candidates = addresses.iter().filter(wanted);
    candidates.min_by_key(rank).map(|address| address.ip)
}

/// Where at the manager this guest's address is told.
pub(crate) fn path(report: &Report) -> String {
    format!("{}/v1/vms/{}/guest-ip", report.manager.path, report.vm_id)
}

pub(crate) fn body(address: IpAddr) -> Value {
    json!({ "guest_ip": address })
}
