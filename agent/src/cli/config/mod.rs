//! The configuration as the rest of the agent sees it: typed, complete and free of mistakes.

#[cfg(feature = "guest")]
mod guest;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
mod server;
#[cfg(feature = "sigma")]
mod sigma;
#[cfg(feature = "aegis")]
mod vault;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

#[cfg(feature = "guest")]
pub(crate) use guest::{Guest, Manager, Report};
#[cfg(feature = "aegis")]
pub(crate) use programs::{Nats, Programs};
#[cfg(feature = "luna")]
pub(crate) use push::{Backfill, Backlog, Push};
#[cfg(any(feature = "luna", feature = "sigma"))]
pub(crate) use server::KeySource;
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
pub(crate) use server::Server;
#[cfg(feature = "sigma")]
pub(crate) use sigma::{Api, Attribution, FirstContact, Lookup, Public, Scan, Sigma};
#[cfg(feature = "aegis")]
pub(crate) use vault::Vault;

use super::layers::{Env, Layers, Mistake, Setting};
use super::options::Opt;
use super::role::Role;
use super::values;
use crate::keyfile::{self, Token};

/// Everything an operator can set.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Config {
    pub(crate) role: Role,
    /// What this host calls itself, where it is not to be the kernel's word.
    pub(crate) hostname: Option<String>,
    /// `None`: no heartbeats.
    #[cfg(feature = "sigma")]
    pub(crate) sigma: Option<Sigma>,
    #[cfg(feature = "sigma")]
    pub(crate) public: Public,
    /// Interfaces whose addresses are not reported.
    pub(crate) ignore_interfaces: Vec<String>,
    /// `None`: no samples are pushed.
    #[cfg(feature = "luna")]
    pub(crate) push: Option<Push>,
    #[cfg(feature = "luna")]
    pub(crate) backlog: Backlog,
    #[cfg(feature = "guest")]
    pub(crate) guest: Guest,
    /// `None`: no programs are run.
    #[cfg(feature = "aegis")]
    pub(crate) programs: Option<Programs>,
    /// `None`: no HTTP server.
    pub(crate) http: Option<Http>,
    /// `None`: ports are not scanned.
    #[cfg(feature = "sigma")]
    pub(crate) scan: Option<Scan>,
    pub(crate) host: HostPlace,
    pub(crate) log: Log,
    #[cfg(feature = "sandbox")]
    pub(crate) sandbox: Sandbox,
    /// The files that options name, which a reload reads again.
    #[cfg(feature = "sandbox")]
    pub(crate) files: Vec<PathBuf>,
    /// What the operator should know although it is no mistake.
    pub(crate) warnings: Vec<String>,
}

/// Where the HTTP server listens.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Http {
    pub(crate) address: IpAddr,
    /// At least one; the first is what others are told.
    pub(crate) ports: Vec<u16>,
    /// What requests must bring; `None`: nothing.
    pub(crate) token: Option<Token>,
    /// Whether the metrics page also has node_exporter's names.
    pub(crate) node_compat: bool,
}

/// Whether the agent takes from itself what it does not need.
#[cfg(feature = "sandbox")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sandbox {
    /// As far as the kernel goes.
    Auto,
    /// All of it, or there is no start.
    Strict,
    Off,
}

