//! Sets of ports as people write them: `10000-30000,40000-41000,!12345`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Longest text that is read as ranges.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Port ranges: sorted, merged, without port 0.
///
/// The same type names the ports to scan, the ports to hand out and the ports to leave alone.
///
/// ```
/// use portscan::PortRanges;
///
/// let ranges: PortRanges = "10000-10009, 20000, !10003".parse()?;
/// assert_eq!(ranges.len(), 10);
/// assert!(ranges.contains(20000) && !ranges.contains(10003));
/// assert_eq!(ranges.to_string(), "10000-10002,10004-10009,20000");
/// assert!("0-70000".parse::<PortRanges>().is_err());
/// # Ok::<(), portscan::ParseRangesError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortRanges {
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Span {
    first: u16,
    last: u16,
}

/// Why a text is no list of port ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRangesError {
    /// No port is left.
    #[error("no ports given")]
    Empty,
    /// One part is neither `PORT` nor `START-END`.
    #[error("{0:?} is neither a port nor START-END, with ports from 1 to 65535")]
    NotARange(String),
    /// One part ends before it starts.
    #[error("{0:?} ends before it starts")]
    Backwards(String),
}

impl PortRanges {
    /// No port at all, as for "exclude nothing".
    #[must_use]
    pub const fn none() -> Self {
        Self { spans: Vec::new() }
    }

    /// One range; `None` for an empty one and for one that holds port 0.
    #[must_use]
    pub fn single(range: RangeInclusive<u16>) -> Option<Self> {
        let span = Span {
            first: *range.start(),
            last: *range.end(),
        };
        (span.first != 0 && span.first <= span.last).then(|| Self { spans: vec![span] })
    }

    /// Number of ports.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.spans.iter().map(|span| span.len()).sum()
    }

    /// Whether there is no port.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether `port` is one of the ports.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.position(port).is_some()
    }

    /// Lowest port.
    #[must_use]
    pub fn first(&self) -> Option<u16> {
        self.spans.first().map(|span| span.first)
    }

    /// Highest port.
    #[must_use]
    pub fn last(&self) -> Option<u16> {
        self.spans.last().map(|span| span.last)
    }

    /// The ports, rising.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.spans.iter().flat_map(|span| span.first..=span.last)
    }

    /// The ranges, rising and apart from each other.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> + '_ {
        self.spans.iter().map(|span| span.first..=span.last)
    }

    /// How many ports stand before `port`; `None` where `port` is not one of them.
    #[must_use]
    pub fn position(&self, port: u16) -> Option<usize> {
        let mut before = 0usize;
        for span in &self.spans {
            if port < span.first {
                return None;
            }
            if port <= span.last {
                return Some(before + usize::from(port - span.first));
            }
            before += span.width();
        }
        None
    }

    /// The port with `position` ports before it.
    #[must_use]
    pub fn nth(&self, position: usize) -> Option<u16> {
        let mut left = position;
        for span in &self.spans {
            if left < span.width() {
                return u16::try_from(left)
                    .ok()
                    .and_then(|offset| span.first.checked_add(offset));
            }
            left -= span.width();
        }
        None
    }

    /// These ports without `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let mut kept = self.spans.clone();
        for hole in &others.spans {
            kept = kept
                .into_iter()
                .flat_map(|span| span.cut(*hole))
                .flatten()
                .collect();
        }
        Self { spans: kept }
    }

    /// Number of ports, for tables with one entry each.
    pub(crate) fn size(&self) -> usize {
        self.spans.iter().map(|span| span.width()).sum()
    }

    fn merged(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable_by_key(|span| span.first);
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if u32::from(span.first) <= u32::from(last.last) + 1 => {
                    last.last = last.last.max(span.last);
                }
                _ => merged.push(span),
            }
        }
        Self { spans: merged }
    }
}

