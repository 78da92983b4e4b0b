//! Server-sent events: what the page shows, at once and again with every reading of the host.

use std::time::{Duration, Instant};

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

#[cfg(feature = "sigma")]
use super::picture;
use super::{host, state};
use crate::history::{COLUMNS, Figures};
use crate::http::Routes;
use crate::http::answer::{Answer, Payload, Stream};

/// How often facts about the host that hardly change are read.
const HOST_AGE: Duration = Duration::from_secs(20);

/// What an asker knows already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Asked {
    /// The answer ends with what is known now.
    pub(super) once: bool,
    /// Only figures that are younger, in milliseconds since 1970.
    since: i64,
    /// The number of the scan that is known.
    scan: u64,
}

impl Asked {
    /// `once`, `since=MILLISECONDS`, `scan=NUMBER`, in any order.
    pub(super) fn read(query: &str) -> Result<Self, &'static str> {
        let mut asked = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                ("once", _) => asked.once = true,
                ("since", text) => {
                    asked.since = text
                        .parse()
                        .map_err(|_| "since is milliseconds since 1970")?;
                }
                ("scan", text) => {
                    asked.scan = text.parse().map_err(|_| "scan is the number of a scan")?;
                }
                _ => return Err("there are once, since and scan"),
            }
        }
        Ok(asked)
    }
}

/// The answer that goes on until the asker goes, or the agent does.
pub(super) fn stream(routes: &Routes, asked: Asked, place: OwnedSemaphorePermit) -> Answer {
    let (teller, answer) = Teller::new(routes, asked);
    let turns = routes.live.history.look();
    let stop = routes.live.stop.clone();
    tokio::spawn(async move {
        teller.tell(turns, stop).await;
        drop(place);
    });
    answer
}

/// The answer that ends with what is known now.
pub(super) fn once(routes: &Routes, asked: Asked) -> Answer {
    let (mut teller, answer) = Teller::new(routes, asked);
    routes.live.history.glance();
    tokio::spawn(async move { teller.tell_news().await });
    answer
}

fn answer(body: mpsc::Receiver<Bytes>) -> Answer {
    let mut answer = Response::new(Payload::Right(Stream::new(body)));
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Proxies that gather answers before they pass them on would make the page wait.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// Tells one asker; the asker has gone when nothing can be sent any more.
struct Teller {
    routes: Routes,
    /// What the asker knows by now.
    asked: Asked,
    host_read: Option<Instant>,
    sender: mpsc::Sender<Bytes>,
}

struct Gone;

impl Teller {
    fn new(routes: &Routes, asked: Asked) -> (Self, Answer) {
        // One event on its way and one that waits: who reads slowly misses readings, and holds up nobody.
        let (sender, body) = mpsc::channel(1);
        let teller = Self {
            routes: routes.clone(),
            asked,
            host_read: None,
            sender,
        };
        (teller, answer(body))
    }

    async fn tell(mut self, mut turns: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) {
        let sender = self.sender.clone();
        loop {
            tokio::select! {
                told = self.tell_news() => if told.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                turned = turns.changed() => if turned.is_err() { return },
                () = sender.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn tell_news(&mut self) -> Result<(), Gone> {
        self.tell_host().await?;
        self.send("state", &state::state(&self.routes)).await?;
        self.tell_ports().await?;
        let figures = self.routes.live.history.since(self.asked.since);
        if let Some(last) = figures.last() {
            self.asked.since = last.at;
            self.send("figures", &table(&figures)).await?;
        }
        Ok(())
    }

    async fn tell_host(&mut self) -> Result<(), Gone> {
        if self.host_read.is_some_and(|read| read.elapsed() < HOST_AGE) {
            return Ok(());
        }
        self.host_read = Some(Instant::now());
        let facts = host::facts(&self.routes).await;
        self.send("host", &facts).await
    }

    /// The ports, if there was a scan that the asker has not heard of.
    #[cfg(feature = "sigma")]
    async fn tell_ports(&mut self) -> Result<(), Gone> {
        use std::sync::atomic::Ordering;

        let Some(ports) = self.routes.ports.clone() else {
            return Ok(());
        };
        let scan = ports.succeeded.load(Ordering::Relaxed);
        let Some(scanned) = ports.latest().filter(|_| scan != self.asked.scan) else {
            return Ok(());
        };
        self.asked.scan = scan;
        let picture = tokio::task::spawn_blocking(move || picture::picture(&scanned, scan)).await;
        match picture {
            Ok(picture) => self.send("ports", &picture).await,
            Err(_) => Ok(()),
        }
    }

    #[cfg(not(feature = "sigma"))]
    #[expect(
        clippy::unused_async,
        reason = "where ports are scanned there is something to wait for"
    )]
    async fn tell_ports(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    async fn send(&self, event: &str, data: &Value) -> Result<(), Gone> {
        let bytes = Bytes::from(format!("event: {event}\ndata: {data}\n\n"));
        self.sender.send(bytes).await.map_err(|_| Gone)
    }
}

/// Figures as rows, each with its time first.
fn table(figures: &[Figures]) -> Value {
    let row = |one: &Figures| {
        let values = one
            .values
            .iter()
            .map(|value| value.map_or(Value::Null, short));
        std::iter::once(one.at.into())
            .chain(values)
            .collect::<Vec<Value>>()
    };
    json!({ "columns": COLUMNS, "rows": figures.iter().map(row).collect::<Vec<_>>() })
}

/// Four decimals are enough for a share, and none is needed of bytes a second.
fn short(value: f32) -> Value {
    let (value, unit) = (f64::from(value), if value < 100.0 { 1e4 } else { 1.0 });
    json!((value * unit).round() / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_already_is_told_in_the_query() {
        let read = Asked::read;
        assert_eq!(read(""), Ok(Asked::default()));
        let all = Asked {
            once: true,
            since: 1_795_172_952_000,
            scan: 7,
        };
        assert_eq!(read("once&since=1795172952000&scan=7"), Ok(all));
        for bad in ["since=yesterday", "scan=-1", "always"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn figures_are_short_and_what_is_unknown_is_null() {
        for (value, text) in [
            (0.123_456_f32, "0.1235"),
            (1.5, "1.5"),
            (1_234_567.9, "1234568.0"),
            (0.0, "0.0"),
        ] {
            assert_eq!(short(value).to_string(), text);
        }
        let mut values = [None; COLUMNS.len()];
        values[0] = Some(0.5);
        let row = table(&[Figures { at: 5, values }])["rows"][0].clone();
        assert_eq!(row[0], 5);
        assert_eq!(row[1], 0.5);
        assert_eq!(row[2], Value::Null);
    }
}
