//! Flags, environment and file → what to do; the only place that knows names of options and their defaults.

mod arguments;
#[cfg(feature = "terminal")]
mod completions;
mod config;
mod file;
mod help;
mod layers;
#[cfg(feature = "terminal")]
mod man;
mod options;
#[cfg(feature = "aegis")]
pub(crate) mod programs_command;
#[cfg(feature = "aegis")]
mod programs_values;
mod role;
mod subcommands;
mod values;

use std::ffi::{OsStr, OsString};
use std::fmt;
#[cfg(feature = "lab")]
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

pub(crate) use config::*;
pub(crate) use layers::{Env, Mistake, Origin, Setting};
use options::Opt;
#[cfg(feature = "sigma")]
use options::section;
pub(crate) use role::Role;
pub(crate) use values::sigma_reserved;

/// What the process is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the agent until it is told to stop.
    Run(Box<Config>),
    /// Show this host once.
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
    Info { config: Box<Config>, json: bool },
    /// Tell whether the agent would run well here with this configuration.
    Check(Box<CheckWanted>),
    /// Ask the agent that runs here whether it is well.
    Health(HealthWanted),
    /// Show the ports of this host once, or hand out free ones.
    #[cfg(feature = "sigma")]
    Ports(PortsWanted),
    /// Show the samples that could not be sent.
    #[cfg(feature = "luna")]
    Backlog(Backlog),
    /// Make, sign, check or look into eBPF programs.
    #[cfg(feature = "aegis")]
    Programs(programs_command::Programs),
    /// Run a small Sigma API with an agent beside it.
    #[cfg(feature = "lab")]
    Lab(Lab),
    /// Print this text and stop: help, version, completions or the manual page.
    Print(String),
}

/// What `sigma-agent check` is to look at.
#[derive(Debug)]
pub(crate) struct CheckWanted {
    pub(crate) role: Role,
    /// Or what is wrong with it.
    pub(crate) config: Result<Config, Vec<Mistake>>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) json: bool,
}

/// What `sigma-agent health` is to ask.
#[derive(Debug)]
pub(crate) struct HealthWanted {
    /// `None`: the agent has no port.
    pub(crate) http: Option<Http>,
    pub(crate) place: HostPlace,
    /// How long all of it may take.
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
}

/// What `sigma-agent ports` is to do.
#[cfg(feature = "sigma")]
#[derive(Debug)]
pub(crate) struct PortsWanted {
    pub(crate) scan: Scan,
    pub(crate) place: HostPlace,
    /// Hand out this many free ports instead of showing all.
    pub(crate) allocate: Option<usize>,
    pub(crate) json: bool,
}

/// How the lab is to run.
#[cfg(feature = "lab")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lab {
    /// Where the database is kept; `None`: in memory, gone at the end.
    pub(crate) data: Option<PathBuf>,
    /// `None`: the usual one, or any that is free.
    pub(crate) api_port: Option<u16>,
    pub(crate) interval: Duration,
}

/// What the lab's agent is to work with.
#[cfg(feature = "lab")]
pub(crate) struct LabPlaces<'a> {
    pub(crate) api_url: &'a str,
    pub(crate) api_key: &'a str,
    pub(crate) luna_url: &'a str,
    pub(crate) luna_key: &'a str,
    /// Where samples wait that could not be sent.
    pub(crate) state: &'a str,
    pub(crate) metrics_port: u16,
    pub(crate) hostname: Option<&'a str>,
}

