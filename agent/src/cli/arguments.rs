//! The command line: options and subcommands, as clap wants them.

use std::ffi::OsString;
#[cfg(feature = "lab")]
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, ValueHint};

#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
use super::options::section;
use super::options::{self, Opt};
use super::role::Role;

const AFTER_HELP: &str = "\
Every option can stand in the environment or, with underscores, in the file:
flag over environment over file over default.
";

const EXIT_CODES: &str =
    "Exit codes: 0 stopped as asked, 1 could not run, 64 mistake in the configuration.";

fn examples(role: Role) -> &'static str {
    match role {
        Role::Sigma => {
            "
Examples:
  sigma-agent --api-url https://sigma.example/api --api-key-file /etc/sigma-agent/key
  sigma-agent check
  sigma-agent info --json
"
        }
        Role::Luna => {
            "
Examples:
  lunasentri-agent --config /etc/lunasentri/agent.yaml
  lunasentri-agent --server-url https://api.example --api-key-file /etc/lunasentri/key --interval 10s
  lunasentri-agent check
"
        }
        Role::Guest => {
            "
Examples:
  guest-agent
  guest-agent --metrics-port 8080,9000
  guest-agent check
"
        }
        Role::Aegis => {
            "
Examples:
  local-agent --host-id db-02 --registry-url https://registry.example --public-key KEY
  local-agent --config /etc/aegisflux/agent.yaml
  local-agent check
"
        }
    }
}

/// Go programs, and those who moved here from one, write `-name` for `--name`.
pub(super) fn as_this_role_writes_them(role: Role, args: &[OsString]) -> Vec<OsString> {
    let long = |arg: &OsString| {
        let text = arg.to_str()?;
        let name = text.strip_prefix('-')?.split('=').next()?;
        let word = name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        word.then(|| OsString::from(format!("-{text}")))
    };
    args.iter()
        .map(|arg| {
            long(arg)
                .filter(|_| role == Role::Luna)
                .unwrap_or_else(|| arg.clone())
        })
        .collect()
}

pub(super) fn command(role: Role) -> Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON");
    let check = Command::new("check")
        .about("Tell whether the agent would run well here: configuration, servers, rights, ports")
        .after_help("Exit codes: 0 all is well, 1 something should be looked at, 2 something will not work.")
        .args(arguments(role, &|_| true))
        .arg(json.clone());
    let name = role.program();
    let root = Command::new(name)
        .bin_name(name)
        .about(role.about())
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(format!("{AFTER_HELP}{}{EXIT_CODES}", examples(role)))
        .args(arguments(role, &|_| true))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(check);
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
    let root = root.subcommand(
        Command::new("info")
            .about("Show what the agent knows about this host, once")
            .args(arguments(role, &about_host))
            .arg(json.clone()),
    );
    #[cfg(feature = "sigma")]
    let root = root.subcommand(ports_command(role, json));
    #[cfg(feature = "luna")]
    let root = root.subcommand(
        Command::new("backlog")
            .about("Print the samples that could not be sent, one JSON object a line, oldest first")
            .args(arguments(role, &about_backlog)),
    );
    #[cfg(feature = "aegis")]
    let root = {
        let host: Vec<Arg> = arguments(role, &about_pins).collect();
        let state: Vec<Arg> = arguments(role, &about_state).collect();
        root.subcommand(super::programs_command::command(&host, &state))
    };
    #[cfg(feature = "lab")]
    let root = root.subcommand(lab_command());
    root
}

#[cfg(feature = "sigma")]
fn ports_command(role: Role, json: Arg) -> Command {
    let allocate = Command::new("allocate")
        .about("Print free ports, one a line")
        .arg(
            Arg::new("count")
                .value_name("N")
                .required(true)
                .value_parser(clap::value_parser!(usize))
                .help("How many, 1 to 100"),
        );
    Command::new("ports")
        .about("Show who has which port, once")
        .arg(
            Arg::new("range")
                .long("range")
                .value_name("START-END")
                .value_parser(clap::value_parser!(OsString))
                .global(true)
                .help("Ports to look at; default: --port-scan-range of the agent"),
        )
        .args(arguments(role, &about_ports).map(|argument| argument.global(true)))
        .arg(json.global(true))
        .subcommand(allocate)
}

#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
pub(super) fn about_host(option: &Opt) -> bool {
    [
        section::IDENTITY,
        section::ADDRESSES,
        section::HOST,
        section::GENERAL,
    ]
    .contains(&option.section)
}

#[cfg(feature = "sigma")]
pub(super) fn about_ports(option: &Opt) -> bool {
    [section::PORTS, section::HOST, section::GENERAL].contains(&option.section)
        && !matches!(
            option.name,
            "port-scan" | "port-scan-range" | "port-scan-interval"
        )
}

#[cfg(feature = "luna")]
pub(super) fn about_backlog(option: &Opt) -> bool {
    option.section == section::GENERAL
        || matches!(
            option.name,
            "push-state-dir" | "push-backlog-mib" | "push-backlog-age"
        )
}

/// Where programs and the kernel's files are.
#[cfg(feature = "aegis")]
pub(super) fn about_pins(option: &Opt) -> bool {
    [section::HOST, section::GENERAL].contains(&option.section) || option.name == "pins-dir"
}

/// Where the kernel's files and what is remembered of programs are.
#[cfg(feature = "aegis")]
pub(super) fn about_state(option: &Opt) -> bool {
    [section::HOST, section::GENERAL].contains(&option.section)
        || option.name == "programs-state-dir"
}

fn arguments(role: Role, wanted: &dyn Fn(&Opt) -> bool) -> impl Iterator<Item = Arg> {
    let wanted: Vec<Arg> = options::all()
        .filter(|option| wanted(option))
        .map(|option| argument(role, option))
        .collect();
    wanted.into_iter()
}

fn argument(role: Role, option: &'static Opt) -> Arg {
    let mut help = option.help.to_owned();
    let default = option.default(role);
    if !default.is_empty() && (option.value.is_some() || default == "true") {
        help.push_str(&format!(" [default: {default}]"));
    }
    let variables: Vec<&str> = option.variables(role).collect();
    help.push_str(&format!(" [env: {}]", variables.join(", ")));
    let argument = Arg::new(option.name)
        .long(option.name(role))
        .help(help)
        .hide_short_help(!option.section.is_main(role))
        .help_heading(option.section.title);
    let argument = match option.other_name(role) {
        Some(name) => argument.alias(name),
        None => argument,
    };
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
fn lab_command() -> Command {
    Command::new("lab")
        .about("Run a small Sigma API and LunaSentri server for this machine alone, with an agent beside them, on loopback")
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
