//! Flags, environment and file → what to do; the only place that knows names of options and their defaults.

mod config;
mod file;
mod layers;
mod options;
mod values;

use std::ffi::OsString;
use std::fmt;
#[cfg(feature = "lab")]
use std::path::PathBuf;
#[cfg(feature = "lab")]
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, ValueHint};

pub(crate) use config::{
    Addresses, Api, Attribution, Config, FirstContact, HostPlace, Http, KeySource, LogFormat,
    Lookup, Scan,
};
pub(crate) use layers::{Env, Mistake};
#[cfg(test)]
use options::Reload;
use options::{OPTIONS, Opt, Section};
pub(crate) use values::sigma_reserved;

/// What the process is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the agent until it is told to stop.
    Run(Box<Config>),
    /// Show this host once.
    Info { config: Box<Config>, json: bool },
    /// Show the ports of this host once, or hand out free ones.
    Ports(PortsWanted),
    /// Run a small Sigma API with an agent beside it.
    #[cfg(feature = "lab")]
    Lab(Lab),
    /// Print this text and stop: help or version.
    Print(String),
}

/// What `sigma-agent ports` is to do.
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

#[cfg(feature = "lab")]
impl Lab {
    /// The configuration of the lab's agent: on loopback, asking nobody outside, whatever this machine's environment and files say.
    pub(crate) fn agent(
        &self,
        api_url: &str,
        api_key: &str,
        metrics_port: u16,
        hostname: Option<&str>,
    ) -> Result<Config, Refusal> {
        let interval = self.interval.as_secs().to_string();
        let metrics_port = metrics_port.to_string();
        let mut set = vec![
            ("api-url", api_url),
            ("api-key", api_key),
            ("interval", interval.as_str()),
            ("metrics-address", "127.0.0.1"),
            ("metrics-port", metrics_port.as_str()),
            ("public-ip-lookup", "off"),
            ("log-level", "warn"),
        ];
        set.extend(hostname.map(|hostname| ("hostname", hostname)));
        let flags = |option: &Opt| {
            set.iter()
                .find(|(name, _)| *name == option.name)
                .map(|(_, value)| OsString::from(value))
        };
        Config::load(&|option| option.name != "config", &flags, &|_| None)
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

/// Understands a command line: `args` without the program's name.
pub(crate) fn parse(args: &[OsString], env: Env<'_>) -> Result<Command, Refusal> {
    let matches = match command().no_binary_name(true).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(Refusal::Usage(error.to_string())),
        Err(error) => return Ok(Command::Print(error.to_string())),
    };
    match matches.subcommand() {
        Some(("info", sub)) => {
            let config = load_with(sub, env, &about_host, &|_| None)?;
            Ok(Command::Info {
                config: Box::new(config),
                json: sub.get_flag("json"),
            })
        }
        Some(("ports", sub)) => ports(sub, env).map(Command::Ports),
        #[cfg(feature = "lab")]
        Some(("lab", sub)) => lab(sub).map(Command::Lab),
        _ => load(&matches, env).map(|config| Command::Run(Box::new(config))),
    }
}

/// Loads the configuration of `args` once more, for a reload.
pub(crate) fn reload(args: &[OsString], env: Env<'_>) -> Result<Config, Refusal> {
    match parse(args, env)? {
        Command::Run(config) => Ok(*config),
        _ => Err(Refusal::Usage("only a running agent can reload".to_owned())),
    }
}

/// The options of the port scan, as if it were switched on.
fn ports(matches: &ArgMatches, env: Env<'_>) -> Result<PortsWanted, Refusal> {
    let range = matches.get_one::<OsString>("range");
    let wanted = |option: &Opt| option.section == Section::Ports || about_ports(option);
    let mut config = load_with(matches, env, &wanted, &|option| match option.name {
        "port-scan" => Some(OsString::from("true")),
        "port-scan-range" => range.cloned(),
        _ => None,
    })?;
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

fn load(matches: &ArgMatches, env: Env<'_>) -> Result<Config, Refusal> {
    load_with(matches, env, &|_| true, &|_| None)
}

/// Only the options that are `wanted` are taken from anywhere; `instead` comes before what the command line says.
fn load_with(
    matches: &ArgMatches,
    env: Env<'_>,
    wanted: &dyn Fn(&Opt) -> bool,
    instead: &dyn Fn(&Opt) -> Option<OsString>,
) -> Result<Config, Refusal> {
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
    Config::load(wanted, &flags, env).map_err(Refusal::Mistakes)
}

/// The names of the options that differ between two configurations and need a restart to take effect.
pub(crate) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        (
            old.http != new.http,
            [
                "metrics-port",
                "metrics-address",
                "http-token-file",
                "node-compat",
            ]
            .as_slice(),
        ),
        (
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
        ),
        (old.host != new.host, &["host-root", "host-proc"]),
        (old.log.format != new.log.format, &["log-format"]),
    ];
    changed
        .into_iter()
        .filter(|(changed, _)| *changed)
        .flat_map(|(_, names)| names.iter().copied())
        .collect()
}

