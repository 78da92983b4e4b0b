//! The Sigma API: where it is, what it hears, and which ports are scanned.

use std::net::IpAddr;
use std::time::Duration;

use portscan::{Method, PortRanges, Sources};
use sigma_client::ApiKey;

use super::server::{KeySource, Server, take_key, take_server};
use crate::cli::layers::{Env, Layers};
use crate::cli::values;

/// What the heartbeats need.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sigma {
    pub(crate) api: Api,
    pub(crate) interval: Duration,
    pub(crate) first_contact: FirstContact,
    /// Another name under which the API reaches this host.
    pub(crate) alias: Option<String>,
    pub(crate) ssh_port: u16,
}

/// How the Sigma API is reached.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) key: KeySource,
    pub(crate) server: Server,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FirstContact {
    Register,
    Heartbeat,
}

/// Who tells the public address.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Public {
    /// Fixed by the operator: nobody is asked.
    pub(crate) fixed: Option<IpAddr>,
    pub(crate) lookup: Lookup,
    pub(crate) services: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// Only where no local address is public.
    Auto,
    Always,
    Off,
}

/// Which ports are scanned, and how often.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scan {
    pub(crate) ranges: PortRanges,
    pub(crate) interval: Duration,
    pub(crate) method: Method,
    pub(crate) exclude: PortRanges,
    pub(crate) sources: Sources,
    pub(crate) attribution: Attribution,
}

/// Who tells the owners of sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attribution {
    /// The open files of processes.
    Proc,
    /// The command `ss`.
    Ss,
    /// Nobody.
    Off,
}

/// The name under which systemd hands over the key: `LoadCredential=sigma_api_key:/path`.
const CREDENTIAL: &str = "sigma_api_key";

const FIRST_CONTACT: &[(&str, FirstContact)] = &[
    ("register", FirstContact::Register),
    ("heartbeat", FirstContact::Heartbeat),
];
const LOOKUP: &[(&str, Lookup)] = &[
    ("auto", Lookup::Auto),
    ("always", Lookup::Always),
    ("off", Lookup::Off),
];
const METHOD: &[(&str, Method)] = &[
    ("exact", Method::Exact),
    ("listen", Method::Listen),
    ("bind", Method::Bind),
];
const ATTRIBUTION: &[(&str, Attribution)] = &[
    ("auto", Attribution::Proc),
    ("proc", Attribution::Proc),
    ("ss", Attribution::Ss),
    ("off", Attribution::Off),
];

/// The heartbeats; the outer `None` is a mistake, the inner one switched off.
pub(super) fn take(layers: &mut Layers, env: Env<'_>) -> Option<Option<Sigma>> {
    let on = layers.take("heartbeat", values::boolean);
    let url = layers.take("api-url", values::http_url);
    let key = take_key(layers, env, "api-key", "api-key-file", CREDENTIAL, |text| {
        ApiKey::parse(text)
            .map(drop)
            .map_err(|error| error.to_string())
    });
    let server = take_server(
        layers,
        "api-ca",
        "api-client-cert",
        "api-client-key",
        "api-env-proxy",
    );
    let interval = layers.take("interval", values::duration(1..=150));
    let first_contact = layers.take("first-contact", values::choice(FIRST_CONTACT));
    let alias = layers.take("alias", values::alias);
    let ssh_port = layers.take("ssh-port", values::port(1));
    let sigma = Sigma {
        api: Api {
            url: url?,
            key,
            server: server?,
        },
        interval: interval?,
        first_contact: first_contact?,
        alias,
        ssh_port: ssh_port?,
    };
    Some(on?.then_some(sigma))
}

pub(super) fn take_public(layers: &mut Layers) -> Option<Public> {
    let fixed = layers.take("public-ip", values::reachable_ip);
    let lookup = layers.take("public-ip-lookup", values::choice(LOOKUP));
    let services = layers.take("public-ip-services", values::list(values::http_url));
    if lookup != Some(Lookup::Off) && services.as_ref().is_some_and(Vec::is_empty) {
        let advice = "--public-ip-services is empty: name one, or say --public-ip-lookup off";
        layers.mistake(advice.to_owned());
    }
    Some(Public {
        fixed,
        lookup: lookup?,
        services: services?,
    })
}

/// The port scan; the outer `None` is a mistake, the inner one switched off.
pub(super) fn take_scan(layers: &mut Layers) -> Option<Option<Scan>> {
    let on = layers.take("port-scan", values::boolean);
    let ranges = layers.take("port-scan-range", values::port_ranges);
    let interval = layers.take("port-scan-interval", values::duration(1..=86_400));
    let method = layers.take("port-scan-method", values::choice(METHOD));
    let exclude = layers.take("port-scan-exclude", values::port_ranges);
    let sources = layers.take("port-scan-sources", values::sources);
    let attribution = layers.take("attribution", values::choice(ATTRIBUTION));
    let scan = Scan {
        ranges: ranges?,
        interval: interval?,
        method: method?,
        exclude: exclude.unwrap_or_else(PortRanges::none),
        sources: sources?,
        attribution: attribution?,
    };
    Some(on?.then_some(scan))
}
