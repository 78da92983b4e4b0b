//! Texts of options → values; each error says what is allowed.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use portscan::{PortRanges, Sources};

type Parsed<T> = Result<T, String>;

pub(super) fn text(value: &str) -> Parsed<String> {
    Ok(value.to_owned())
}

pub(super) fn path(value: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(value))
}

pub(super) fn boolean(value: &str) -> Parsed<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("allowed: true or false".to_owned()),
    }
}

/// One of `choices`, by name.
pub(super) fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |value| {
        choices
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(value))
            .map(|(_, choice)| *choice)
            .ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                format!("allowed: {}", names.join(", "))
            })
    }
}

/// Whole seconds, or a number with one of the units `s`, `m`, `h`.
pub(super) fn duration(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| {
        let (digits, unit) = match value.find(|c: char| !c.is_ascii_digit()) {
            Some(at) => value.split_at(at),
            None => (value, "s"),
        };
        let scale = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = digits
            .parse::<u64>()
            .ok()
            .zip(scale)
            .and_then(|(number, scale)| number.checked_mul(scale));
        match seconds {
            Some(seconds) if allowed.contains(&seconds) => Ok(Duration::from_secs(seconds)),
            _ => Err(format!(
                "allowed: {} to {} seconds, such as 30, 30s or 1m",
                allowed.start(),
                allowed.end()
            )),
        }
    }
}

/// A port number, 0 included only where it means "off".
pub(super) fn port(lowest: u16) -> impl Fn(&str) -> Parsed<u16> {
    move |value| {
        value
            .parse()
            .ok()
            .filter(|port| *port >= lowest)
            .ok_or_else(|| format!("allowed: a port number, {lowest} to 65535"))
    }
}

pub(super) fn ip(value: &str) -> Parsed<IpAddr> {
    value
        .parse()
        .map_err(|_| "allowed: an IPv4 or IPv6 address".to_owned())
}

/// `START-END`, single ports, and several of them separated by commas; `!` takes some out again.
pub(super) fn port_ranges(value: &str) -> Parsed<PortRanges> {
    const ALLOWED: &str =
        "allowed: START-END with 1 <= START <= END <= 65535, several separated by commas";
    if value
        .split(',')
        .any(|part| part.trim().contains(char::is_whitespace))
    {
        return Err(format!("a blank inside a range; {ALLOWED}"));
    }
    value.parse().map_err(|error| format!("{error}; {ALLOWED}"))
}

/// A table of owners' categories.
pub(super) fn sources(value: &str) -> Parsed<Sources> {
    value.parse().map_err(|error| {
        format!("{error}; allowed: NAME or NAME=PROGRAM|PROGRAM, several separated by commas")
    })
}

/// A hostname as the API takes it: trimmed, no blanks inside, and not one of the names that every fresh machine has.
pub(super) fn hostname(value: &str) -> Parsed<String> {
    let name = value.trim();
    let plain = !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if !plain {
        return Err(
            "allowed: letters, digits, dots, hyphens and underscores, at most 253".to_owned(),
        );
    }
    if sigma_reserved(name) {
        return Err(
            "this name stands for no particular machine; give this one a name of its own"
                .to_owned(),
        );
    }
    Ok(name.to_owned())
}

/// Names under which many machines would meet in one record.
pub(crate) fn sigma_reserved(name: &str) -> bool {
    ["localhost", "localhost.localdomain", "unknown", "(none)"]
        .iter()
        .any(|taken| name.eq_ignore_ascii_case(taken))
}

/// An `http` or `https` URL with a host and without credentials, query or fragment.
pub(super) fn http_url(value: &str) -> Parsed<String> {
    match sigma_client::check_url(value) {
        Ok(()) => Ok(value.to_owned()),
        Err(why) => Err(format!(
            "{why}; allowed: http://HOST[:PORT]/PATH or https://…"
        )),
    }
}

/// A file of certificates or a key, which must be there.
pub(super) fn pem(value: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(value);
    crate::keyfile::read_pem(&path).map(|_| path)
}

/// A folder, which must be there.
pub(super) fn folder(value: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(value);
    if path.is_dir() {
        Ok(path)
    } else {
        Err("there is no such folder".to_owned())
    }
}

/// A name that the API may dial.
pub(super) fn alias(value: &str) -> Parsed<String> {
    let plain =
        value.len() <= 253 && !value.contains(|c: char| c.is_control() || c.is_whitespace());
    if plain {
        Ok(value.to_owned())
    } else {
        Err("allowed: one word of at most 253 characters".to_owned())
    }
}

/// An address that somebody else can reach.
pub(super) fn reachable_ip(value: &str) -> Parsed<IpAddr> {
    let ip = ip(value)?;
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return Err("nobody else reaches this host there".to_owned());
    }
    Ok(ip)
}

/// Elements separated by commas, each through `element`.
pub(super) fn list<T>(element: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Vec<T>> {
    move |value| {
        value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(&element)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_ranges_of_the_contract() {
        let spans = |text: &str| -> Vec<_> { port_ranges(text).unwrap().ranges().collect() };
        assert_eq!(spans("10000-30000"), [10000..=30000]);
        assert_eq!(
            spans("25000-26000,10000-20000,80"),
            [80..=80, 10000..=20000, 25000..=26000]
        );
        assert_eq!(spans("1-10,!5"), [1..=4, 6..=10]);
        for wrong in [
            "30000-10000",
            "abc",
            "1-70000",
            "10000 - 10010",
            "0-70000",
            "0-5",
            "",
            "1-",
            "-5",
            "1--5",
            "+1-5",
        ] {
            assert!(port_ranges(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn durations_take_units_and_refuse_what_is_out_of_range() {
        let parse = duration(1..=150);
        assert_eq!(parse("60").unwrap(), Duration::from_secs(60));
        assert_eq!(parse("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(parse("90s").unwrap(), Duration::from_secs(90));
        for wrong in [
            "0",
            "151",
            "3m",
            "-1",
            "1.5",
            "s",
            "",
            "60 s",
            "1d",
            "99999999999999999999",
            "9999999999999999999h",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn urls_without_host_with_credentials_or_of_another_scheme_are_refused() {
        for right in [
            "http://localhost:3000/api",
            "https://sigma.example/api/",
            "http://[2001:db8::1]:80/api",
        ] {
            assert_eq!(http_url(right).unwrap(), right);
        }
        for wrong in [
            "",
            "localhost:3000",
            "ftp://x/",
            "http://",
            "http:///api",
            "http://u:p@h/api",
            "http://h/?q=1",
            "http://h/#f",
            "http://h:x/",
            "/api",
            "http://999.1.1.1/api",
            "http://[fe80::1%25eth0]:1/api",
        ] {
            assert!(http_url(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn hostnames_are_trimmed_and_must_mean_one_machine() {
        assert_eq!(hostname(" vps-1.example ").unwrap(), "vps-1.example");
        for wrong in ["", "  ", "a b", "localhost", "Unknown", "x\ny", "a/b"] {
            assert!(hostname(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