#[cfg(feature = "lab")]
impl Lab {
    /// The configuration of the lab's agent: on loopback, asking nobody outside, whatever this machine's environment and files say.
    pub(crate) fn agent(&self, places: &LabPlaces<'_>) -> Result<Config, Refusal> {
        let interval = self.interval.as_secs().to_string();
        let push_interval = format!("{interval}s");
        let metrics_port = places.metrics_port.to_string();
        let mut set = vec![
            ("api-url", places.api_url),
            ("api-key", places.api_key),
            ("interval", interval.as_str()),
            ("push", "true"),
            ("push-url", places.luna_url),
            ("push-key", places.luna_key),
            ("push-interval", push_interval.as_str()),
            ("push-state-dir", places.state),
            ("metrics-address", "127.0.0.1"),
            ("metrics-port", metrics_port.as_str()),
            ("public-ip-lookup", "off"),
            ("log-level", "warn"),
        ];
        set.extend(places.hostname.map(|hostname| ("hostname", hostname)));
        let flags = |option: &Opt| {
            set.iter()
                .find(|(name, _)| *name == option.name)
                .map(|(_, value)| OsString::from(value))
        };
        let wanted = |option: &Opt| option.name != "config";
        Config::load(Role::Sigma, &wanted, &flags, &|_| None)
            .config
            .map_err(Refusal::Mistakes)
    }
}

/// Why the command line cannot be followed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The parser's own words, ready to print.
    Usage(String),
    Mistakes(Vec<Mistake>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text.trim_end()),
            Self::Mistakes(mistakes) => {
                let plural = if mistakes.len() == 1 { "" } else { "s" };
                writeln!(
                    f,
                    "sigma-agent: {} mistake{plural} in the configuration",
                    mistakes.len()
                )?;
                for mistake in mistakes {
                    writeln!(f, "  {mistake}")?;
                }
                f.write_str("Nothing was started. All options: sigma-agent --help")
            }
        }
    }
}

/// What was called, as what, and with which words.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The name of the program, as it was called.
    pub(crate) program: &'a OsStr,
    pub(crate) args: &'a [OsString],
    pub(crate) env: Env<'a>,
}

/// Understands a command line.
pub(crate) fn parse(call: Call<'_>) -> Result<Command, Refusal> {
    let role = Role::find(call.program, call.args, call.env)
        .map_err(|why| Refusal::Mistakes(vec![Mistake(why)]))?;
    let matches = arguments::command(role)
        .no_binary_name(true)
        .try_get_matches_from(arguments::as_this_role_writes_them(role, call.args));
    let matches = match matches {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(Refusal::Usage(usage(role, &error))),
        Err(error) => return Ok(Command::Print(error.to_string())),
    };
    let load = |matches: &ArgMatches, wanted: &dyn Fn(&Opt) -> bool| {
        load_with(role, matches, call.env, wanted, &|_| None)
    };
    let all = |_: &Opt| true;
    let running = |matches: &ArgMatches, wanted: &dyn Fn(&Opt) -> bool| {
        let config = load(matches, wanted).config.map_err(Refusal::Mistakes)?;
        Ok(Box::new(config))
    };
    match matches.subcommand() {
        #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
        Some(("info", sub)) => Ok(Command::Info {
            config: Box::new(idle(role, sub, call.env, &subcommands::about_host)?),
            json: sub.get_flag("json"),
        }),
        Some(("check", sub)) => {
            let loaded = load(sub, &all);
            Ok(Command::Check(Box::new(CheckWanted {
                role,
                config: loaded.config,
                settings: loaded.settings,
                json: sub.get_flag("json"),
            })))
        }
        Some(("health", sub)) => health(role, sub, call.env).map(Command::Health),
        #[cfg(feature = "terminal")]
        Some(("completions", sub)) => {
            let shell = sub
                .get_one::<String>("shell")
                .map_or("bash", String::as_str);
            Ok(Command::Print(completions::text(role, shell)))
        }
        #[cfg(feature = "terminal")]
        Some(("man", _)) => Ok(Command::Print(man::text(role))),
        #[cfg(feature = "sigma")]
        Some(("ports", sub)) => ports(role, sub, call.env).map(Command::Ports),
        #[cfg(feature = "luna")]
        Some(("backlog", sub)) => {
            let config = idle(role, sub, call.env, &subcommands::about_backlog)?;
            Ok(Command::Backlog(config.backlog))
        }
        #[cfg(feature = "aegis")]
        Some(("programs", sub)) => {
            let on = |option: &Opt| (option.name == "programs").then(|| OsString::from("true"));
            let wanted =
                |option: &Opt| option.name == "programs" || subcommands::about_pins(option);
            let load = |of: &ArgMatches| {
                let loaded = load_with(role, of, call.env, &wanted, &on);
                loaded.config.map_err(Refusal::Mistakes)
            };
            programs_command::wanted(sub, &load).map(Command::Programs)
        }
        #[cfg(feature = "lab")]
        Some(("lab", sub)) => lab(sub).map(Command::Lab),
        _ => running(&matches, &all).map(Command::Run),
    }
}

