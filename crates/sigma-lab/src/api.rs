//! From a request to its answer: route, key, rate limit, method, role, call, in this order.

mod agent;
mod allocate;
mod checks;
mod keys;
mod targets;
#[cfg(test)]
mod tests;
mod vps;

pub(crate) use keys::Made;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Instant;

use hyper::body::{Body, Bytes};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};

use crate::answer::{self, Answer, Refusal};
use crate::body::read_json;
use crate::id::Id;
use crate::key::Role;
use crate::lab::Lab;
use crate::query::Query;
use crate::rate::Verdict;

const ADMINS: &[Role] = &[Role::Admin];
const OPERATORS: &[Role] = &[Role::Admin, Role::Operator];
const AGENTS: &[Role] = &[Role::Admin, Role::Operator, Role::Agent];

/// What a path names, with its id as it stands there.
enum Route<'a> {
    Health,
    Register,
    Heartbeat,
    VpsList,
    Merge,
    Vps(&'a str),
    Retire(&'a str),
    Restore(&'a str),
    History(&'a str),
    Allocate(&'a str),
    Checks,
    Targets,
    Keys,
}

impl<'a> Route<'a> {
    fn find(path: &'a str) -> Option<Route<'a>> {
        let Some(rest) = path.strip_prefix("/api/") else {
            return (path == "/healthz").then_some(Route::Health);
        };
        let segments: Vec<&str> = rest.splitn(4, '/').collect();
        Some(match segments[..] {
            ["agent", "register"] => Route::Register,
            ["agent", "heartbeat"] => Route::Heartbeat,
            ["vps"] => Route::VpsList,
            ["vps", "merge"] => Route::Merge,
            // Better no route than a complaint about an id: the real API has one of that name.
            ["vps", "", ..] | ["vps", "duplicates"] => return None,
            ["vps", id] => Route::Vps(id),
            ["vps", id, "retire"] => Route::Retire(id),
            ["vps", id, "restore"] => Route::Restore(id),
            ["vps", id, "ip-history"] => Route::History(id),
            ["vps", id, "allocate-ports"] => Route::Allocate(id),
            ["ip-checks"] => Route::Checks,
            ["prometheus", "targets"] => Route::Targets,
            ["api-keys"] => Route::Keys,
            _ => return None,
        })
    }

    /// The `allow` header of a 405.
    fn allow(&self) -> &'static str {
        match self {
            Route::Health | Route::History(_) | Route::Targets => "GET,HEAD",
            Route::VpsList | Route::Checks | Route::Keys => "GET,HEAD,POST",
            Route::Vps(_) => "GET,HEAD,PUT,DELETE",
            _ => "POST",
        }
    }
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn answer<B>(lab: &Lab, peer: IpAddr, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (head, body) = request.into_parts();
    let Some(route) = Route::find(head.uri.path()) else {
        return answer::empty(StatusCode::NOT_FOUND);
    };
    if let Route::Health = route {
        return health(&head.method);
    }
    let role = match lab.role_of(&head.headers) {
        Ok(Some(role)) => role,
        Ok(None) => return answer::empty(StatusCode::UNAUTHORIZED),
        Err(error) => return Refusal::from(error).into_answer(),
    };
    let verdict = lab
        .rate_limit()
        .map(|limit| limit.count(client(&head, peer), Instant::now()));
    let refusal = verdict.as_ref().and_then(Verdict::refusal);
    let mut answer = match refusal {
        Some(refusal) => refusal,
        None => call(lab, &route, role, &head, body)
            .await
            .unwrap_or_else(Refusal::into_answer),
    };
    if let Some(verdict) = verdict {
        verdict.mark(&mut answer);
    }
    answer
}

fn health(method: &Method) -> Answer {
    match *method {
        Method::GET | Method::HEAD => answer::text(StatusCode::OK, "ok"),
        _ => Refusal::Method(Route::Health.allow()).into_answer(),
    }
}

/// Whom the rate limit counts: the first address of `X-Forwarded-For`, else the peer.
fn client(head: &Parts, peer: IpAddr) -> IpAddr {
    let forwarded = head
        .headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|list| list.split(',').next());
    first.and_then(|ip| ip.trim().parse().ok()).unwrap_or(peer)
}

async fn call<B>(
    lab: &Lab,
    route: &Route<'_>,
    role: Role,
    head: &Parts,
    body: B,
) -> Result<Answer, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (store, headers) = (lab.store(), &head.headers);
    let query = || Query::parse(head.uri.query().unwrap_or_default());
    let method = if head.method == Method::HEAD {
        "GET"
    } else {
        head.method.as_str()
    };
    match (route, method) {
        (Route::Register, "POST") => {
            require(role, AGENTS)?;
            agent::register(store, read_json(headers, body).await?)
        }
        (Route::Heartbeat, "POST") => {
            require(role, AGENTS)?;
            agent::heartbeat(store, read_json(headers, body).await?)
        }
        (Route::VpsList, "GET") => vps::list(store, &query()),
        (Route::VpsList, "POST") => {
            require(role, OPERATORS)?;
            vps::create(store, read_json(headers, body).await?)
        }
        (Route::Merge, "POST") => {
            require(role, OPERATORS)?;
            vps::merge(store, &read_json(headers, body).await?)
        }
        (Route::Vps(id), "GET") => vps::get(store, &in_path(id)?),
        (Route::Vps(id), "PUT") => {
            require(role, OPERATORS)?;
            vps::update(store, &in_path(id)?, read_json(headers, body).await?)
        }
        (Route::Vps(id), "DELETE") => {
            require(role, OPERATORS)?;
            vps::delete(store, &in_path(id)?)
        }
        (Route::Retire(id), "POST") => {
            require(role, OPERATORS)?;
            vps::retire(store, &in_path(id)?)
        }
        (Route::Restore(id), "POST") => {
            require(role, OPERATORS)?;
            vps::restore(store, &in_path(id)?)
        }
        (Route::History(id), "GET") => vps::history(store, &in_path(id)?, &query()),
        (Route::Allocate(id), "POST") => {
            require(role, OPERATORS)?;
            allocate::ports(lab, &in_path(id)?, &read_json(headers, body).await?).await
        }
        (Route::Checks, "GET") => checks::list(store, &query()),
        (Route::Checks, "POST") => {
            require(role, OPERATORS)?;
            checks::create(store, read_json(headers, body).await?)
        }
        (Route::Targets, "GET") => targets::list(store),
        (Route::Keys, "GET") => {
            require(role, ADMINS)?;
            keys::list(store, &query())
        }
        (Route::Keys, "POST") => {
            require(role, ADMINS)?;
            keys::create(store, read_json(headers, body).await?)
        }
        _ => Err(Refusal::Method(route.allow())),
    }
}

fn require(role: Role, required: &'static [Role]) -> Result<(), Refusal> {
    if required.contains(&role) {
        Ok(())
    } else {
        Err(Refusal::Forbidden { role, required })
    }
}

fn in_path(id: &str) -> Result<Id, Refusal> {
    Id::parse(id).map_err(|why| {
        let why =
            format!("Invalid URL: Cannot parse `id` with value `{id}`: UUID parsing failed: {why}");
        Refusal::Text(StatusCode::BAD_REQUEST, why)
    })
}