/// Where the host's files are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct HostPlace {
    pub(crate) root: PathBuf,
    pub(crate) proc: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
    pub(crate) output: LogOutput,
    /// A file that gets every line too, and the size at which it is begun anew.
    pub(crate) file: Option<(PathBuf, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    Auto,
    Human,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogOutput {
    Stderr,
    Stdout,
}

const FORMAT: &[(&str, LogFormat)] = &[
    ("auto", LogFormat::Auto),
    ("human", LogFormat::Human),
    ("json", LogFormat::Json),
];
#[cfg(feature = "sandbox")]
const SANDBOX: &[(&str, Sandbox)] = &[
    ("auto", Sandbox::Auto),
    ("strict", Sandbox::Strict),
    ("off", Sandbox::Off),
];
const OUTPUT: &[(&str, LogOutput)] =
    &[("stderr", LogOutput::Stderr), ("stdout", LogOutput::Stdout)];
const LEVEL: &[(&str, tracing::Level)] = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

/// What the sources of options say, taken together.
pub(crate) struct Loaded {
    /// Or every mistake.
    pub(crate) config: Result<Config, Vec<Mistake>>,
    /// Every option with its value and where that came from.
    pub(crate) settings: Vec<Setting>,
}

impl Config {
    /// Reads all sources; either everything is right or every mistake is told.
    pub(crate) fn load(
        role: Role,
        wanted: &dyn Fn(&Opt) -> bool,
        flags: &dyn Fn(&Opt) -> Option<OsString>,
        env: Env<'_>,
    ) -> Loaded {
        let mut layers = Layers::collect(role, wanted, flags, env);
        let settings = layers.settings(wanted);
        let config = Self::build(&mut layers, env);
        let config = match config {
            Some(config) if layers.mistakes.is_empty() => Ok(Self {
                warnings: layers.warnings,
                ..config
            }),
            _ => Err(layers.mistakes),
        };
        Loaded { config, settings }
    }

    /// What of a reloaded configuration counts beside the `old` one while the process runs.
    pub(crate) fn without_what_needs_a_restart(self, old: &Self) -> Self {
        Self {
            #[cfg(feature = "sigma")]
            sigma: same_side(self.sigma, &old.sigma),
            #[cfg(feature = "sigma")]
            scan: old.scan.clone(),
            #[cfg(feature = "luna")]
            push: same_side(self.push, &old.push),
            #[cfg(feature = "luna")]
            backlog: old.backlog.clone(),
            #[cfg(feature = "guest")]
            guest: old.guest.clone(),
            #[cfg(feature = "aegis")]
            programs: old.programs.clone(),
            http: old.http.clone(),
            host: old.host.clone(),
            #[cfg(feature = "sandbox")]
            sandbox: old.sandbox,
            ..self
        }
    }

    /// Takes every option before it gives up on any, so that all mistakes are met.
    #[cfg_attr(
        not(feature = "sandbox"),
        expect(
            unused_variables,
            reason = "only keys for servers come from the service manager"
        )
    )]
    fn build(layers: &mut Layers, env: Env<'_>) -> Option<Self> {
        let hostname = layers.take("hostname", values::hostname);
        #[cfg(feature = "sigma")]
        let (sigma, public, scan) = (
            sigma::take(layers, env),
            sigma::take_public(layers),
            sigma::take_scan(layers),
        );
        let ignore_interfaces = layers.take("ignore-interfaces", values::list(values::text));
        #[cfg(feature = "luna")]
        let (push, backlog) = (push::take(layers, env), push::take_backlog(layers, env));
        #[cfg(feature = "guest")]
        let guest = guest::take(layers);
        #[cfg(feature = "aegis")]
        let programs = programs::take(layers, env);
        let http = Http::take(layers);
        let root = layers.take("host-root", values::folder);
        let proc = layers.take("host-proc", values::folder);
        let log = Log::take(layers);
        #[cfg(feature = "sandbox")]
        let sandbox = layers.take("sandbox", values::choice(SANDBOX));
        Some(Self {
            role: layers.role(),
            hostname,
            #[cfg(feature = "sigma")]
            sigma: sigma?,
            #[cfg(feature = "sigma")]
            public: public?,
            ignore_interfaces: ignore_interfaces?,
            #[cfg(feature = "luna")]
            push: push?,
            #[cfg(feature = "luna")]
            backlog: backlog?,
            #[cfg(feature = "guest")]
            guest: guest?,
            #[cfg(feature = "aegis")]
            programs: programs?,
            http: http?,
            #[cfg(feature = "sigma")]
            scan: scan?,
            host: HostPlace { root: root?, proc },
            log: log?,
            #[cfg(feature = "sandbox")]
            sandbox: sandbox?,
            #[cfg(feature = "sandbox")]
            files: layers.files(env),
            warnings: Vec::new(),
        })
    }
}

/// Where state is kept: the folder of the service manager, else `usual`.
#[cfg(any(feature = "aegis", feature = "luna"))]
fn state_folder(env: Env<'_>, usual: &str) -> PathBuf {
    // Of several, separated by colons, the first is the unit's own.
    let given = env("STATE_DIRECTORY").and_then(|folders| {
        let first = folders.to_str()?.split(':').next()?.to_owned();
        (!first.is_empty()).then_some(first)
    });
    PathBuf::from(given.unwrap_or_else(|| usual.to_owned()))
}

/// Whether a loop is there does not change while the process runs, but what it is told may.
#[cfg(any(feature = "luna", feature = "sigma"))]
fn same_side<T: Clone>(new: Option<T>, old: &Option<T>) -> Option<T> {
    old.as_ref().map(|old| new.unwrap_or_else(|| old.clone()))
}

impl Http {
    fn take(layers: &mut Layers) -> Option<Option<Self>> {
        let ports = layers.take("metrics-port", values::list(values::port(0)));
        let address = layers.take("metrics-address", values::ip);
        let token_file = layers.take("http-token-file", values::path);
        let token = token_file.and_then(|path| match keyfile::read_token(&path) {
            Ok(token) => Some(token),
            Err(error) => {
                layers.mistake(format!("--http-token-file {error}"));
                None
            }
        });
        #[cfg(feature = "sigma")]
        let node_compat = layers.take("node-compat", values::boolean)?;
        #[cfg(not(feature = "sigma"))]
        let node_compat = false;
        let (ports, address) = (ports?, address?);
        let off = ports.is_empty() || ports == [0];
        if !off && ports.contains(&0) {
            layers.mistake("--metrics-port: 0 means off, and stands alone".to_owned());
        }
        Some((!off).then_some(Self {
            address,
            ports,
            token,
            node_compat,
        }))
    }
}

impl Log {
    fn take(layers: &mut Layers) -> Option<Self> {
        let level = layers.take("log-level", values::choice(LEVEL));
        let format = layers.take("log-format", values::choice(FORMAT));
        let output = layers.take("log-output", values::choice(OUTPUT));
        let file = layers.take("log-file", values::path);
        let bytes = layers.take("log-file-mib", values::mebibytes(1..=1024));
        Some(Self {
            level: level?,
            format: format?,
            output: output?,
            file: file.zip(bytes),
        })
    }
}