/// The parser's words, and where they do not say what to do, ours.
fn usage(role: Role, error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};

    let subcommand = error.get(ContextKind::InvalidSubcommand);
    match (error.kind(), subcommand) {
        (ErrorKind::ArgumentConflict, Some(ContextValue::String(name))) => format!(
            "error: options stand after the command: {} {name} [OPTIONS]\n",
            role.program()
        ),
        _ => error.to_string(),
    }
}

/// Loads the configuration once more, for a reload.
pub(crate) fn reload(call: Call<'_>) -> Result<Config, Refusal> {
    match parse(call)? {
        Command::Run(config) => Ok(*config),
        _ => Err(Refusal::Usage("only a running agent can reload".to_owned())),
    }
}

/// The configuration of a command that talks to no server: what is not sent needs no key.
fn idle(
    role: Role,
    matches: &ArgMatches,
    env: Env<'_>,
    wanted: &dyn Fn(&Opt) -> bool,
) -> Result<Config, Refusal> {
    const LOOPS: [&str; 3] = ["heartbeat", "push", "programs"];
    let off = |option: &Opt| {
        LOOPS
            .contains(&option.name)
            .then(|| OsString::from("false"))
    };
    let wanted = |option: &Opt| LOOPS.contains(&option.name) || wanted(option);
    load_with(role, matches, env, &wanted, &off)
        .config
        .map_err(Refusal::Mistakes)
}

fn health(role: Role, matches: &ArgMatches, env: Env<'_>) -> Result<HealthWanted, Refusal> {
    let text = matches
        .get_one::<OsString>("timeout")
        .map_or(OsStr::new("3"), OsString::as_os_str);
    let text = text.to_string_lossy();
    let timeout = values::duration(1..=60)(&text).map_err(|allowed| {
        Refusal::Mistakes(vec![Mistake(format!(
            "--timeout: {text:?} is not allowed; {allowed}"
        ))])
    })?;
    let config = idle(role, matches, env, &subcommands::about_health)?;
    Ok(HealthWanted {
        http: config.http,
        place: config.host,
        timeout,
        json: matches.get_flag("json"),
    })
}

/// The options of the port scan, as if it were switched on.
#[cfg(feature = "sigma")]
fn ports(role: Role, matches: &ArgMatches, env: Env<'_>) -> Result<PortsWanted, Refusal> {
    let range = matches.get_one::<OsString>("range");
    let wanted =
        |option: &Opt| option.section == section::PORTS || subcommands::about_ports(option);
    let loaded = load_with(role, matches, env, &wanted, &|option| match option.name {
        "port-scan" => Some(OsString::from("true")),
        "port-scan-range" => range.cloned(),
        _ => None,
    });
    let mut config = loaded.config.map_err(Refusal::Mistakes)?;
    let allocate = match matches.subcommand() {
        Some(("allocate", sub)) => sub.get_one::<usize>("count").copied(),
        _ => None,
    };
    let scan = config
        .scan
        .take()
        .ok_or_else(|| Refusal::Usage("the port scan is off".to_owned()))?;
    Ok(PortsWanted {
        scan,
        place: config.host,
        allocate,
        json: matches.get_flag("json"),
    })
}

