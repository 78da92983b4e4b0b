//! Timestamps of the LunaSentri endpoint: RFC 3339, with a zone.

use serde::Deserialize;

use crate::record::Date;

/// A timestamp, exactly as it was sent.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Timestamp(pub(super) String);

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Timestamp, &'static str> {
        match is_rfc3339(&text) {
            Some(true) => Ok(Timestamp(text)),
            _ => Err("no timestamp as in RFC 3339"),
        }
    }
}

/// `None` where a separator is missing.
fn is_rfc3339(text: &str) -> Option<bool> {
    let (date, rest) = text.split_once('T')?;
    let (time, zone) = match rest.strip_suffix('Z') {
        Some(time) => (time, None),
        None => rest
            .rsplit_once(['+', '-'])
            .map(|(time, zone)| (time, Some(zone)))?,
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let known_date = Date::try_from(date.to_owned()).is_ok();
    let fits = are_numbers(time, &[23, 59, 59]);
    let zone = zone.is_none_or(|zone| are_numbers(zone, &[23, 59]));
    let fraction = fraction
        .is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    Some(known_date && fits && zone && fraction)
}

/// Numbers of two digits with colons between them, each up to its greatest value.
fn are_numbers(text: &str, greatest: &[u8]) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let fits = |(part, most): (&&str, &u8)| {
        part.len() == 2
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|number| number <= *most)
    };
    parts.len() == greatest.len() && parts.iter().zip(greatest).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(text: &str) -> bool {
        Timestamp::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn timestamps_have_a_zone_and_are_of_the_calendar() {
        for good in [
            "2026-03-01T07:00:10Z",
            "2026-03-01T07:00:10.5Z",
            "2026-03-01T07:00:10.123456789+05:30",
            "2026-03-01T07:00:10-00:00",
            "2001-01-01T00:00:00Z",
            "2099-12-31T23:59:59Z",
            "2024-02-29T00:00:00Z",
        ] {
            assert!(is_taken(good), "{good}");
        }
        for bad in [
            "",
            "T",
            "Z",
            "1772348410",
            "2026-03-01",
            "2026-03-01T07:00:10",
            "2026-03-01 07:00:10Z",
            "2026-03-01T07:00Z",
            "2026-03-01T7:00:10Z",
            "2026-03-01T07:00:10.Z",
            "2026-03-01T07:00:10.5",
            "2026-03-01T07:00:10ZZ",
            "2026-03-01T07:00:10+0530",
            "2026-03-01T07:00:10+05:60",
            "2026-03-01T07:00:10+",
            "2026-03-01T24:00:00Z",
            "2026-03-01T07:60:10Z",
            "2026-03-01T07:00:60Z",
            "2026-13-01T07:00:10Z",
            "2026-02-29T07:00:10Z",
            "+026-02-28T07:00:10Z",
            " 2026-03-01T07:00:10Z",
            "2026-03-01T07:00:10Z ",
            "2026-03-01T+7:00:10Z",
            "2026-03-01T07:00:10.é+00:00",
        ] {
            assert!(!is_taken(bad), "{bad}");
        }
    }

    #[test]
    fn no_prefix_of_a_timestamp_is_one_and_no_mutation_panics() {
        let text = "2026-03-01T07:00:10.25+05:30";
        for end in 0..text.len() {
            assert!(!is_taken(text.get(..end).unwrap()), "{end}");
        }
        for position in 0..text.len() {
            for byte in 0..=127u8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[position] = byte;
                is_taken(str::from_utf8(&bytes).unwrap());
            }
        }
    }
}
