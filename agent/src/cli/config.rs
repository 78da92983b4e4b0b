//! The configuration as the rest of the agent sees it: typed, complete and free of mistakes.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portscan::{Method, PortRanges, Sources};
use sigma_client::ApiKey;

use super::layers::{Env, Layers, Mistake};
use super::options::Opt;
use super::values;
use crate::keyfile::{self, Token};

/// Everything an operator can set.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Config {
    pub(crate) api: Api,
    pub(crate) interval: Duration,
    pub(crate) first_contact: FirstContact,
    pub(crate) identity: Identity,
    pub(crate) addresses: Addresses,
    /// `None`: no HTTP server.
    pub(crate) http: Option<Http>,
    /// `None`: ports are not scanned.
    pub(crate) scan: Option<Scan>,
    pub(crate) host: HostPlace,
    pub(crate) log: Log,
    /// What the operator should know although it is no mistake.
    pub(crate) warnings: Vec<String>,
}

/// How the Sigma API is reached.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) key: KeySource,
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and private key, both PEM files.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    pub(crate) proxy_from_environment: bool,
}

/// Where the API key is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum KeySource {
    None,
    Given(ApiKey),
    File(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FirstContact {
    Register,
    Heartbeat,
}

/// What this host calls itself.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Identity {
    pub(crate) hostname: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) ssh_port: u16,
}

/// Which addresses are reported.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Addresses {
    /// Fixed by the operator: nobody is asked.
    pub(crate) public: Option<IpAddr>,
    pub(crate) lookup: Lookup,
    pub(crate) services: Vec<String>,
    pub(crate) ignore_interfaces: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// Only where no local address is public.
    Auto,
    Always,
    Off,
}

/// Where the HTTP server listens.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Http {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// What requests must bring; `None`: nothing.
    pub(crate) token: Option<Token>,
    /// Whether the metrics page also has node_exporter's names.
    pub(crate) node_compat: bool,
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

/// Where the host's files are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct HostPlace {
    pub(crate) root: PathBuf,
    pub(crate) proc: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    Auto,
    Human,
    Json,
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
const FORMAT: &[(&str, LogFormat)] = &[
    ("auto", LogFormat::Auto),
    ("human", LogFormat::Human),
    ("json", LogFormat::Json),
];
const LEVEL: &[(&str, tracing::Level)] = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

impl Config {
    /// Reads all sources; either everything is right or every mistake is told.
    pub(crate) fn load(
        wanted: &dyn Fn(&Opt) -> bool,
        flags: &dyn Fn(&Opt) -> Option<OsString>,
        env: Env<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut layers = Layers::collect(wanted, flags, env);
        let mut warnings = Vec::new();
        let config = Self::build(&mut layers, env, &mut warnings);
        match config {
            Some(config) if layers.mistakes.is_empty() => Ok(Self { warnings, ..config }),
            _ => Err(layers.mistakes),
        }
    }