const AFTER_HELP: &str = "\
Every option can stand in the environment or, with underscores, in the file:
flag over environment over file over default.

Examples:
  sigma-agent --api-url https://sigma.example/api --api-key-file /etc/sigma-agent/key
  sigma-agent info --json
Exit codes: 0 stopped as asked, 1 could not run, 64 mistake in the configuration.";

fn command() -> clap::Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON");
    let info = clap::Command::new("info")
        .about("Show what the agent knows about this host, once")
        .args(
            OPTIONS
                .iter()
                .filter(|option| about_host(option))
                .map(argument),
        )
        .arg(json.clone());
    let ports = clap::Command::new("ports")
        .about("Show who has which port, once")
        .arg(
            Arg::new("range")
                .long("range")
                .value_name("START-END")
                .value_parser(clap::value_parser!(OsString))
                .global(true)
                .help("Ports to look at; default: --port-scan-range of the agent"),
        )
        .args(
            OPTIONS
                .iter()
                .filter(|option| about_ports(option))
                .map(|option| argument(option).global(true)),
        )
        .arg(json.clone().global(true))
        .subcommand(
            clap::Command::new("allocate")
                .about("Print free ports, one a line")
                .arg(
                    Arg::new("count")
                        .value_name("N")
                        .required(true)
                        .value_parser(clap::value_parser!(usize))
                        .help("How many, 1 to 100"),
                ),
        );
    let root = clap::Command::new("sigma-agent")
        .bin_name("sigma-agent")
        .about("Registers this host with a Sigma API, sends heartbeats, scans and hands out ports, and serves metrics over HTTP.")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
        .args(OPTIONS.iter().map(argument))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(info)
        .subcommand(ports);
    #[cfg(feature = "lab")]
    let root = root.subcommand(lab_command());
    root
}

fn about_host(option: &Opt) -> bool {
    matches!(
        option.section,
        Section::Identity | Section::Addresses | Section::Host | Section::General
    )
}

fn about_ports(option: &Opt) -> bool {
    matches!(
        option.section,
        Section::Ports | Section::Host | Section::General
    ) && !matches!(
        option.name,
        "port-scan" | "port-scan-range" | "port-scan-interval"
    )
}

fn argument(option: &'static Opt) -> Arg {
    let mut help = option.help.to_owned();
    if !option.default.is_empty() && option.value.is_some() {
        help.push_str(&format!(" [default: {}]", option.default));
    }
    help.push_str(&format!(" [env: {}]", option.env));
    let argument = Arg::new(option.name)
        .long(option.name)
        .help(help)
        .help_heading(option.section.title());
    let argument = match option.value {
        // `--switch` and `--switch=false` both work.
        None => argument
            .num_args(0..=1)
            .require_equals(true)
            .value_name("BOOL"),
        Some(value) => argument
            .num_args(1)
            .value_name(value)
            .value_hint(if value == "FILE" {
                ValueHint::FilePath
            } else {
                ValueHint::Unknown
            }),
    };
    // The value parser takes any bytes, so that our own words tell what is wrong with them.
    argument
        .action(ArgAction::Set)
        .allow_hyphen_values(true)
        .value_parser(clap::value_parser!(OsString))
}

#[cfg(feature = "lab")]
fn lab_command() -> clap::Command {
    clap::Command::new("lab")
        .about("Run a small Sigma API for this machine alone, with an agent beside it, on loopback")
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Keep the database in this folder; default: in memory"),
        )
        .arg(
            Arg::new("api-port")
                .long("api-port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16))
                .help(
                    "Port of the API on 127.0.0.1; default: 3000, or a free one if that is taken",
                ),
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .default_value("5")
                .help("Heartbeat interval of the lab's agent"),
        )
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
