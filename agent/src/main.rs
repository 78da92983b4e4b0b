//! sigma-agent: one host agent for every Linux server and micro-VM.

mod app;
mod cli;
mod clock;
mod http;
mod info;
mod keyfile;
#[cfg(feature = "lab")]
mod lab;
mod logging;
mod loops;
mod notify;
mod ports;
mod process;
mod shared;
mod show_ports;
mod snapshot;
mod ss_owners;
mod table;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use cli::Command;

/// A mistake in the configuration: EX_USAGE of sysexits.h.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let env = |name: &str| std::env::var_os(name);
    match cli::parse(&args, &env) {
        Ok(Command::Print(text)) => say(&text),
        Ok(Command::Info { config, json }) => say(&info::describe(&config, json)),
        Ok(Command::Ports(wanted)) => match show_ports::run(&wanted) {
            Ok(text) => say(&text),
            Err(why) => finish(Err(why)),
        },
        Ok(Command::Run(config)) => finish(app::run(*config, &args, &env)),
        #[cfg(feature = "lab")]
        Ok(Command::Lab(options)) => finish(lab::run(&options)),
        Err(refusal) => {
            complain(&refusal);
            ExitCode::from(BAD_CONFIGURATION)
        }
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

fn complain(what: &dyn std::fmt::Display) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
}
