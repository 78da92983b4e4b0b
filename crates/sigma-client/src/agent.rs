//! What an agent says about its host: the bodies of register and heartbeat.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value};

/// The body of `POST /agent/register`.
///
/// Registering overwrites what the API holds: an empty `ip_addresses` wipes the operator's addresses and
/// labels, and a retired or suspended record becomes active again.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The name that identifies the host, case included. Sent without blanks around it.
    pub hostname: String,
    /// A DNS name or address under which people know the host. Left out when `None` or blank.
    pub alias: Option<String>,
    /// All addresses, the one to scrape and dial first: the order is kept.
    pub ip_addresses: Vec<IpEntry>,
    /// Where sshd listens.
    pub ssh_port: u16,
    /// Facts about the host.
    pub system_info: SystemInfo,
}

/// The body of `POST /agent/heartbeat`.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The name the host is registered under.
    pub hostname: String,
    /// The complete list, or an empty one to leave the stored list alone. One address missing once loses the
    /// operator's label for good.
    pub ip_addresses: Vec<IpEntry>,
    /// Facts about the host. They replace the stored ones as a whole.
    pub system_info: SystemInfo,
}

/// An address of the host and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpEntry {
    /// Sent in its canonical form, because the API matches stored labels by text.
    pub ip: IpAddr,
    /// `""` or `"internal"`; a stored label of the operator wins over it.
    pub label: String,
}

/// Facts about the host. What is `None` is not sent: the API's readers show `null` and 0 as if they were true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SystemInfo {
    /// Logical processors.
    pub cpu_cores: Option<u64>,
    /// Memory in MiB.
    pub ram_mb: Option<u64>,
    /// Size of the root file system in GiB.
    pub disk_gb: Option<u64>,
    /// Used space of the root file system in GiB.
    pub disk_used_gb: Option<u64>,
    /// Time since boot.
    pub uptime_seconds: Option<u64>,
    /// Load over 1, 5 and 15 minutes. Not sent if one of them is not a finite number.
    pub load_avg: Option<[f64; 3]>,
    /// Where the agent's own server listens, 0 for nowhere. Always sent: left out, the API dials its default
    /// port, whoever owns it.
    pub metrics_port: u16,
    /// The address under which the API reaches the agent's own server.
    pub public_ip: Option<PublicIp>,
    /// Further keys, stored by the API as they are. Keys of the fields above and `null` are not sent.
    pub extra: Map<String, Value>,
}

/// An address in the one form that the API can put into a URL: IPv4 bare, IPv6 in brackets.
///
/// ```
/// use sigma_client::PublicIp;
/// use std::net::IpAddr;
///
/// let text = |ip: &str| PublicIp::from(ip.parse::<IpAddr>().unwrap()).to_string();
/// assert_eq!(text("203.0.113.9"), "203.0.113.9");
/// assert_eq!(text("2001:db8::5"), "[2001:db8::5]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicIp(IpAddr);

impl From<IpAddr> for PublicIp {
    fn from(ip: IpAddr) -> Self {
        PublicIp(ip.to_canonical())
    }
}

impl fmt::Display for PublicIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

impl Registration {
    /// The JSON that is sent.
    pub fn to_json(&self) -> String {
        let alias = self
            .alias
            .as_deref()
            .map(str::trim)
            .filter(|alias| !alias.is_empty());
        object([
            ("hostname", Some(self.hostname.trim().into())),
            ("alias", alias.map(Value::from)),
            ("ip_addresses", Some(entries(&self.ip_addresses))),
            ("ssh_port", Some(self.ssh_port.into())),
            ("system_info", Some(self.system_info.to_value())),
        ])
    }
}

impl Heartbeat {
    /// The JSON that is sent.
    pub fn to_json(&self) -> String {
        let addresses = (!self.ip_addresses.is_empty()).then(|| entries(&self.ip_addresses));
        object([
            ("hostname", Some(self.hostname.trim().into())),
            ("ip_addresses", addresses),
            ("system_info", Some(self.system_info.to_value())),
        ])
    }
}

impl SystemInfo {
    fn to_value(&self) -> Value {
        let load = self
            .load_avg
            .filter(|load| load.iter().all(|figure| figure.is_finite()));
        let known = [
            ("cpu_cores", self.cpu_cores.map(Value::from)),
            ("disk_gb", self.disk_gb.map(Value::from)),
            ("disk_used_gb", self.disk_used_gb.map(Value::from)),
            ("load_avg", load.map(|load| load.to_vec().into())),
            ("metrics_port", Some(self.metrics_port.into())),
            ("public_ip", self.public_ip.map(|ip| ip.to_string().into())),
            ("ram_mb", self.ram_mb.map(Value::from)),
            ("uptime_seconds", self.uptime_seconds.map(Value::from)),
        ];
        let is_own = |name: &String| known.iter().all(|(known, _)| known != name);
        let own: Vec<_> = self
            .extra
            .iter()
            .filter(|(name, value)| is_own(name) && !value.is_null())
            .collect();
        let mut all = Map::new();
        all.extend(
            own.into_iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        all.extend(
            known
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        Value::Object(all)
    }
}

fn entries(list: &[IpEntry]) -> Value {
    list.iter()
        .map(|entry| serde_json::json!({ "ip": entry.ip, "label": entry.label }))
        .collect()
}

/// Writes an object with its keys in the given order, the unknown ones left out. Unlike a derived
/// serializer it cannot fail, which spares every call an error that never happens.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> String {
    let fields: Vec<String> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{}:{}", Value::from(name), value?)))
        .collect();
    format!("{{{}}}", fields.join(","))
}
