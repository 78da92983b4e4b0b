//! The URL of the server, checked before anything is sent to it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::ConfigError;

/// Where the server is, such as `https://lunasentri-api.example`, perhaps with a path before `/agent/metrics`.
///
/// ```
/// use metricpush::ServerUrl;
///
/// let server = ServerUrl::parse(" https://lunasentri-api.example/ ")?;
/// assert_eq!(server.as_str(), "https://lunasentri-api.example");
/// assert!(!server.exposes_key());
/// assert!(ServerUrl::parse("http://lunasentri-api.example")?.exposes_key());
/// assert!(ServerUrl::parse("https://me:secret@lunasentri-api.example").is_err());
/// # Ok::<(), metricpush::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    exposes_key: bool,
}

impl ServerUrl {
    /// Checks a URL as it stands in a file or an option: `http` or `https`, a host, perhaps a port and a path.
    /// Blanks around it and slashes at its end are cut off.
    pub fn parse(text: &str) -> Result<ServerUrl, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return refuse("is empty");
        }
        let (scheme, rest) = split_scheme(text)?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("has a blank, control or non-ASCII character inside");
        }
        if rest.contains(['?', '#']) {
            return refuse("must not have a part after ? or #");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return refuse("must not hold a user name or password; use the API key");
        }
        if path.contains('\\') {
            return refuse("has a backslash inside");
        }
        let Some(is_loopback) = split_port(authority).and_then(is_loopback) else {
            return refuse("has no valid host or port");
        };
        let path = path.trim_end_matches('/');
        Ok(ServerUrl {
            text: format!("{scheme}://{authority}{path}"),
            exposes_key: scheme == "http" && !is_loopback,
        })
    }

    /// The URL without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the key would cross a network in the clear: `http` to another host than this one. Names count as
    /// another host, `localhost` aside.
    pub fn exposes_key(&self) -> bool {
        self.exposes_key
    }
}

impl FromStr for ServerUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        ServerUrl::parse(text)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn refuse<T>(why: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::ServerUrl(why))
}

fn split_scheme(text: &str) -> Result<(&'static str, &str), ConfigError> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    ["http", "https"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))
        .map(|known| (known, rest))
        .ok_or(ConfigError::ServerUrl(
            "must begin with http:// or https://",
        ))
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, if the port is one that can be dialled.
fn split_port(authority: &str) -> Option<&str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let colon = authority.get(end..)?.find(':').map(|at| at + end);
    let Some(colon) = colon else {
        return Some(authority);
    };
    let port = authority.get(colon + 1..)?;
    let valid = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    valid.then(|| authority.get(..colon))?
}

/// Whether a host is this one, or nothing if it is none at all.
fn is_loopback(host: &str) -> Option<bool> {
    if let Some(inside) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(ip.to_canonical().is_loopback());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next()?;
    // What ends in a number is an address, and its short and octal forms mean other ones than they seem to.
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x")
    {
        return host.parse::<Ipv4Addr>().ok().map(|ip| ip.is_loopback());
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return None;
    }
    Some(last.eq_ignore_ascii_case("localhost"))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
