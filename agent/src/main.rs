//! sigma-agent: one host agent for every Linux server and micro-VM.

mod agent;
mod app;
mod ask;
mod check;
mod cli;
mod clock;
#[cfg(feature = "terminal")]
mod health;
#[cfg(feature = "page")]
mod history;
mod http;
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
mod info;
mod keyfile;
#[cfg(feature = "lab")]
mod lab;
mod logfile;
mod logging;
mod loops;
mod notify;
#[cfg(feature = "terminal")]
mod once;
mod place;
#[cfg(feature = "sigma")]
mod ports;
mod process;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
mod secret;
#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
mod servers;
mod shared;
#[cfg(feature = "sigma")]
mod show_ports;
#[cfg(feature = "sigma")]
mod snapshot;
#[cfg(feature = "sigma")]
mod ss_owners;
mod table;
#[cfg(feature = "terminal")]
mod terminal;
#[cfg(not(feature = "terminal"))]
#[path = "no_terminal.rs"]
mod terminal;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use check::Verdict;
use cli::{Call, Command};
use terminal::Progress;

/// A mistake in the configuration: EX_USAGE of sysexits.h.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let (program, args) = words
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(program, args)| {
            (program.as_os_str(), args)
        });
    let env = |name: &str| std::env::var_os(name);
    let call = Call {
        program,
        args,
        env: &env,
        #[cfg(feature = "terminal")]
        variables: &|| std::env::vars_os().map(|(name, _)| name).collect(),
    };
    match cli::parse(call) {
        Ok(command) => run(command, call),
        Err(refusal) => {
            complain(&refusal);
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn run(command: Command, call: Call<'_>) -> ExitCode {
    match command {
        Command::Print(text) => say(&text),
        #[cfg(feature = "terminal")]
        Command::Health(wanted) => {
            let told = health::run(&wanted);
            say_and(&told.text, told.healthy)
        }
        #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
        Command::Info { config, json } => say(&info::describe(&config, json)),
        #[cfg(feature = "terminal")]
        Command::Once(wanted) => {
            let text = watched(call, |progress| once::run(*wanted, progress));
            say_or_fail(text)
        }
        Command::Check(wanted) => match watched(call, |progress| {
            check::run(&wanted, terminal::has_colours(call.env), progress)
        }) {
            Ok(report) => {
                let told = say(&report.text);
                if told == ExitCode::SUCCESS {
                    ExitCode::from(match report.verdict {
                        Verdict::Well => 0,
                        Verdict::Look => 1,
                        Verdict::Broken => 2,
                    })
                } else {
                    told
                }
            }
            Err(why) => finish(Err(why)),
        },
        #[cfg(feature = "sigma")]
        Command::Ports(wanted) => {
            say_or_fail(watched(call, |progress| show_ports::run(&wanted, progress)))
        }
        #[cfg(feature = "luna")]
        Command::Backlog(backlog) => finish(push::print_backlog(&backlog)),
        #[cfg(feature = "aegis")]
        Command::Programs(wanted) => match watched(call, |progress| {
            progress.at("looking at programs");
            programs::tools::run(&wanted)
        }) {
            Ok(told) => say_and(&told.text, told.well),
            Err(why) => finish(Err(why)),
        },
        #[cfg(feature = "lab")]
        Command::Lab(options) => finish(lab::run(&options)),
        Command::Run(config) => finish(app::run(*config, call)),
    }
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format_args!("sigma-agent: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            finish(Err(format!("cannot print: {error}")))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Does something while a terminal is told what takes so long; the line is gone before anything is printed.
fn watched<T>(call: Call<'_>, work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::start(call.env);
    work(&progress)
}

#[cfg(feature = "terminal")]
fn say_or_fail(text: Result<String, String>) -> ExitCode {
    match text {
        Ok(text) => say(&text),
        Err(why) => finish(Err(why)),
    }
}

/// Prints, and fails where what is printed is no good news.
#[cfg(feature = "terminal")]
fn say_and(text: &str, well: bool) -> ExitCode {
    match say(text) {
        ExitCode::SUCCESS if !well => ExitCode::FAILURE,
        code => code,
    }
}

fn complain(what: &dyn std::fmt::Display) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
}
