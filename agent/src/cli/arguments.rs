//! The command line as clap wants it: the options of the table, and the subcommands beside them.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, ValueHint};

use super::help::{EXITS, Words};
use super::options::{self, Opt};
use super::role::Role;
use super::subcommands;

const LAYERS: &str = "\
Every option can stand in the environment or, with underscores, in the file:
flag over environment over file over default.";

/// Lines longer than this are hard to read, however wide the terminal is.
#[cfg(feature = "terminal")]
const WIDEST: usize = 110;

fn examples(role: Role) -> &'static str {
    match role {
        Role::Sigma => {
            "\
{agent} --api-url https://sigma.example/api --api-key-file /etc/sigma-agent/key
{agent} check
{agent} info --json"
        }
        Role::Luna => {
            "\
{agent} --config /etc/lunasentri/agent.yaml
{agent} --server-url https://api.example --api-key-file /etc/lunasentri/key --interval 10s
{agent} check"
        }
        Role::Guest => {
            "\
{agent}
{agent} --metrics-port 8080,9000
{agent} check"
        }
        Role::Aegis => {
            "\
{agent} --host-id db-02 --registry-url https://registry.example --public-key KEY
{agent} --config /etc/aegisflux/agent.yaml
{agent} check"
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
    let name = role.program();
    let root = Command::new(name)
        .bin_name(name)
        .about(role.about())
        .version(env!("CARGO_PKG_VERSION"))
        .args(arguments(role, &|_| true))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(subcommands::all(role));
    #[cfg(feature = "terminal")]
    let root = root.max_term_width(WIDEST);
    let words = Words {
        notes: LAYERS,
        examples: examples(role),
        exits: EXITS,
    };
    words.below(root, name)
}

/// The options that are `wanted`, as arguments.
pub(super) fn arguments(role: Role, wanted: &dyn Fn(&Opt) -> bool) -> Vec<Arg> {
    options::all()
        .filter(|option| wanted(option))
        .map(|option| argument(role, option))
        .collect()
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
            .value_hint(match value {
                "FILE" => ValueHint::FilePath,
                "DIR" => ValueHint::DirPath,
                _ => ValueHint::Unknown,
            }),
    };
    // The value parser takes any bytes, so that our own words tell what is wrong with them.
    argument
        .action(ArgAction::Set)
        .allow_hyphen_values(true)
        .value_parser(clap::value_parser!(OsString))
}
