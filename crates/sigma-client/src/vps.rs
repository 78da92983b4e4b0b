//! One record of the inventory, read with tolerance.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// A VPS as the API keeps it.
///
/// Only `id`, `hostname` and `status` are required; older and newer APIs lack or add the rest. A field that
/// is missing, `null` or of an unexpected type is `None`, and what was not understood stays in `other`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Vps {
    /// The record's id, a UUID.
    pub id: String,
    /// The name that the record goes by at present: the agent of a merged record renames it.
    pub hostname: String,
    /// Where in its life the record is.
    pub status: VpsStatus,
    /// A DNS name or address; often empty.
    pub alias: Option<String>,
    /// The company it is rented from; none for records that an agent made.
    pub provider_id: Option<String>,
    /// The addresses, in the order they were sent. What is no address entry is skipped.
    pub ip_addresses: Vec<StoredAddress>,
    /// Where sshd listens.
    pub ssh_port: Option<u16>,
    /// Country code.
    pub country: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Data centre.
    pub dc_name: Option<String>,
    /// Processors as the operator entered them; agents report theirs in `extra`.
    pub cpu_cores: Option<u64>,
    /// Memory in MiB as the operator entered it.
    pub ram_mb: Option<u64>,
    /// Disk in GiB as the operator entered it.
    pub disk_gb: Option<u64>,
    /// Traffic in TB, a decimal number as text.
    pub bandwidth_tb: Option<String>,
    /// Price in `currency`, a decimal number as text.
    pub cost_monthly: Option<String>,
    /// Currency code.
    pub currency: Option<String>,
    /// First day, `YYYY-MM-DD`.
    pub purchase_date: Option<String>,
    /// Last day, `YYYY-MM-DD`.
    pub expire_date: Option<String>,
    /// What it is used for.
    pub purpose: Option<String>,
    /// VPN protocol, if any.
    pub vpn_protocol: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// Whether it is among the scrape targets.
    pub monitoring_enabled: Option<bool>,
    /// Where node_exporter listens.
    pub node_exporter_port: Option<u16>,
    /// Free data; agents' reports are in it. `None` means that the API stores none of them.
    pub extra: Option<Map<String, Value>>,
    /// Free text.
    pub notes: Option<String>,
    /// Who made the record: `manual`, `agent`, `cloud-sync`.
    pub source: Option<String>,
    /// The cloud account it was read from.
    pub cloud_account_id: Option<String>,
    /// RFC 3339, UTC.
    pub created_at: Option<String>,
    /// RFC 3339, UTC.
    pub updated_at: Option<String>,
    /// All that is not understood: unknown fields, and known ones of an unexpected type.
    pub other: Map<String, Value>,
}

/// An address as the record holds it. The text may have blanks around it or be no address at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredAddress {
    /// The text, as stored.
    pub ip: String,
    /// The operator's or the agent's label; empty for none.
    pub label: String,
}

/// Where in its life a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VpsStatus {
    /// Ordered, not yet in use.
    Provisioning,
    /// In use.
    Active,
    /// About to be given up.
    Retiring,
    /// Given up.
    Retired,
    /// Stopped for a while.
    Suspended,
    /// Deleted, but still in the database.
    Deleted,
    /// A status that this version of the crate does not know.
    Other(String),
}

impl Vps {
    /// The host that the API dials to reach the agent: `public_ip` of the agent's report, else the alias,
    /// else the first address that is not labelled `internal`, else the first one.
    ///
    /// `None` where that rule ends in an empty text. The text may be a DNS name, and an IPv6 address with or
    /// without brackets (the API can dial it only with).
    pub fn dial_address(&self) -> Option<&str> {
        let chosen = if let Some(public_ip) = self.reported("public_ip").and_then(Value::as_str) {
            public_ip
        } else if let Some(alias) = self.alias.as_deref().filter(|alias| !alias.is_empty()) {
            alias
        } else {
            let outside = self
                .ip_addresses
                .iter()
                .find(|address| address.label != "internal");
            &outside.or_else(|| self.ip_addresses.first())?.ip
        };
        Some(chosen.trim()).filter(|host| !host.is_empty())
    }

    /// The port that the API dials to reach the agent: the reported `metrics_port` cut to 16 bits, else
    /// `default`, which the API takes for every report that is not a whole number. `None`: the agent says
    /// that it has no server.
    pub fn dial_port(&self, default: u16) -> Option<u16> {
        let Some(port) = self.reported("metrics_port").and_then(Value::as_u64) else {
            return Some(default);
        };
        u16::try_from(port & u64::from(u16::MAX))
            .ok()
            .filter(|port| *port != 0)
    }

    /// The last report of the agent, if the API stored one.
    ///
    /// `None` in the answer to a register or heartbeat means that nothing was stored although the call
    /// succeeded: the record's `extra` is `null`. It takes an operator to set it to `{}`.
    pub fn stored_system_info(&self) -> Option<&Value> {
        self.extra
            .as_ref()?
            .get("system_info")
            .filter(|info| !info.is_null())
    }