/// Only the options that are `wanted` are taken from anywhere; `instead` comes before what the command line says.
fn load_with(
    role: Role,
    matches: &ArgMatches,
    env: Env<'_>,
    wanted: &dyn Fn(&Opt) -> bool,
    instead: &dyn Fn(&Opt) -> Option<OsString>,
) -> Loaded {
    let flags = |option: &Opt| {
        if let Some(text) = instead(option) {
            return Some(text);
        }
        let mut values = matches.try_get_raw(option.name).ok().flatten()?;
        // A switch without a value stands for `true`.
        Some(
            values
                .next_back()
                .map_or_else(|| OsString::from("true"), OsString::from),
        )
    };
    Config::load(role, wanted, &flags, env)
}

/// The names of the options that differ between two configurations and need a restart to take effect.
pub(crate) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut note = |changed: bool, options: &[&'static str]| {
        if changed {
            names.extend_from_slice(options);
        }
    };
    note(old.role != new.role, &["role"]);
    note(
        old.http != new.http,
        &[
            "metrics-port",
            "metrics-address",
            "http-token-file",
            "node-compat",
        ],
    );
    note(old.host != new.host, &["host-root", "host-proc"]);
    let log = |config: &Config| {
        (
            config.log.format,
            config.log.output,
            config.log.file.clone(),
        )
    };
    note(
        log(old) != log(new),
        &["log-format", "log-output", "log-file", "log-file-mib"],
    );
    #[cfg(feature = "sigma")]
    {
        note(old.sigma.is_some() != new.sigma.is_some(), &["heartbeat"]);
        note(
            old.scan != new.scan,
            &[
                "port-scan",
                "port-scan-range",
                "port-scan-interval",
                "port-scan-method",
                "port-scan-exclude",
                "port-scan-sources",
                "attribution",
            ],
        );
    }
    #[cfg(feature = "luna")]
    {
        note(old.push.is_some() != new.push.is_some(), &["push"]);
        note(
            old.backlog != new.backlog,
            &["push-backlog-mib", "push-backlog-age", "push-state-dir"],
        );
    }
    #[cfg(feature = "guest")]
    note(
        old.guest != new.guest,
        &["guest-api", "vm-id", "manager-url", "report-interface"],
    );
    #[cfg(feature = "aegis")]
    note(
        old.programs != new.programs,
        &[
            "programs",
            "host-id",
            "registry-url",
            "registry-token-file",
            "registry-ca",
            "registry-client-cert",
            "registry-client-key",
            "registry-env-proxy",
            "poll-interval",
            "signature-policy",
            "public-key",
            "vault-url",
            "vault-key",
            "vault-mount",
            "vault-token",
            "vault-token-file",
            "vault-namespace",
            "vault-cacert",
            "vault-refresh",
            "vault-max-age",
            "programs-plain-http",
            "cache-dir",
            "programs-state-dir",
            "pins-dir",
            "max-programs",
            "default-ttl",
            "protected-interfaces",
            "connectivity-guard",
            "rollback-max-errors",
            "rollback-max-violations",
            "rollback-max-cpu-percent",
            "rollback-max-latency-ms",
            "rollback-max-memory-kb",
            "rollback-verifier-failure",
            "rollback-check-interval",
            "rollback-delay",
            "rollback-counting",
            "rollback-mode",
            "nats-url",
            "telemetry-subject",
            "nats-credentials-file",
            "nats-token-file",
            "nats-nkey-file",
            "nats-user",
            "nats-password-file",
            "nats-ca",
            "nats-client-cert",
            "nats-client-key",
            "nats-jetstream",
            "nats-flat-subjects",
            "nats-commands-stream",
            "nats-commands-key",
        ],
    );
    names
}

#[cfg(feature = "lab")]
fn lab(matches: &ArgMatches) -> Result<Lab, Refusal> {
    let text = matches
        .get_one::<String>("interval")
        .map_or("5", String::as_str);
    let interval = values::duration(1..=150)(text).map_err(|allowed| {
        Refusal::Mistakes(vec![Mistake(format!(
            "--interval: {text:?} is not allowed; {allowed}"
        ))])
    })?;
    Ok(Lab {
        data: matches.get_one("data").cloned(),
        api_port: matches.get_one("api-port").copied(),
        interval,
    })
}

#[cfg(test)]
mod tests;
