//! The public address as services outside see it, and which answers to believe.
//!
//! Nothing here speaks HTTP, sleeps or repeats: the caller hands in how to fetch a URL
//! and how to wait, and asks again when it likes.

use std::fmt::Display;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::str::FromStr;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Address, Family, Origin, Scope};

/// Services that answer with the caller's address as plain text, in the order to ask.
pub const DEFAULT_SERVICES: [&str; 3] = [
    "https://icanhazip.com",
    "https://ifconfig.me/ip",
    "https://api.ipify.org",
];

/// How long to wait for each service.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(5);

/// How much of a refused answer is shown.
const SHOWN_MAX: usize = 40;

/// Asks one service after the other, each for at most `limit`, and returns the first
/// answer that is a public address (of the `family`, if one is asked for).
///
/// `fetch` gets a URL and returns the body of a successful answer. It has to connect by
/// the right family itself if that matters (bind to `0.0.0.0` or `[::]`), to read no
/// more than a few hundred bytes, and to count another status than 200 as an error.
/// `sleep` is the runtime's, such as `tokio::time::sleep`; when it is over first, the
/// fetch is dropped.
///
/// # Errors
///
/// [`NotFound`] says for each service why its answer was not taken.
pub async fn lookup<'a, Sleep, Fetch, Error>(
    services: &'a [impl AsRef<str>],
    family: Option<Family>,
    limit: Duration,
    sleep: impl Fn(Duration) -> Sleep,
    fetch: impl Fn(&'a str) -> Fetch,
) -> Result<Found, NotFound>
where
    Sleep: Future<Output = ()>,
    Fetch: Future<Output = Result<Vec<u8>, Error>>,
    Error: Display,
{
    let mut tried = Vec::new();
    for service in services {
        let service = service.as_ref();
        let answer = unless(sleep(limit), fetch(service)).await;
        let why = match answer.map(|answer| answer.map(|body| judge(&body, family))) {
            Some(Ok(Ok(ip))) => {
                let service = service.to_owned();
                return Ok(Found { ip, service, tried });
            }
            Some(Ok(Err(refused))) => Why::Refused(refused),
            Some(Err(error)) => Why::Failed(error.to_string()),
            None => Why::Silent(limit),
        };
        tried.push(Attempt {
            service: service.to_owned(),
            why,
        });
    }
    Err(NotFound { tried })
}

/// What `work` returns, unless `alarm` is over first.
async fn unless<T>(alarm: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let mut alarm = pin!(alarm);
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}

fn judge(body: &[u8], family: Option<Family>) -> Result<IpAddr, Refused> {
    let ip = parse_answer(body)?;
    match family {
        Some(wanted) if wanted != Family::of(ip) => Err(Refused::OtherFamily { ip, wanted }),
        _ => Ok(ip),
    }
}

/// The address in the body of an answer: exactly one, in text, with nothing but blanks
/// around it, and public. An IPv4-mapped IPv6 address becomes the IPv4 address it is.
///
/// ```
/// use ipdiscover::public::parse_answer;
///
/// assert_eq!(parse_answer(b"9.9.9.9\n").unwrap().to_string(), "9.9.9.9");
/// let portal = parse_answer(b"10.0.0.1").unwrap_err();
/// assert_eq!(portal.to_string(), "10.0.0.1 is not public but private");
/// ```
///
/// # Errors
///
/// [`Refused`] says what the answer is instead.
pub fn parse_answer(body: &[u8]) -> Result<IpAddr, Refused> {
    let body = body.trim_ascii();
    if body.starts_with(b"<") || body.starts_with(b"{") {
        return Err(Refused::Markup);
    }
    let text = str::from_utf8(body).ok();
    let Some(ip) = text.and_then(|text| IpAddr::from_str(text).ok()) else {
        let shown = String::from_utf8_lossy(body.get(..SHOWN_MAX).unwrap_or(body)).into_owned();
        return Err(Refused::NoAddress { shown });
    };
    let ip = ip.to_canonical();
    match Scope::of(ip) {
        Scope::Public => Ok(ip),
        scope => Err(Refused::NotPublic { ip, scope }),
    }
}

/// An address that a service told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The address.
    pub ip: IpAddr,
    /// The URL of the service.
    pub service: String,
    /// The services that were asked before, in vain.
    pub tried: Vec<Attempt>,
}

impl From<Found> for Address {
    fn from(found: Found) -> Self {
        Self::new(found.ip, Origin::Service(found.service))
    }
}

/// No service told a usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("find the public address: {}", describe(tried))]
#[non_exhaustive]
pub struct NotFound {
    /// The services and why their answers were not taken.
    pub tried: Vec<Attempt>,
}

fn describe(tried: &[Attempt]) -> String {
    if tried.is_empty() {
        return "there is no service to ask".to_owned();
    }
    let each: Vec<_> = tried.iter().map(Attempt::to_string).collect();
    each.join("; ")
}

/// One service that was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {why}")]
#[non_exhaustive]
pub struct Attempt {
    /// The URL of the service.
    pub service: String,
    /// What was wrong.
    pub why: Why,
}

/// Why a service's answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It answered, but not with a usable address.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be fetched; the text is the fetcher's.
    #[error("{0}")]
    Failed(String),
    /// It did not answer within this time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// What an answer is instead of a public address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A page or a document; captive portals do that.
    #[error("the answer is HTML, XML or JSON, not an address")]
    Markup,
    /// Some other text.
    #[error("the answer is not an address: {shown:?}")]
    NoAddress {
        /// Its beginning.
        shown: String,
    },
    /// An address that cannot be reached from the Internet.
    #[error("{ip} is not public but {scope}")]
    NotPublic {
        /// The address.
        ip: IpAddr,
        /// Its scope.
        scope: Scope,
    },
    /// A good address, but of the other family.
    #[error("{ip} is not {wanted}")]
    OtherFamily {
        /// The address.
        ip: IpAddr,
        /// The family that was asked for.
        wanted: Family,
    },
}

/// The last good answer of each family, so that a failed look-up changes nothing.
///
/// Time is handed in; this only remembers.
#[derive(Debug, Clone, Default)]
pub struct LastGood {
    v4: Option<(Address, Instant)>,
    v6: Option<(Address, Instant)>,
}

impl LastGood {
    /// Puts an answer in the place of the last one of its family.
    pub fn remember(&mut self, found: Found, now: Instant) {
        let address = Address::from(found);
        match address.family() {
            Family::V4 => self.v4 = Some((address, now)),
            Family::V6 => self.v6 = Some((address, now)),
        }
    }

    /// The answers, IPv4 first; to be chained to the local addresses for
    /// [`reportable`](crate::reportable).
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.v4.iter().chain(&self.v6).map(|(address, _)| address)
    }

    /// How long ago an answer of this family came; `None` if none ever did.
    #[must_use]
    pub fn age(&self, family: Family, now: Instant) -> Option<Duration> {
        let slot = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        slot.as_ref()
            .map(|(_, at)| now.saturating_duration_since(*at))
    }
}