    /// Takes every option before it gives up on any, so that all mistakes are met.
    fn build(layers: &mut Layers, env: Env<'_>, warnings: &mut Vec<String>) -> Option<Self> {
        let api = Api::take(layers, env, warnings);
        let interval = layers.take("interval", values::duration(1..=150));
        let first_contact = layers.take("first-contact", values::choice(FIRST_CONTACT));
        let hostname = layers.take("hostname", values::hostname);
        let alias = layers.take("alias", values::alias);
        let ssh_port = layers.take("ssh-port", values::port(1));
        let public = layers.take("public-ip", values::reachable_ip);
        let lookup = layers.take("public-ip-lookup", values::choice(LOOKUP));
        let services = layers.take("public-ip-services", values::list(values::http_url));
        let ignore_interfaces = layers.take("ignore-interfaces", values::list(values::text));
        let port = layers.take("metrics-port", values::port(0));
        let address = layers.take("metrics-address", values::ip);
        let scan_on = layers.take("port-scan", values::boolean);
        let ranges = layers.take("port-scan-range", values::port_ranges);
        let scan_interval = layers.take("port-scan-interval", values::duration(1..=86_400));
        let method = layers.take("port-scan-method", values::choice(METHOD));
        let exclude = layers.take("port-scan-exclude", values::port_ranges);
        let sources = layers.take("port-scan-sources", values::sources);
        let attribution = layers.take("attribution", values::choice(ATTRIBUTION));
        let token_file = layers.take("http-token-file", values::path);
        let node_compat = layers.take("node-compat", values::boolean);
        let token = token_file.and_then(|path| read_token(&path, layers));
        let root = layers.take("host-root", values::folder);
        let proc = layers.take("host-proc", values::folder);
        let level = layers.take("log-level", values::choice(LEVEL));
        let format = layers.take("log-format", values::choice(FORMAT));
        if lookup != Some(Lookup::Off) && services.as_ref().is_some_and(Vec::is_empty) {
            let advice = "--public-ip-services is empty: name one, or say --public-ip-lookup off";
            layers.mistakes.push(Mistake(advice.to_owned()));
        }
        Some(Self {
            api: api?,
            interval: interval?,
            first_contact: first_contact?,
            identity: Identity {
                hostname,
                alias,
                ssh_port: ssh_port?,
            },
            addresses: Addresses {
                public,
                lookup: lookup?,
                services: services?,
                ignore_interfaces: ignore_interfaces?,
            },
            http: port
                .filter(|port| *port != 0)
                .zip(address)
                .map(|(port, address)| Http {
                    address,
                    port,
                    token,
                    node_compat: node_compat.unwrap_or_default(),
                }),
            scan: scan_on?.then_some(Scan {
                ranges: ranges?,
                interval: scan_interval?,
                method: method?,
                exclude: exclude.unwrap_or_else(PortRanges::none),
                sources: sources?,
                attribution: attribution?,
            }),
            host: HostPlace { root: root?, proc },
            log: Log {
                level: level?,
                format: format?,
            },
            warnings: Vec::new(),
        })
    }
}

impl Api {
    fn take(layers: &mut Layers, env: Env<'_>, warnings: &mut Vec<String>) -> Option<Self> {
        let url = layers.take("api-url", values::http_url);
        let key = Self::take_key(layers, env, warnings);
        let ca = layers.take("api-ca", values::pem);
        let certificate = layers.take("api-client-cert", values::pem);
        let private = layers.take("api-client-key", values::pem);
        let proxy = layers.take("api-env-proxy", values::boolean);
        if certificate.is_some() != private.is_some() {
            layers.mistakes.push(Mistake(
                "--api-client-cert and --api-client-key go together: give both or neither"
                    .to_owned(),
            ));
        }
        Some(Self {
            url: url?,
            key,
            ca,
            client: certificate.zip(private),
            proxy_from_environment: proxy?,
        })
    }

    fn take_key(layers: &mut Layers, env: Env<'_>, warnings: &mut Vec<String>) -> KeySource {
        let given = layers
            .take("api-key", |text| {
                ApiKey::parse(text).map_err(|error| error.to_string())
            })
            .flatten();
        let file = layers.take("api-key-file", values::path);
        let (one, other) = (layers.rank("api-key"), layers.rank("api-key-file"));
        if one.is_some() && one == other {
            layers.mistakes.push(Mistake(
                "--api-key and --api-key-file are given in the same place: give one".to_owned(),
            ));
            return KeySource::None;
        }
        // The stronger source wins; a credential of the service manager is the weakest of all.
        let file = file
            .filter(|_| other > one)
            .or_else(|| credential(env).filter(|_| given.is_none()));
        match (file, given) {
            (Some(path), _) => {
                if let Err(error) = keyfile::read(&path) {
                    layers
                        .mistakes
                        .push(Mistake(format!("--api-key-file {error}")));
                }
                warn_of_readers(&path, warnings);
                KeySource::File(path)
            }
            (None, Some(key)) => {
                if let Some(path) = layers.file_of("api-key") {
                    warn_of_readers(path, warnings);
                }
                KeySource::Given(key)
            }
            (None, None) => KeySource::None,
        }
    }
}

fn read_token(path: &Path, layers: &mut Layers) -> Option<Token> {
    match keyfile::read_token(path) {
        Ok(token) => Some(token),
        Err(error) => {
            layers
                .mistakes
                .push(Mistake(format!("--http-token-file {error}")));
            None
        }
    }
}

/// The key file that the service manager mounted for this process, if it did.
fn credential(env: Env<'_>) -> Option<PathBuf> {
    let path = Path::new(&env("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL);
    path.is_file().then_some(path)
}

fn warn_of_readers(path: &Path, warnings: &mut Vec<String>) {
    if keyfile::readable_by_others(path) {
        warnings.push(format!(
            "{} holds the API key and everybody on this host can read it: chmod 0640 it",
            path.display()
        ));
    }
}
