//! The manual page, made from the same tables as parser and help.

mod roff;
mod words;

use clap::{Arg, Command};

use super::arguments;
use super::help::EXITS;
use super::options::{self, Opt, Reload};
use super::role::Role;
use roff::Page;

/// The day on which the words of the page last changed: a page of the same source is the same everywhere.
const CHANGED: &str = "2026-11-27";

/// The page of the program in this role.
pub(super) fn text(role: Role) -> String {
    let name = role.program();
    let mut page = Page::new(name, CHANGED, env!("CARGO_PKG_VERSION"));
    page.section("NAME");
    page.line(&format!("{name} \\- {}", roff::escaped(about(role))));
    let mut command = arguments::command(role);
    command.build();
    synopsis(&mut page, name, &command);
    page.section("DESCRIPTION");
    page.paragraph(role.about());
    page.paragraphs(words::DESCRIPTION);
    roles(&mut page, role);
    page.section("COMMANDS");
    page.paragraph(
        "Each takes the options of the agent that it is about, after its name; --help has them.",
    );
    for sub in command.get_subcommands() {
        subcommand(&mut page, &format!("{name} {}", sub.get_name()), sub);
    }
    page.section("OPTIONS");
    page.paragraphs(words::OPTIONS);
    table(&mut page, role);
    page.section("FILES");
    for (path, what) in words::files(role) {
        page.tagged(&path, what);
    }
    page.section("ENVIRONMENT");
    page.paragraph("Every option has a variable, named above. Besides:");
    for (names, what) in words::ENVIRONMENT {
        page.tagged(names, what);
    }
    page.section("EXIT STATUS");
    for (code, meaning) in EXITS {
        page.tagged(&code.to_string(), meaning);
    }
    page.paragraph("check and health have codes of their own, told above.");
    page.section("SIGNALS");
    for (signal, what) in words::SIGNALS {
        page.tagged(signal, what);
    }
    page.section("EXAMPLES");
    for (what, lines) in words::examples(role) {
        page.paragraph(what);
        page.verbatim(lines);
    }
    page.section("SEE ALSO");
    see_also(&mut page, role);
    page.finish()
}

/// The first sentence, as whatis(1) lists it.
fn about(role: Role) -> &'static str {
    let about = role.about();
    about.strip_suffix('.').unwrap_or(about)
}

fn synopsis(page: &mut Page, name: &str, command: &Command) {
    page.section("SYNOPSIS");
    page.line(&format!(".B {}", roff::escaped(name)));
    page.line(".RI [ option ...]");
    for sub in command.get_subcommands() {
        page.line(".br");
        let called = format!("{name} {}", sub.get_name());
        page.line(&format!(".B {}", roff::escaped(&called)));
        if sub.is_subcommand_required_set() {
            page.line(".I command");
        }
        for argument in sub.get_positionals() {
            page.line(&format!(".I {}", roff::escaped(&spelt(argument))));
        }
        page.line(".RI [ option ...]");
    }
}

fn roles(page: &mut Page, own: Role) {
    page.section("ROLES");
    page.paragraph("A role is a set of defaults. --role, else AGENT_ROLE, else the name that the program is called by chooses it; everything can be set on top, and every loop switched on in every role.");
    for role in Role::ALL.into_iter().filter(|role| role.is_built_in()) {
        let here = if role == own { "This page. " } else { "" };
        page.tagged(
            &format!("{} (called as {})", role.as_str(), role.program()),
            &format!("{here}{}", role.about()),
        );
    }
}

/// A command, what only it takes, and its own commands.
fn subcommand(page: &mut Page, called: &str, command: &Command) {
    page.subsection(called);
    if let Some(about) = command.get_about() {
        page.paragraph(&format!("{about}."));
    }
    for argument in command.get_arguments().filter(|argument| is_own(argument)) {
        let help = argument.get_help().map(ToString::to_string);
        page.tagged(&spelt(argument), &help.unwrap_or_default());
    }
    if let Some(text) = command.get_after_long_help() {
        page.help(&text.to_string());
    }
    for sub in command.get_subcommands() {
        subcommand(page, &format!("{called} {}", sub.get_name()), sub);
    }
}

/// Whether an argument is no option of the agent, and not the way to help.
fn is_own(argument: &Arg) -> bool {
    let id = argument.get_id().as_str();
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let of_agent = options::find(id).is_some_and(|option| help.starts_with(option.help));
    !of_agent && !matches!(id, "help" | "version")
}

fn spelt(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .and_then(<[_]>::first);
    let name = argument.get_long().map(|long| format!("--{long}"));
    match (name, value) {
        (Some(name), Some(value)) => format!("{name} {value}"),
        (Some(name), None) => name,
        (None, value) => value.map(ToString::to_string).unwrap_or_default(),
    }
}

fn table(page: &mut Page, role: Role) {
    let mut section = None;
    for option in options::all() {
        if section.replace(option.section) != Some(option.section) {
            page.subsection(option.section.title);
        }
        let name = option.name(role);
        let tag = match option.value {
            Some(value) => format!("--{name} {value}"),
            None => format!("--{name}[=BOOL]"),
        };
        page.tagged(&tag, option.help);
        page.beside(&given(role, option));
    }
}

/// Where an option's value comes from, and when a new one counts.
fn given(role: Role, option: &Opt) -> String {
    let variables: Vec<&str> = option.variables(role).collect();
    let mut text = match option.default(role) {
        "" => String::new(),
        default => format!("Default: {default}. "),
    };
    text.push_str(&format!("Environment: {}", variables.join(", ")));
    if option.stands_in_file() {
        text.push_str(&format!("; file: {}", option.key(role)));
    }
    text.push_str(match option.reload {
        Reload::Live => ".",
        Reload::Restart => "; a change needs a restart.",
    });
    text
}

fn see_also(page: &mut Page, own: Role) {
    let others = Role::ALL
        .into_iter()
        .filter(|role| *role != own && role.is_built_in())
        .map(Role::program);
    for other in others {
        page.line(&format!(".BR {} (8),", roff::escaped(other)));
    }
    page.line(".BR systemctl (1),");
    page.line(".BR capabilities (7)");
}
