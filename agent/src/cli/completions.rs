//! What completes the command line in a shell, made from the table of options.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};
use clap_complete::{Generator, generate, shells};

use super::arguments;
use super::options;
use super::role::Role;

/// The shells there are completions for.
pub(super) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The text for one of [`SHELLS`].
pub(super) fn text(role: Role, shell: &str) -> String {
    let command = for_shells(arguments::command(role));
    let name = role.program();
    match shell {
        "zsh" => generated(shells::Zsh, command, name),
        "fish" => fish(command, name),
        _ => bash(command, name),
    }
}

/// The generator loses its way through commands of a program with a hyphen in its name (clap's issue 6421), so it hears of one without.
fn bash(command: Command, name: &str) -> String {
    let plain = name.replace('-', "_");
    let text = generated(shells::Bash, command, &plain);
    // Where the program itself is meant, and not a function.
    text.replace(&format!(" {plain}\n"), &format!(" {name}\n"))
}

/// The generator takes an option that still lacks its value for a mistake, and then offers files alone.
fn fish(command: Command, name: &str) -> String {
    let text = generated(shells::Fish, command, name);
    text.replacen("    or return\n", "    or return 0\n", 1)
}

fn generated(shell: impl Generator, mut command: Command, name: &str) -> String {
    let mut text = Vec::new();
    generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The same command with what shells can make use of: the values of choices, and short words.
fn for_shells(command: Command) -> Command {
    command.mut_args(argument).mut_subcommands(for_shells)
}

fn argument(argument: Arg) -> Arg {
    let id = argument.get_id().to_string();
    // The help of an option is its line in the table, and more: default and variable.
    let own = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let argument = match options::find(&id).filter(|option| own.starts_with(option.help)) {
        Some(option) => argument.help(first_clause(option.help)),
        None => argument,
    };
    let names = argument.get_value_names().and_then(<[_]>::first);
    let value = names.map(ToString::to_string).unwrap_or_default();
    if value == "BOOL" {
        // Alone it means on; what is to be off is written out by those who know.
        return argument
            .num_args(0)
            .require_equals(false)
            .allow_hyphen_values(false)
            .action(ArgAction::SetTrue);
    }
    match choices(&value) {
        Some(choices) => argument.value_parser(PossibleValuesParser::new(choices)),
        None => argument,
    }
}

/// `auto|human|json` as the words that it offers.
fn choices(value: &str) -> Option<Vec<String>> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let words: Vec<String> = value.split('|').map(str::to_owned).collect();
    (words.len() > 1 && words.iter().all(|one| word(one))).then_some(words)
}

/// Lists of a shell have room for one line.
fn first_clause(help: &'static str) -> &'static str {
    help.split(';').next().unwrap_or(help)
}
