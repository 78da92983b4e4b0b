//! The subcommands: what each is about, which options it takes, and what its help says.

use std::ffi::OsString;
#[cfg(feature = "lab")]
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use super::arguments::arguments;
#[cfg(feature = "terminal")]
use super::help::EXITS;
use super::help::{CHECK_EXITS, Exits, HEALTH_EXITS, Words};
use super::options::{Opt, section};
use super::role::Role;

/// Every subcommand that this program was built with, in the order of the help.
pub(super) fn all(role: Role) -> Vec<Command> {
    vec![
        check(role),
        health(role),
        #[cfg(feature = "terminal")]
        info(role),
        #[cfg(feature = "sigma")]
        ports(role),
        #[cfg(feature = "luna")]
        backlog(role),
        #[cfg(feature = "aegis")]
        super::programs_command::command(role.program(), &short(arguments(role, &about_pins))),
        #[cfg(feature = "lab")]
        lab(role),
        #[cfg(feature = "terminal")]
        completions(role),
        #[cfg(feature = "terminal")]
        man(role),
    ]
}

/// A command with options of the agent, which `-h` leaves to `--help`.
fn subcommand(
    role: Role,
    name: &'static str,
    about: &'static str,
    wanted: &dyn Fn(&Opt) -> bool,
    words: Words,
) -> Command {
    let command = Command::new(name)
        .about(about)
        .args(short(arguments(role, wanted)));
    words.below(command, role.program())
}

fn short(arguments: Vec<Arg>) -> Vec<Arg> {
    let hidden = arguments.into_iter().map(|one| one.hide_short_help(true));
    hidden.collect()
}

fn words(notes: &'static str, examples: &'static str, exits: Exits) -> Words {
    Words {
        notes,
        examples,
        exits,
    }
}

fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON")
}

fn check(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} check
{agent} check --config new.yaml
{agent} check --json | jq '.findings[] | select(.verdict != \"ok\")'";
    subcommand(
        role,
        "check",
        "Tell whether the agent would run well here: configuration, servers, rights, ports",
        &|_| true,
        words(
            "Takes the options of the agent, and changes nothing: not even a sample is sent.",
            EXAMPLES,
            CHECK_EXITS,
        ),
    )
    .arg(json())
}

fn health(role: Role) -> Command {
    const NOTES: &str = "\
Asks GET /healthz, which wants no token, of each port in turn, on this host; the first agent that answers decides. The port is found as the \
agent finds it, by options, environment and file: what the agent was given by options, give here too.

Without a port (role luna has none by itself) it can only see whether an agent runs, and says so.";
    const EXAMPLES: &str = "\
{agent} health
{agent} health --metrics-port 9200 --timeout 1
HEALTHCHECK CMD [\"/sigma-agent\", \"health\"]        # in a Dockerfile";
    subcommand(
        role,
        "health",
        "Ask the agent that runs here whether it is well, for health checks of containers",
        &about_health,
        words(NOTES, EXAMPLES, HEALTH_EXITS),
    )
    .arg(
        Arg::new("timeout")
            .long("timeout")
            .value_name("SECONDS")
            .value_parser(clap::value_parser!(OsString))
            .help("How long all of it may take, 1 to 60 [default: 3]"),
    )
    .arg(json())
}

#[cfg(feature = "terminal")]
fn info(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} info
{agent} info --json | jq .memory.available_bytes
{agent} info --host-root /host";
    subcommand(
        role,
        "info",
        "Show what the agent knows about this host, once",
        &about_host,
        words("Asks no server and opens no port.", EXAMPLES, EXITS),
    )
    .arg(json())
}

