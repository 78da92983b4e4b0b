//! `GET /ports`, `POST /ports/allocate` and `DELETE /ports/allocate/LEASE`.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode};
use portscan::{AllocateError, Allocation, LeaseId, Process, Socket, State, Verdict};
use serde_json::{Map, Value, json};

use super::answer::{Answer, error, json as answer, text};
use super::body;
use crate::clock::rfc3339;
use crate::ports::{Ports, Scanned, Wish, place};

/// Ports that are listed at most in one answer.
const MOST: usize = 65_536;

/// `GET /ports`: what the last scan found; everything that is not simply free, or what the query asks for.
pub(super) fn list(ports: Option<&Ports>, query: Option<&str>) -> Answer {
    let Some(scanned) = ports.and_then(Ports::latest) else {
        let why = if ports.is_some() {
            "no scan has ended yet"
        } else {
            "port scanning is not enabled (--port-scan)"
        };
        return error(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    match Filter::read(query.unwrap_or_default()) {
        Ok(filter) => answer(StatusCode::OK, &filtered(&scanned, &filter)),
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

/// Which ports a caller wants to see.
#[derive(Default)]
struct Filter {
    verdict: Option<Verdict>,
    port: Option<u16>,
    process: Option<String>,
}

impl Filter {
    fn read(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "verdict" => {
                    let known = Verdict::ALL
                        .into_iter()
                        .find(|verdict| verdict.as_str() == value);
                    filter.verdict = Some(known.ok_or_else(|| {
                        format!(
                            "no such verdict; there are {}",
                            Verdict::ALL.map(Verdict::as_str).join(", ")
                        )
                    })?);
                }
                "port" => {
                    let port = value
                        .parse()
                        .map_err(|_| "port must be a number from 1 to 65535".to_owned())?;
                    filter.port = Some(port);
                }
                "process" => filter.process = Some(value.to_owned()),
                _ => return Err("filters are verdict, port and process".to_owned()),
            }
        }
        Ok(filter)
    }

    fn wants(&self, scanned: &Scanned, port: u16, verdict: Verdict) -> bool {
        let plain = self.verdict.is_none() && self.port.is_none();
        let process = |name: &String| {
            scanned
                .picture
                .sockets_of(port)
                .iter()
                .flat_map(|socket| &socket.owners)
                .any(|owner| owner.comm.to_string_lossy() == *name)
        };
        self.verdict.is_none_or(|wanted| wanted == verdict)
            && self.port.is_none_or(|wanted| wanted == port)
            && self.process.as_ref().is_none_or(process)
            && !(plain && verdict == Verdict::Free)
    }
}

/// Everything that is not simply free, as `GET /ports` has it.
pub(crate) fn page(scanned: &Scanned) -> Value {
    filtered(scanned, &Filter::default())
}

fn filtered(scanned: &Scanned, filter: &Filter) -> Value {
    let (picture, summary) = (&scanned.picture, &scanned.summary);
    let verdicts: Map<String, Value> = summary
        .verdicts
        .iter()
        .map(|(verdict, ports)| (verdict.as_str().to_owned(), (*ports).into()))
        .collect();
    let counts = |list: &[(String, u32)]| -> Map<String, Value> {
        list.iter()
            .map(|(name, ports)| (name.clone(), (*ports).into()))
            .collect()
    };
    let ports: Vec<Value> = picture
        .ports()
        .filter(|(port, verdict)| filter.wants(scanned, *port, *verdict))
        .take(MOST)
        .map(|(port, verdict)| one(scanned, port, verdict))
        .collect();
    json!({
        "ranges": picture.ranges.to_string(),
        "scanned_at": rfc3339(scanned.at),
        "scan_seconds": picture.timing.total.as_secs_f64(),
        "total": summary.total,
        "available": summary.available,
        "used": counts(&summary.used),
        "listening": counts(&summary.listening),
        "verdicts": verdicts,
        "warnings": picture.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ports": ports,
    })
}

fn one(scanned: &Scanned, port: u16, verdict: Verdict) -> Value {
    let sockets: Vec<Value> = scanned
        .picture
        .sockets_of(port)
        .iter()
        .map(socket)
        .collect();
    json!({ "port": port, "verdict": verdict.as_str(), "used": verdict.is_used(), "sockets": sockets })
}

fn socket(socket: &Socket) -> Value {
    json!({
        "protocol": socket.protocol.to_string(),
        "state": state(socket.state),
        "local": place(socket.local),
        "peer": socket.peer.map(place),
        "owners": socket.owners.iter().map(|owner| process(owner)).collect::<Vec<_>>(),
    })
}

/// The states as `ss` calls them.
fn state(state: State) -> &'static str {
    match state {
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        _ => "UNKNOWN",
    }
}

fn process(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "name": process.comm.to_string_lossy(),
        "exe": process.exe.as_ref().map(|exe| exe.to_string_lossy()),
        "unit": process.cgroup.unit,
        "container": process.cgroup.container.as_ref().map(|container| &container.id),
    })
}

