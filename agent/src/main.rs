//! sigma-agent: one host agent for every Linux server and micro-VM.

mod agent;
mod app;
mod ask;
mod check;
mod cli;
mod clock;
mod health;
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
mod place;
#[cfg(feature = "sigma")]
mod ports;
mod process;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
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

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use check::Verdict;
use cli::{Call, Command};

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
        Command::Health(wanted) => {
            let told = health::run(&wanted);
            say_and(&told.text, told.healthy)
        }
        #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
        Command::Info { config, json } => say(&info::describe(&config, json)),
        Command::Check(wanted) => match check::run(&wanted) {
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
        Command::Ports(wanted) => match show_ports::run(&wanted) {
            Ok(text) => say(&text),
            Err(why) => finish(Err(why)),
        },
        #[cfg(feature = "luna")]
        Command::Backlog(backlog) => finish(push::print_backlog(&backlog)),
        #[cfg(feature = "aegis")]
        Command::Programs(wanted) => match programs::tools::run(&wanted) {
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

/// Prints, and fails where what is printed is no good news.
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
