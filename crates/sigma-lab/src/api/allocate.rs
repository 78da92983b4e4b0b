//! The allocate proxy: asks the agent of a record for free ports and passes its answer on.
//!
//! It dials what the record says, and any agent may write that. So it sends no credentials, follows
//! no redirect, reads little, and takes nothing but a plain host.

use std::net::Ipv6Addr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::answer::{self, Answer, Refusal};
use crate::id::Id;
use crate::lab::Lab;
use crate::record::Record;
use crate::rows;

/// Where an agent listens that does not say. A fact of the wire contract, not a port that this
/// library opens.
const DEFAULT_METRICS_PORT: u64 = 9102;
/// The longest answer of an agent that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

#[derive(Deserialize, Serialize)]
pub(super) struct Wanted {
    count: u32,
}

pub(super) async fn ports(lab: &Lab, id: &Id, wanted: &Wanted) -> Result<Answer, Refusal> {
    let record = lab.store().read(|db| rows::by_id(db, id))?.record;
    let (port, host) = (port(&record)?, host(&record)?);
    let url = format!("http://{host}:{port}/ports/allocate");
    let unreachable = |why: &str| Refusal::BadGateway(format!("Agent unreachable at {url}: {why}"));
    let Some(name) = dialable(host) else {
        return Err(unreachable("builder error"));
    };
    let asked = tokio::time::timeout(lab.agent_timeout(), ask(name, host, port, wanted)).await;
    let Some((status, body)) = asked.ok().flatten() else {
        return Err(unreachable(&format!(
            "error sending request for url ({url})"
        )));
    };
    pass_on(status, &body)
}

/// A non-negative integer, cut to 16 bits; anything else counts as not said.
fn port(record: &Record) -> Result<u16, Refusal> {
    let said = record.system_info("metrics_port").and_then(Value::as_u64);
    let [.., high, low] = said.unwrap_or(DEFAULT_METRICS_PORT).to_be_bytes();
    match u16::from_be_bytes([high, low]) {
        0 => Err(Refusal::BadRequest(
            "Agent metrics server is disabled on this VPS".to_owned(),
        )),
        port => Ok(port),
    }
}

/// `public_ip` if it is a text, also an empty one; else the alias; else the first address that is
/// not internal; else the first.
fn host(record: &Record) -> Result<&str, Refusal> {
    if let Some(public_ip) = record.system_info("public_ip").and_then(Value::as_str) {
        return Ok(public_ip);
    }
    if !record.alias.is_empty() {
        return Ok(&record.alias);
    }
    let addresses = &record.ip_addresses;
    let outer = addresses.iter().find(|address| address.label != "internal");
    outer
        .or(addresses.first())
        .map(|address| address.ip.as_str())
        .ok_or_else(|| Refusal::BadRequest("VPS has no reachable IP address".to_owned()))
}

/// What to look up for a host as it stands in a URL. An IPv6 address must be in brackets there;
/// everything that would reach beyond the host (`/`, `@`, `:`, blanks) is refused.
fn dialable(host: &str) -> Option<&str> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']')?;
        return address.parse::<Ipv6Addr>().is_ok().then_some(address);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then_some(host)
}

/// One exchange with an agent; `None` when it did not come about.
async fn ask(name: &str, host: &str, port: u16, wanted: &Wanted) -> Option<(StatusCode, Vec<u8>)> {
    let stream = TcpStream::connect((name, port)).await.ok()?;
    let body = serde_json::to_vec(wanted).ok()?;
    let request = Request::post("/ports/allocate")
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "*/*")
        .header(HOST, format!("{host}:{port}"))
        .body(Full::<Bytes>::from(body))
        .ok()?;
    let mut http = http1::Builder::new();
    let (mut sender, connection) = http
        .max_buf_size(LONGEST_ANSWER)
        .handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let exchange = async {
        let answer = sender.send_request(request).await.ok()?;
        Some((answer.status(), read(answer.into_body()).await))
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        done = &mut exchange => done,
        // The connection may be through before its last bytes are taken.
        _ = &mut connection => exchange.await,
    }
}

/// What could be read of an answer. One that is too long or cut off counts as empty.
async fn read(body: Incoming) -> Vec<u8> {
    let read = Limited::new(body, LONGEST_ANSWER).collect().await;
    read.map(|body| body.to_bytes().to_vec())
        .unwrap_or_default()
}

fn pass_on(status: StatusCode, body: &[u8]) -> Result<Answer, Refusal> {
    if !status.is_success() {
        let said = String::from_utf8_lossy(body);
        return Err(Refusal::BadGateway(format!(
            "Agent returned {status}: {said}"
        )));
    }
    let mut json: Value = serde_json::from_slice(body).map_err(|_| {
        Refusal::BadGateway("Invalid agent response: error decoding response body".to_owned())
    })?;
    json.sort_all_objects();
    answer::ok(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_host_is_dialled() {
        for (host, name) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("vps-1.example", Some("vps-1.example")),
            ("[::1]", Some("::1")),
            ("::1", None),
            ("[::1", None),
            ("[vps-1]", None),
            ("", None),
            ("nonsense host", None),
            (" 203.0.113.9 ", None),
            ("user@vps", None),
            ("vps/path?", None),
            ("vps:80", None),
            ("vps\r\nx", None),
        ] {
            assert_eq!(dialable(host), name, "{host:?}");
        }
    }
}