#[cfg(feature = "sigma")]
fn ports(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} ports
{agent} ports --range 1-65535
{agent} ports --json | jq .summary
{agent} ports allocate 3";
    const ALLOCATE: &str = "\
port=$({agent} ports allocate 1)
{agent} ports allocate 3 --range 20000-21000 --json";
    let given: Vec<Arg> = short(arguments(role, &about_ports));
    let count = Arg::new("count")
        .value_name("N")
        .required(true)
        .value_parser(clap::value_parser!(usize))
        .help("How many, 1 to 100");
    let allocate = words(
        "Each was proved free a moment ago, TCP and UDP; it is not kept for you: take it soon.",
        ALLOCATE,
        EXITS,
    )
    .below(
        Command::new("allocate")
            .about("Print free ports, one a line")
            .arg(count),
        role.program(),
    );
    let range = Arg::new("range")
        .long("range")
        .value_name("START-END")
        .value_parser(clap::value_parser!(OsString))
        .global(true)
        .help("Ports to look at; default: --port-scan-range of the agent");
    let command = Command::new("ports")
        .about("Show who has which port, once")
        .arg(range)
        .args(given.into_iter().map(|argument| argument.global(true)))
        .arg(json().global(true))
        .disable_help_subcommand(true)
        .subcommand(allocate);
    words(
        "Binds and listens on nothing but ports whose state only a bind can tell.\n\nOwners of other users take root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.",
        EXAMPLES,
        EXITS,
    )
    .below(command, role.program())
}

#[cfg(feature = "luna")]
fn backlog(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} backlog
{agent} backlog | jq -r .timestamp | tail -1
{agent} backlog --push-state-dir /var/lib/lunasentri > outage.jsonl";
    subcommand(
        role,
        "backlog",
        "Print the samples that could not be sent, one JSON object a line, oldest first",
        &about_backlog,
        words(
            "Removes nothing; the agent may be running.",
            EXAMPLES,
            EXITS,
        ),
    )
}

#[cfg(feature = "terminal")]
fn completions(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} completions bash > /etc/bash_completion.d/{agent}
{agent} completions zsh  > /usr/local/share/zsh/site-functions/_{agent}
{agent} completions fish > /etc/fish/completions/{agent}.fish
source <({agent} completions bash)                  # for this shell alone";
    subcommand(
        role,
        "completions",
        "Print what completes this program's options and commands in a shell",
        &is_role,
        words(
            "For the name that the program has in a role: --role luna prints those of lunasentri-agent.",
            EXAMPLES,
            EXITS,
        ),
    )
    .arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .value_parser(super::completions::SHELLS)
            .help("Which shell"),
    )
}

#[cfg(feature = "terminal")]
fn man(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} man | man -l -
{agent} man > /usr/local/share/man/man8/{agent}.8
sigma-agent man --role luna > /usr/local/share/man/man8/lunasentri-agent.8";
    subcommand(
        role,
        "man",
        "Print the manual page of this program in this role",
        &is_role,
        words("", EXAMPLES, EXITS),
    )
}

#[cfg(feature = "lab")]
fn lab(role: Role) -> Command {
    const EXAMPLES: &str = "\
{agent} lab
{agent} lab --data lab.d --api-port 3100";
    let command = Command::new("lab")
        .about("Run a small Sigma API and LunaSentri server for this machine alone, with an agent beside them, on loopback")
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .value_hint(clap::ValueHint::DirPath)
                .help("Keep the database in this folder; default: in memory"),
        )
        .arg(
            Arg::new("api-port")
                .long("api-port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16))
                .help("Port of the API on 127.0.0.1; default: 3000, or a free one if that is taken"),
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .default_value("5")
                .help("Heartbeat interval of the lab's agent"),
        );
    words("", EXAMPLES, EXITS).below(command, role.program())
}

/// Where the agent's own server is; its health page asks for no token.
pub(super) fn about_health(option: &Opt) -> bool {
    section::GENERAL == option.section
        || matches!(
            option.name,
            "metrics-port" | "metrics-address" | "host-root" | "host-proc"
        )
}

#[cfg(feature = "terminal")]
fn is_role(option: &Opt) -> bool {
    option.name == "role"
}

#[cfg(feature = "terminal")]
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
