//! Texts of options → values; each error says what is allowed.

use std::net::IpAddr;
#[cfg(feature = "guest")]
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "sigma")]
use portscan::{PortRanges, Sources};

#[cfg(feature = "guest")]
use super::config::Manager;

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
#[cfg(feature = "sigma")]
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
#[cfg(feature = "sigma")]
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
#[cfg(any(feature = "aegis", feature = "sigma"))]
pub(super) fn http_url(value: &str) -> Parsed<String> {
    match sigma_client::check_url(value) {
        Ok(()) => Ok(value.to_owned()),
        Err(why) => Err(format!(
            "{why}; allowed: http://HOST[:PORT]/PATH or https://…"
        )),
    }
}

/// The same for the server that samples are pushed to.
#[cfg(feature = "luna")]
pub(super) fn push_url(value: &str) -> Parsed<metricpush::ServerUrl> {
    match metricpush::ServerUrl::parse(value) {
        Ok(server) => Ok(server),
        Err(why) => Err(format!("{why}; allowed: https://HOST[:PORT][/PATH]")),
    }
}

/// The base URL of a guest's manager.
#[cfg(feature = "guest")]
pub(super) fn manager(value: &str) -> Parsed<Manager> {
    parse_manager(value).ok_or_else(|| {
        "allowed: http://ADDRESS[:PORT][/PATH], such as http://172.16.0.1:18080; the manager is this guest's own host, so it is asked by its address and without TLS".to_owned()
    })
}

#[cfg(feature = "guest")]
fn parse_manager(value: &str) -> Option<Manager> {
    let rest = value.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || path.contains(['?', '#', '%', '\\']) {
        return None;
    }
    let address = match authority.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => {
            let bare = authority
                .strip_prefix('[')
                .and_then(|bare| bare.strip_suffix(']'));
            let ip: IpAddr = bare.unwrap_or(authority).parse().ok()?;
            // An IPv6 address without brackets could be one with a port.
            if ip.is_ipv6() != bare.is_some() {
                return None;
            }
            SocketAddr::new(ip, 80)
        }
    };
    (address.port() != 0).then(|| Manager {
        authority: authority.to_owned(),
        address,
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// The id of a VM at its manager: it becomes a part of a URL's path.
#[cfg(feature = "guest")]
pub(super) fn vm_id(value: &str) -> Parsed<String> {
    let plain = (1..=128).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !value.starts_with('.');
    if plain {
        Ok(value.to_owned())
    } else {
        Err("allowed: letters, digits, dots, hyphens and underscores, at most 128".to_owned())
    }
}

/// A whole number.
#[cfg(feature = "luna")]
pub(super) fn number(allowed: RangeInclusive<u32>) -> impl Fn(&str) -> Parsed<u32> {
    move |value| {
        let number = value.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| format!("allowed: {} to {}", allowed.start(), allowed.end()))
    }
}

/// A whole number, of any size.
#[cfg(feature = "aegis")]
pub(super) fn whole(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<u64> {
    move |value| {
        let number = value.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| format!("allowed: {} to {}", allowed.start(), allowed.end()))
    }
}

/// A number above zero.
#[cfg(feature = "aegis")]
pub(super) fn amount(value: &str) -> Parsed<f64> {
    let number = value.parse().ok();
    number
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "allowed: a number above 0, such as 80 or 80.5".to_owned())
}

/// What a registry calls a host.
#[cfg(feature = "aegis")]
pub(super) fn host_id(value: &str) -> Parsed<bpf_artifact::HostId> {
    bpf_artifact::HostId::parse(value).map_err(|error| error.to_string())
}

#[cfg(feature = "aegis")]
pub(super) fn public_keys(value: &str) -> Parsed<Vec<bpf_artifact::PublicKey>> {
    bpf_artifact::PublicKey::parse_all(value).map_err(|error| {
        format!("{error}; allowed: base64 of the 32 bytes of an Ed25519 key, or PEM")
    })
}

/// One part of a URL's path.
#[cfg(feature = "aegis")]
pub(super) fn segment(value: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if value.len() <= 128 && value.bytes().all(plain) && !value.starts_with('.') {
        Ok(value.to_owned())
    } else {
        Err("allowed: letters, digits, dots, hyphens and underscores, at most 128".to_owned())
    }
}

/// A path, or the word for none.
#[cfg(feature = "aegis")]
pub(super) fn path_or_off(value: &str) -> Parsed<Option<PathBuf>> {
    Ok((value != "off").then(|| PathBuf::from(value)))
}

/// A file with a secret, which must be there and be text.
#[cfg(feature = "aegis")]
pub(super) fn token_file(value: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(value);
    crate::secret::read(&path).map(|_| path)
}

