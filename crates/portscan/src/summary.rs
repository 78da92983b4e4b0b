//! A picture in numbers: available and used ports by source.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::sources::OTHER;
use crate::{Picture, Protocol, Socket, Sources, Verdict};

/// Counts for metrics. `available` and the sum of `used` make `total`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Ports in the ranges.
    pub total: u32,
    /// Ports of the ranges that nobody holds for certain: also leased, excluded and reusable ones.
    pub available: u32,
    /// Held ports of the ranges by source, every source present, in the table's order.
    pub used: Vec<(String, u32)>,
    /// Listening TCP ports of the whole host by source, one per port number, every source present.
    pub listening: Vec<(String, u32)>,
    /// The most frequent names behind the listening `other`s, and their ports.
    pub other: Vec<(OsString, u32)>,
    /// Listening `other` ports whose names did not fit.
    pub other_rest: u32,
    /// Ports of the ranges by verdict, every verdict present.
    pub verdicts: Vec<(Verdict, u32)>,
}

impl Picture {
    /// Counts by source; at most `max_names` names behind `other`.
    #[must_use]
    pub fn summary(&self, sources: &Sources, max_names: usize) -> Summary {
        let used = self
            .ports()
            .filter(|(port, verdict)| self.is_held(*port, *verdict))
            .map(|(port, _)| port);
        let used = self.by_source(sources, used);
        let total = self.ranges.len();
        let mut listening: Vec<u16> = self
            .sockets
            .iter()
            .filter(|socket| socket.is_listening())
            .map(Socket::port)
            .collect();
        listening.dedup();
        let (other, other_rest) = self.other_names(sources, &listening, max_names);
        Summary {
            total,
            available: total - used.iter().map(|(_, count)| count).sum::<u32>(),
            used,
            listening: self.by_source(sources, listening.iter().copied()),
            other,
            other_rest,
            verdicts: Verdict::ALL
                .iter()
                .map(|verdict| (*verdict, self.count(*verdict)))
                .collect(),
        }
    }

    /// A port that this program may not bind is held only where a socket shows it.
    fn is_held(&self, port: u16, verdict: Verdict) -> bool {
        let shown = || {
            self.sockets_of(port).iter().any(|socket| {
                socket.is_listening() || socket.is_bound_only() || socket.protocol == Protocol::Udp
            })
        };
        verdict.is_used() || (verdict == Verdict::Forbidden && shown())
    }

    fn by_source(&self, sources: &Sources, ports: impl Iterator<Item = u16>) -> Vec<(String, u32)> {
        let mut counts: Vec<(String, u32)> =
            sources.names().map(|name| (name.to_owned(), 0)).collect();
        for port in ports {
            let category = sources.category(self.holder(port).map(AsRef::as_ref));
            if let Some((_, count)) = counts.iter_mut().find(|(name, _)| name == category) {
                *count += 1;
            }
        }
        counts
    }

    fn other_names(
        &self,
        sources: &Sources,
        listening: &[u16],
        max: usize,
    ) -> (Vec<(OsString, u32)>, u32) {
        let mut counts: BTreeMap<&OsString, u32> = BTreeMap::new();
        for process in listening.iter().filter_map(|port| self.holder(*port)) {
            if sources.category(Some(process)) == OTHER {
                *counts.entry(&process.comm).or_default() += 1;
            }
        }
        let mut names: Vec<(OsString, u32)> = counts
            .into_iter()
            .map(|(name, count)| (name.clone(), count))
            .collect();
        names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rest = names.iter().skip(max).map(|(_, count)| count).sum();
        names.truncate(max);
        (names, rest)
    }
}