/// `POST /ports/allocate`. Refusals are plain text: the API passes them on to the operator as they are.
pub(super) async fn allocate(ports: Option<&Arc<Ports>>, request: Request<Incoming>) -> Answer {
    let Some(ports) = ports.cloned() else {
        return text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Port scanning is not enabled",
        );
    };
    let wish = match body::read(request).await {
        Ok(bytes) => match wish(&bytes) {
            Ok(wish) => wish,
            Err((status, why)) => return text(status, why),
        },
        Err(refusal) => return refusal,
    };
    let guarded = Arc::clone(&ports);
    match tokio::task::spawn_blocking(move || guarded.allocate(wish)).await {
        Ok(Ok(allocation)) => {
            if allocation.lease.is_some() {
                tokio::spawn(watch_leases(ports));
            }
            answer(StatusCode::OK, &given(&allocation, wish))
        }
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Scan failed: it was cut off",
        ),
    }
}

/// The answer to one allocation too many in a second.
pub(super) fn too_many() -> Answer {
    let mut answer = text(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many allocations in this second; try again in the next",
    );
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Ends leases soon after their servers have come; costs nothing while there are none.
async fn watch_leases(ports: Arc<Ports>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ports = Arc::clone(&ports);
        if !tokio::task::spawn_blocking(move || ports.refresh_leases())
            .await
            .is_ok_and(|left| left > 0)
        {
            return;
        }
    }
}

/// What the body asks for; refusals in the words of the real agent where it has some.
fn wish(bytes: &[u8]) -> Result<Wish, (StatusCode, String)> {
    const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        (
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {error}"),
        )
    })?;
    let Value::Object(fields) = value else {
        return Err((
            UNPROCESSABLE,
            "the body must be an object such as {\"count\":1}".to_owned(),
        ));
    };
    let switch = |name: &str, default: bool| match fields.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| (UNPROCESSABLE, format!("`{name}` must be true or false"))),
    };
    let mut wish = Wish {
        count: 0,
        udp: switch("udp", true)?,
        ephemeral: switch("ephemeral", false)?,
        hold: None,
    };
    let count = fields
        .get("count")
        .ok_or_else(|| (UNPROCESSABLE, "missing field `count`".to_owned()))?;
    let count = count
        .as_u64()
        .ok_or_else(|| (UNPROCESSABLE, "`count` must be a whole number".to_owned()))?;
    wish.count = usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(hold) = fields.get("hold_seconds") {
        let seconds = hold.as_u64().ok_or_else(|| {
            (
                UNPROCESSABLE,
                "`hold_seconds` must be a whole number".to_owned(),
            )
        })?;
        wish.hold = (seconds > 0).then(|| Duration::from_secs(seconds));
    }
    Ok(wish)
}

fn given(allocation: &Allocation, wish: Wish) -> Value {
    let mut given = json!({ "ports": allocation.ports });
    if let (Some(fields), Some(lease), Some(hold)) =
        (given.as_object_mut(), allocation.lease, wish.hold)
    {
        fields.insert("lease".to_owned(), lease.to_string().into());
        fields.insert("lease_seconds".to_owned(), hold.as_secs().into());
    }
    given
}

fn refused(refusal: &AllocateError) -> Answer {
    match refusal {
        AllocateError::Count => text(StatusCode::BAD_REQUEST, refusal.to_string()),
        AllocateError::NotEnough {
            found, requested, ..
        } => text(
            StatusCode::CONFLICT,
            format!("Only {found} available ports found, requested {requested}"),
        ),
        AllocateError::Hold(why) => text(StatusCode::CONFLICT, why.clone()),
        other => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Scan failed: {other}"),
        ),
    }
}

/// `DELETE /ports/allocate/LEASE`.
pub(super) fn release(ports: Option<&Arc<Ports>>, lease: &str) -> Answer {
    let known = lease
        .parse::<LeaseId>()
        .ok()
        .is_some_and(|lease| ports.is_some_and(|ports| ports.release(lease)));
    if known {
        answer(StatusCode::OK, &json!({ "released": lease }))
    } else {
        error(StatusCode::NOT_FOUND, "no such lease; it may be over")
    }
}
