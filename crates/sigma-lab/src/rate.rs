//! The rate limit: a fixed window per client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{HeaderName, RETRY_AFTER};

use crate::answer::{self, Answer};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// How many addresses are counted at once; beyond that the oldest window gives way.
const MOST_CLIENTS: usize = 4096;

/// So many requests per window and address.
pub(crate) struct RateLimit {
    requests: u32,
    window: Duration,
    clients: Mutex<HashMap<IpAddr, Window>>,
}

struct Window {
    opened: Instant,
    requests: u32,
}

/// What the limit says to one request.
pub(crate) struct Verdict {
    limit: u32,
    remaining: u32,
    /// Set when the request is refused.
    retry_after: Option<Duration>,
}

impl RateLimit {
    pub(crate) fn new(requests: u32, window: Duration) -> RateLimit {
        RateLimit {
            requests,
            window,
            clients: Mutex::default(),
        }
    }

    /// Counts a request. A refused one does not lengthen the window.
    pub(crate) fn count(&self, client: IpAddr, now: Instant) -> Verdict {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if !clients.contains_key(&client) && clients.len() >= MOST_CLIENTS {
            make_room(&mut clients);
        }
        let window = clients.entry(client).or_insert(Window {
            opened: now,
            requests: 0,
        });
        if now.duration_since(window.opened) >= self.window {
            *window = Window {
                opened: now,
                requests: 0,
            };
        }
        let refused = window.requests >= self.requests;
        window.requests = window.requests.saturating_add(1);
        Verdict {
            limit: self.requests,
            remaining: self.requests.saturating_sub(window.requests),
            retry_after: refused.then(|| self.window - now.duration_since(window.opened)),
        }
    }
}

fn make_room(clients: &mut HashMap<IpAddr, Window>) {
    let oldest = clients
        .iter()
        .min_by_key(|(_, window)| window.opened)
        .map(|(ip, _)| *ip);
    if let Some(ip) = oldest {
        clients.remove(&ip);
    }
}

impl Verdict {
    /// The 429 of a refused request.
    pub(crate) fn refusal(&self) -> Option<Answer> {
        self.retry_after?;
        let mut refusal = Answer::new("Too Many Requests".into());
        *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        Some(refusal)
    }

    /// Writes the limit's headers onto an answer.
    pub(crate) fn mark(&self, answer: &mut Answer) {
        let headers = answer.headers_mut();
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, answer::retry_after(wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    #[test]
    fn the_window_is_fixed_and_refusals_do_not_lengthen_it() {
        let limit = RateLimit::new(2, Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| limit.count(CLIENT, start + Duration::from_secs(seconds));
        assert_eq!((at(0).remaining, at(30).remaining), (1, 0));
        assert_eq!(at(50).retry_after, Some(Duration::from_secs(10)));
        assert_eq!(at(59).retry_after, Some(Duration::from_secs(1)));
        assert_eq!((at(60).remaining, at(61).retry_after), (1, None));
    }

    #[test]
    fn addresses_do_not_share_a_window() {
        let limit = RateLimit::new(1, Duration::from_secs(60));
        let now = Instant::now();
        assert!(limit.count(CLIENT, now).retry_after.is_none());
        assert!(limit.count(CLIENT, now).retry_after.is_some());
        assert!(
            limit
                .count("2001:db8::1".parse().unwrap(), now)
                .retry_after
                .is_none()
        );
    }

    #[test]
    fn ever_new_addresses_do_not_fill_the_memory() {
        let limit = RateLimit::new(1, Duration::from_secs(60));
        for number in 0..10_000u32 {
            limit.count(std::net::Ipv4Addr::from_bits(number).into(), Instant::now());
        }
        assert_eq!(limit.clients.lock().unwrap().len(), MOST_CLIENTS);
    }

    #[test]
    fn a_started_second_counts_as_a_whole_one() {
        let mut answer = Answer::default();
        let retry_after = Some(Duration::from_millis(58_001));
        Verdict {
            limit: 100,
            remaining: 0,
            retry_after,
        }
        .mark(&mut answer);
        assert_eq!(answer.headers()[RETRY_AFTER], "59");
    }
}
