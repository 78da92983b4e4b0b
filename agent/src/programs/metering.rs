//! Figures of what runs, the limits they are held against, and the reports that are made of them.

use std::collections::BTreeMap;

use bpf_host::EventKind;
use bpf_lifecycle::Measured;

use super::figures::{Numbers, Told};
use super::keeper::Keeper;

/// How many events of one program are passed on between two looks; the others are counted.
const MOST_EVENTS: usize = 20;

/// How many are taken out of one ring buffer between two looks.
const MOST_READ: usize = 100_000;

/// The time between two heartbeats: that of the original.
const HEARTBEAT: i64 = 5;

/// A violation or an error that a program told.
struct News {
    artifact: String,
    kind: EventKind,
    text: BTreeMap<&'static str, String>,
}

impl Keeper {
    /// Reads all figures, holds them against the limits, and reports them when it is time.
    pub(crate) fn meter(&mut self) {
        self.take_up_words();
        let slots: Vec<(String, bpf_lifecycle::ArtifactId, bpf_lifecycle::Digest)> = self
            .books
            .running()
            .map(|(slot, record)| {
                (
                    slot.to_owned(),
                    record.loaded.id.clone(),
                    record.loaded.digest,
                )
            })
            .collect();
        let mut measured = Vec::new();
        for (slot, id, digest) in slots {
            for news in self.listen(&slot, id.as_str()) {
                self.report_event(&slot, &news);
            }
            if let Some(figures) = self.measure(&slot) {
                measured.push(Measured {
                    id,
                    digest,
                    figures,
                });
            }
        }
        self.round(false, &measured);
        self.report();
        self.publish();
    }

    fn measure(&mut self, slot: &str) -> Option<bpf_lifecycle::Figures> {
        let reading = self
            .host
            .measure(slot)
            .inspect_err(|error| tracing::warn!(slot, %error, "its figures cannot be read"))
            .ok()?;
        let followed = self.followed.entry(slot.to_owned()).or_default();
        let usage = followed.last.as_ref().map(|last| reading.since(last));
        followed.numbers = Numbers::new(&reading, usage.as_ref(), followed.told);
        followed.last = Some(reading);
        Some(followed.numbers.figures())
    }

    /// Takes what a program told since the last look.
    fn listen(&mut self, slot: &str, artifact: &str) -> Vec<News> {
        let Some(followed) = self.followed.get_mut(slot) else {
            return Vec::new();
        };
        let Some(events) = followed.events.as_mut() else {
            return Vec::new();
        };
        let mut told = followed.told.unwrap_or_default();
        let mut news = Vec::new();
        for event in std::iter::from_fn(|| events.next_event()).take(MOST_READ) {
            match event.kind {
                EventKind::Violation => told.violations += 1,
                EventKind::Error => told.errors += 1,
                EventKind::Info => continue,
            }
            if news.len() >= MOST_EVENTS {
                told.dropped += 1;
                continue;
            }
            let payload: String = event
                .payload
                .iter()
                .take(256)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            news.push(News {
                artifact: artifact.to_owned(),
                kind: event.kind,
                text: BTreeMap::from([
                    ("code", event.code.to_string()),
                    ("pid", event.process_id.to_string()),
                    ("cgroup_id", event.cgroup_id.to_string()),
                    ("ktime_ns", event.at.as_nanos().to_string()),
                    ("payload", payload),
                ]),
            });
        }
        told.malformed = events.malformed();
        followed.told = Some(Told { ..told });
        news
    }

    fn report_event(&self, slot: &str, news: &News) {
        let followed = self.followed.get(slot);
        let numbers = followed.map_or_else(Numbers::default, |followed| followed.numbers.clone());
        let kind = match news.kind {
            EventKind::Error => "error",
            _ => "violation",
        };
        let mut more = vec![("kind", kind)];
        more.extend(news.text.iter().map(|(name, text)| (*name, text.as_str())));
        self.teller(&news.artifact).violation(&numbers, &more);
    }

    /// A heartbeat, and with each check of the limits the figures of every program.
    fn report(&mut self) {
        let now = self.clocks.now().boottime_seconds;
        if now.saturating_sub(self.beat_at) >= HEARTBEAT {
            self.beat_at = now;
            self.teller("").heartbeat(self.books.running().count());
        }
        let interval = self.settings.lifecycle.check_interval_seconds;
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        if now.saturating_sub(self.reported_at) < interval {
            return;
        }
        self.reported_at = now;
        let running: Vec<(String, String)> = self
            .books
            .running()
            .map(|(slot, record)| (slot.to_owned(), record.loaded.id.to_string()))
            .collect();
        for (slot, artifact) in running {
            let Some(followed) = self.followed.get_mut(&slot) else {
                continue;
            };
            let numbers = followed.numbers.clone();
            let violations = numbers.violations.unwrap_or(0);
            let new = violations.saturating_sub(followed.reported);
            followed.reported = violations;
            let tells_itself = followed.events.is_some();
            let teller = self.teller(&artifact);
            teller.telemetry(&numbers);
            if new > 0 && !tells_itself {
                let count = new.to_string();
                teller.violation(&numbers, &[("kind", "violation"), ("count", &count)]);
            }
        }
    }
}