    /// When the API last heard of the agent, RFC 3339.
    pub fn last_heartbeat(&self) -> Option<&str> {
        self.extra.as_ref()?.get("last_heartbeat")?.as_str()
    }

    /// Whether a heartbeat under this name reaches this record: it is its name, or that of a record merged
    /// into it.
    pub fn answers_to(&self, hostname: &str) -> bool {
        let merged = self
            .extra
            .as_ref()
            .and_then(|extra| extra.get("merged_hostnames")?.as_array());
        self.hostname == hostname
            || merged.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(hostname)))
    }

    fn reported(&self, key: &str) -> Option<&Value> {
        self.stored_system_info()?.get(key)
    }

    pub(crate) fn from_fields(fields: Map<String, Value>) -> Result<Self, String> {
        let mut fields = Fields(fields);
        Ok(Vps {
            id: fields.required("id")?,
            hostname: fields.required("hostname")?,
            status: fields.required("status")?.into(),
            alias: fields.text("alias"),
            provider_id: fields.text("provider_id"),
            ip_addresses: fields.addresses("ip_addresses"),
            ssh_port: fields.port("ssh_port"),
            country: fields.text("country"),
            city: fields.text("city"),
            dc_name: fields.text("dc_name"),
            cpu_cores: fields.number("cpu_cores"),
            ram_mb: fields.number("ram_mb"),
            disk_gb: fields.number("disk_gb"),
            bandwidth_tb: fields.decimal("bandwidth_tb"),
            cost_monthly: fields.decimal("cost_monthly"),
            currency: fields.text("currency"),
            purchase_date: fields.text("purchase_date"),
            expire_date: fields.text("expire_date"),
            purpose: fields.text("purpose"),
            vpn_protocol: fields.text("vpn_protocol"),
            tags: fields.texts("tags"),
            monitoring_enabled: fields.take("monitoring_enabled", Value::as_bool),
            node_exporter_port: fields.port("node_exporter_port"),
            extra: fields.take("extra", |extra| extra.as_object().cloned()),
            notes: fields.text("notes"),
            source: fields.text("source"),
            cloud_account_id: fields.text("cloud_account_id"),
            created_at: fields.text("created_at"),
            updated_at: fields.text("updated_at"),
            other: fields.0,
        })
    }
}

impl<'de> Deserialize<'de> for Vps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vps::from_fields(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl StoredAddress {
    /// The address, if the text is one.
    pub fn parsed(&self) -> Option<IpAddr> {
        self.ip.trim().parse().ok()
    }
}

impl VpsStatus {
    /// The API's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            VpsStatus::Provisioning => "provisioning",
            VpsStatus::Active => "active",
            VpsStatus::Retiring => "retiring",
            VpsStatus::Retired => "retired",
            VpsStatus::Suspended => "suspended",
            VpsStatus::Deleted => "deleted",
            VpsStatus::Other(word) => word,
        }
    }
}

impl From<String> for VpsStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "provisioning" => VpsStatus::Provisioning,
            "active" => VpsStatus::Active,
            "retiring" => VpsStatus::Retiring,
            "retired" => VpsStatus::Retired,
            "suspended" => VpsStatus::Suspended,
            "deleted" => VpsStatus::Deleted,
            _ => VpsStatus::Other(word),
        }
    }
}

impl FromStr for VpsStatus {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(word.to_owned().into())
    }
}

impl fmt::Display for VpsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The fields of a record that nobody has taken yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// Takes a field if it reads as wanted or is `null`, and leaves it in place otherwise.
    fn take<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.0.get(name)?;
        let taken = read(value);
        if taken.is_some() || value.is_null() {
            self.0.remove(name);
        }
        taken
    }

    fn required(&mut self, name: &str) -> Result<String, String> {
        self.text(name)
            .ok_or_else(|| format!("a record without `{name}`"))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| value.as_str().map(str::to_owned))
    }

    fn decimal(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        self.take(name, Value::as_u64)
    }

    fn port(&mut self, name: &str) -> Option<u16> {
        self.take(name, |value| u16::try_from(value.as_u64()?).ok())
    }

    fn texts(&mut self, name: &str) -> Vec<String> {
        let read = |value: &Value| {
            let list = value.as_array()?.iter();
            Some(
                list.filter_map(|text| Some(text.as_str()?.to_owned()))
                    .collect(),
            )
        };
        self.take(name, read).unwrap_or_default()
    }

    fn addresses(&mut self, name: &str) -> Vec<StoredAddress> {
        self.take(name, |value| {
            Some(value.as_array()?.iter().filter_map(address).collect())
        })
        .unwrap_or_default()
    }
}

fn address(entry: &Value) -> Option<StoredAddress> {
    let ip = entry.get("ip")?.as_str()?.to_owned();
    let label = entry
        .get("label")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Some(StoredAddress { ip, label })
}