impl Span {
    fn width(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    fn len(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// What is left of the span below and above `hole`.
    fn cut(self, hole: Self) -> [Option<Self>; 2] {
        if hole.last < self.first || self.last < hole.first {
            return [Some(self), None];
        }
        let below = (self.first < hole.first).then(|| Self {
            last: hole.first - 1,
            ..self
        });
        let above = (hole.last < self.last).then(|| Self {
            first: hole.last + 1,
            ..self
        });
        [below, above]
    }
}

impl FromStr for PortRanges {
    type Err = ParseRangesError;

    /// Reads ports and ranges between commas; a `!` before one takes it out again.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ParseRangesError::NotARange(text.chars().take(40).collect()));
        }
        let mut wanted = Vec::new();
        let mut holes = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part.strip_prefix('!') {
                Some(hole) => holes.push(parse_span(hole)?),
                None => wanted.push(parse_span(part)?),
            }
        }
        let ranges = Self::merged(wanted).without(&Self::merged(holes));
        if ranges.is_empty() {
            Err(ParseRangesError::Empty)
        } else {
            Ok(ranges)
        }
    }
}

fn parse_span(part: &str) -> Result<Span, ParseRangesError> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let port = |text: &str| {
        let text = text.trim();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port != 0)
    };
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        return Err(ParseRangesError::NotARange(part.to_owned()));
    };
    if last < first {
        return Err(ParseRangesError::Backwards(part.to_owned()));
    }
    Ok(Span { first, last })
}

impl fmt::Display for PortRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, span) in self.spans.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if span.first == span.last {
                write!(f, "{comma}{}", span.first)?;
            } else {
                write!(f, "{comma}{}-{}", span.first, span.last)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> PortRanges {
        text.parse().unwrap()
    }

    #[test]
    fn overlapping_and_touching_ranges_become_one() {
        assert_eq!(ranges("20-30,10-19,25-40,50").to_string(), "10-40,50");
        assert_eq!(ranges("65535,1").to_string(), "1,65535");
        assert_eq!(ranges("1-65535").len(), 65535);
    }

    #[test]
    fn an_exclamation_mark_takes_ports_out() {
        assert_eq!(ranges("10-20,!10,!15-16,!20").to_string(), "11-14,17-19");
        assert_eq!(
            "10-20,!1-65535".parse::<PortRanges>(),
            Err(ParseRangesError::Empty)
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!("".parse::<PortRanges>(), Err(ParseRangesError::Empty));
        for bad in [
            "abc", "0", "0-70000", "0-5", "1-", "-1", "+5", "1-2-3", "70000", "1 2",
        ] {
            assert_eq!(
                bad.parse::<PortRanges>(),
                Err(ParseRangesError::NotARange(bad.into())),
                "{bad}"
            );
        }
        let backwards = "30000-10000".parse::<PortRanges>().unwrap_err();
        assert_eq!(
            backwards.to_string(),
            "\"30000-10000\" ends before it starts"
        );
    }

    #[test]
    fn positions_and_ports_are_inverse() {
        let ranges = ranges("7,10-12,65534-65535");
        let ports: Vec<u16> = ranges.iter().collect();
        assert_eq!(ports, [7, 10, 11, 12, 65534, 65535]);
        for (index, port) in ports.iter().enumerate() {
            assert_eq!(ranges.nth(index), Some(*port));
            assert_eq!(ranges.position(*port), Some(index));
        }
        assert_eq!(ranges.nth(6), None);
        assert_eq!(ranges.position(9), None);
    }

    #[test]
    fn every_mutation_of_a_text_parses_or_fails_and_prints_what_it_reads() {
        let text = b"10000-30000,40000-41000,!12345";
        for position in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = text.to_vec();
                bytes[position] = byte;
                let Ok(mutated) = String::from_utf8(bytes) else {
                    continue;
                };
                if let Ok(parsed) = mutated.parse::<PortRanges>() {
                    assert_eq!(ranges(&parsed.to_string()), parsed, "{mutated:?}");
                    assert!(!parsed.contains(0));
                }
            }
        }
    }
}
