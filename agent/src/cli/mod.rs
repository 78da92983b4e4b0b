//! Flags, environment and file → what to do; the only place that knows names of options and their defaults.

#[cfg(feature = "terminal")]
mod about;
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
mod spelling;
mod subcommands;
mod values;
mod wanted;

use std::ffi::{OsStr, OsString};
use std::fmt;
#[cfg(feature = "lab")]
use std::path::PathBuf;
#[cfg(feature = "lab")]
use std::time::Duration;

use clap::ArgMatches;

pub(crate) use config::*;
pub(crate) use layers::{Env, Mistake, Origin, Setting};
use options::Opt;
#[cfg(feature = "sigma")]
pub(crate) use options::flag;
pub(crate) use role::Role;
pub(crate) use values::sigma_reserved;
pub(crate) use wanted::*;

/// What the process is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the agent until it is told to stop.
    Run(Box<Config>),
    /// Show this host once.
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
    Info { config: Box<Config>, json: bool },
    /// Show what the agent would tell others about this host.
    #[cfg(feature = "terminal")]
    Once(Box<OnceWanted>),
    /// Tell whether the agent would run well here with this configuration.
    Check(Box<CheckWanted>),
    /// Ask the agent that runs here whether it is well.
    #[cfg(feature = "terminal")]
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
            ("port-scan", "true"),
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
                f.write_str(
                    "Nothing was started. --help has all options, docs/CONFIG.md explains them",
                )
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
    /// The names of all variables there are.
    #[cfg(feature = "terminal")]
    pub(crate) variables: &'a dyn Fn() -> Vec<OsString>,
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
        Err(error) if error.use_stderr() => {
            return Err(Refusal::Usage(spelling::usage(role, call.args, &error)));
        }
        Err(error) => return Ok(Command::Print(error.to_string())),
    };
    let load = |matches: &ArgMatches, wanted: &dyn Fn(&Opt) -> bool| {
        load_with(role, matches, call.env, wanted, &|_| None)
    };
    let all = |_: &Opt| true;
    let running = |matches: &ArgMatches, wanted: &dyn Fn(&Opt) -> bool| {
        let mut config = load(matches, wanted).config.map_err(Refusal::Mistakes)?;
        spelling::warn_of_variables(call, role, &mut config);
        Ok(Box::new(config))
    };
    match matches.subcommand() {
        #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
        Some(("info", sub)) => Ok(Command::Info {
            config: Box::new(wanted::idle(role, sub, call.env, &about::host)?),
            json: sub.get_flag("json"),
        }),
        Some(("check", sub)) => {
            let mut loaded = load(sub, &all);
            if let Ok(config) = &mut loaded.config {
                spelling::warn_of_variables(call, role, config);
            }
            Ok(Command::Check(Box::new(CheckWanted {
                role,
                config: loaded.config,
                settings: loaded.settings,
                json: sub.get_flag("json"),
            })))
        }
        #[cfg(feature = "terminal")]
        Some(("once", sub)) => wanted::once(role, sub, call.env),
        #[cfg(feature = "terminal")]
        Some(("health", sub)) => wanted::health(role, sub, call.env).map(Command::Health),
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
        Some(("ports", sub)) => wanted::ports(role, sub, call.env).map(Command::Ports),
        #[cfg(feature = "luna")]
        Some(("backlog", sub)) => {
            let config = wanted::idle(role, sub, call.env, &about::backlog)?;
            Ok(Command::Backlog(config.backlog))
        }
        #[cfg(feature = "aegis")]
        Some(("programs", sub)) => {
            let on = |option: &Opt| (option.name == "programs").then(|| OsString::from("true"));
            let wanted = |option: &Opt| {
                let about = about::pins(option) || about::state(option);
                about || option.name == "programs"
            };
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

/// Loads the configuration once more, for a reload.
pub(crate) fn reload(call: Call<'_>) -> Result<Config, Refusal> {
    match parse(call)? {
        Command::Run(config) => Ok(*config),
        _ => Err(Refusal::Usage("only a running agent can reload".to_owned())),
    }
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
    #[cfg(feature = "sandbox")]
    note(old.sandbox != new.sandbox, &["sandbox"]);
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
            "vault-kv-path",
            "vault-kv-field",
            "vault-kv-mount",
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