/// NATS servers, none where the word is `off`.
#[cfg(feature = "aegis")]
pub(super) fn nats_urls(value: &str) -> Parsed<Vec<String>> {
    const SCHEMES: [&str; 4] = ["nats://", "tls://", "ws://", "wss://"];
    if value == "off" {
        return Ok(Vec::new());
    }
    let one = |url: &str| {
        let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
        let good = rest.is_some_and(|rest| {
            !rest.is_empty()
                && !rest.contains('@')
                && rest.bytes().all(|byte| byte.is_ascii_graphic())
        });
        good.then(|| url.to_owned()).ok_or_else(|| {
            "allowed: nats://HOST[:PORT] or tls://…, several separated by commas, or off; tokens and passwords stand in files".to_owned()
        })
    };
    let urls = list(one)(value)?;
    if urls.is_empty() {
        return Err("allowed: a server, or off".to_owned());
    }
    Ok(urls)
}

/// The name of a JetStream stream.
#[cfg(feature = "aegis")]
pub(super) fn stream(value: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_graphic() && !".*>/\\".contains(c);
    if (1..=255).contains(&value.len()) && value.chars().all(allowed) {
        Ok(value.to_owned())
    } else {
        Err("allowed: a name without blanks, dots, slashes, `*` and `>`".to_owned())
    }
}

/// Public keys of the one kind that requests are signed with.
#[cfg(feature = "aegis")]
pub(super) fn ed25519_keys(value: &str) -> Parsed<Vec<bpf_artifact::PublicKey>> {
    let keys = public_keys(value)?;
    if keys.iter().all(|key| key.to_base64().is_some()) {
        Ok(keys)
    } else {
        Err("allowed: Ed25519 keys".to_owned())
    }
}

/// A NATS subject to publish to.
#[cfg(feature = "aegis")]
pub(super) fn subject(value: &str) -> Parsed<String> {
    let token = |token: &str| {
        !token.is_empty()
            && token
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
    };
    if value.len() <= 255 && value.split('.').all(token) {
        Ok(value.to_owned())
    } else {
        Err("allowed: words separated by dots, without blanks, `*` and `>`".to_owned())
    }
}

/// Whether what travels to this URL can be read and altered by others on the way.
#[cfg(feature = "aegis")]
pub(super) fn is_plain_to_others(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bare) => bare.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let loopback = host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    !loopback && host != "localhost"
}

/// A size in MiB, as bytes.
pub(super) fn mebibytes(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<u64> {
    move |value| {
        let number = value.parse().ok().filter(|number| allowed.contains(number));
        number
            .map(|mebibytes: u64| mebibytes << 20)
            .ok_or_else(|| format!("allowed: {} to {} (MiB)", allowed.start(), allowed.end()))
    }
}

/// A duration as Go writes it: numbers with units, one after the other, such as `300ms` or `1m30s`; `d` counts days.
#[cfg(feature = "luna")]
pub(super) fn span(allowed: RangeInclusive<Duration>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| {
        go_duration(value)
            .filter(|span| allowed.contains(span))
            .ok_or_else(|| {
                format!(
                    "allowed: {:?} to {:?}, a number with its unit, such as 10s, 1m30s or 1h",
                    allowed.start(),
                    allowed.end()
                )
            })
    }
}

#[cfg(feature = "luna")]
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * scale).ok()?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

/// A file of certificates or a key, which must be there.
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
pub(super) fn pem(value: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(value);
    crate::secret::read_pem(&path).map(|_| path)
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
#[cfg(feature = "sigma")]
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
#[cfg(feature = "sigma")]
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
    fn a_manager_is_an_address_of_this_host() {
        for (text, address, path) in [
            ("http://172.16.0.1:18080", "172.16.0.1:18080", ""),
            ("http://172.16.0.1/api/", "172.16.0.1:80", "/api"),
            ("http://[fd00::1]:18080/", "[fd00::1]:18080", ""),
            ("http://[fd00::1]", "[fd00::1]:80", ""),
        ] {
            let manager = manager(text).unwrap();
            assert_eq!(
                (manager.address.to_string().as_str(), manager.path.as_str()),
                (address, path)
            );
        }
        for wrong in [
            "",
            "172.16.0.1:18080",
            "https://172.16.0.1",
            "http://",
            "http://manager:18080",
            "http://fd00::1",
            "http://172.16.0.1:0",
            "http://172.16.0.1:99999",
            "http://u@172.16.0.1",
            "http://172.16.0.1/a b",
            "http://172.16.0.1/?q",
        ] {
            assert!(manager(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn durations_of_go_are_read_and_bare_numbers_are_not() {
        for (text, milliseconds) in [
            ("300ms", 300),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(
                go_duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for wrong in [
            "",
            "10",
            "s",
            "-5s",
            "1x",
            "1h5",
            "1..5s",
            "10 s",
            "1e3s",
            "99999999999999999999h",
        ] {
            assert_eq!(go_duration(wrong), None, "{wrong:?} was taken");
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
