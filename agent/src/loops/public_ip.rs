//! Finds the public address of a host that has none of its own, beside the other loops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipdiscover::public::{DEFAULT_LIMIT, Found, LastGood, NotFound, lookup};
use ipdiscover::{Address, Family};
use periodic::{Backoff, Control, Failure, Outcome, Retry};
use tokio::sync::watch;

use crate::cli::{Config, Lookup, Public};
use crate::place::{Place, reportable_addresses};
use crate::servers::USER_AGENT;

/// How often the answer is refreshed.
pub(crate) const REFRESH: Duration = Duration::from_secs(3600);

/// Free services of others are not to be asked every minute by a host that cannot reach them.
pub(crate) const BACKOFF: Backoff = Backoff {
    floor: Duration::from_secs(60),
    base: Duration::from_secs(240),
    cap: REFRESH,
};

/// No answer with an address in it is longer.
const MAX_ANSWER: usize = 1024;

/// What is known about addresses that only others can tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    /// Whether somebody has to be asked; `None` until that is decided.
    pub(crate) wanted: Option<bool>,
    /// Whether a look-up has ended, well or not.
    pub(crate) asked: bool,
    /// What was told last; kept when a later look-up fails.
    pub(crate) addresses: Vec<Address>,
}

impl Outside {
    /// Whether nothing is missing that a look-up could still bring.
    pub(crate) fn is_complete(&self) -> bool {
        self.wanted == Some(false) || !self.addresses.is_empty()
    }

    /// Whether the first look-up is over, if one is wanted.
    pub(crate) fn is_settled(&self) -> bool {
        self.wanted == Some(false) || self.asked
    }
}

/// The loop's state.
pub(crate) struct PublicIp {
    pub(crate) settings: watch::Receiver<Arc<Config>>,
    pub(crate) place: Place,
    pub(crate) outside: watch::Sender<Outside>,
    /// Wakes the loop that reports, when the answer has changed.
    pub(crate) control: Control,
    pub(crate) last_good: LastGood,
}

impl PublicIp {
    pub(crate) async fn run(&mut self) -> Outcome {
        let config = Arc::clone(&self.settings.borrow_and_update());
        let settings = &config.public;
        let here = reportable_addresses(&self.place, &config.ignore_interfaces)
            .await
            .0;
        if !wanted(settings, &here) {
            self.publish(Outside {
                wanted: Some(false),
                asked: false,
                addresses: Vec::new(),
            });
            return Ok(());
        }
        self.outside
            .send_modify(|outside| outside.wanted = Some(true));
        let outcome = self.ask(settings, &here).await;
        self.publish(Outside {
            wanted: Some(true),
            asked: true,
            addresses: self.last_good.addresses().cloned().collect(),
        });
        outcome
    }

    async fn ask(&mut self, settings: &Public, here: &[Address]) -> Outcome {
        let mut failed = Vec::new();
        let mut found = false;
        for family in families(here) {
            match look_up(&settings.services, family).await {
                Ok(answer) => {
                    self.last_good.remember(answer, Instant::now());
                    found = true;
                }
                Err(why) => failed.push(format!("{family}: {why}")),
            }
        }
        if found {
            Ok(())
        } else {
            Err(Failure::new(
                format!("no service told the public address: {}", failed.join("; ")),
                Retry::Backoff,
            ))
        }
    }

    /// Lets the reporting loop know, at once if the addresses have changed.
    fn publish(&self, now: Outside) {
        let ips = |outside: &Outside| -> Vec<IpAddr> {
            outside.addresses.iter().map(|address| address.ip).collect()
        };
        let (after, before) = (ips(&now), self.outside.send_replace(now));
        if after != ips(&before) {
            self.control.wake(super::HEARTBEAT);
        }
    }
}

pub(crate) fn wanted(settings: &Public, here: &[Address]) -> bool {
    match settings.lookup {
        _ if settings.fixed.is_some() => false,
        Lookup::Off => false,
        Lookup::Always => true,
        Lookup::Auto => !here.iter().any(|address| address.scope.is_public()),
    }
}

/// The families worth asking about: those that the host uses, or both where that cannot be told.
fn families(here: &[Address]) -> Vec<Family> {
    let both = [Family::V4, Family::V6];
    let used: Vec<Family> = both
        .into_iter()
        .filter(|family| here.iter().any(|address| address.family() == *family))
        .collect();
    if used.is_empty() { both.to_vec() } else { used }
}

/// Asks over connections of one family, with a client of its own that is gone afterwards: one look-up an hour needs no pool.
async fn look_up(services: &[String], family: Family) -> Result<Found, String> {
    let from: IpAddr = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let builder = sigma_client::Client::builder("https://localhost")
        .user_agent(USER_AGENT)
        .timeout(DEFAULT_LIMIT)
        .local_address(from);
    let client = builder.build_http().map_err(|error| error.to_string())?;
    let fetch = async |url: &str| -> Result<Vec<u8>, String> {
        let mut answer = client
            .get(url)
            .send()
            .await
            .map_err(|error| innermost(&error))?;
        if answer.status() != 200 {
            return Err(answer.status().to_string());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err("the answer is too long for an address".to_owned());
            }
        }
        Ok(body)
    };
    lookup(
        services,
        Some(family),
        DEFAULT_LIMIT,
        tokio::time::sleep,
        fetch,
    )
    .await
    .map_err(|NotFound { tried, .. }| {
        let each: Vec<String> = tried
            .iter()
            .map(|attempt| format!("{} {}", attempt.service, attempt.why))
            .collect();
        each.join(", ")
    })
}

/// The cause at the bottom of an error: the layers above it say little.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}
