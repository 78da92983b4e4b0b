//! What the commands beside the agent are to do, from their arguments.

#[cfg(feature = "terminal")]
use std::ffi::{OsStr, OsString};
#[cfg(feature = "terminal")]
use std::time::Duration;

#[cfg(feature = "terminal")]
use clap::ArgMatches;

#[cfg(feature = "sigma")]
use super::options::section;
use super::*;

/// What `sigma-agent check` is to look at.
#[derive(Debug)]
pub(crate) struct CheckWanted {
    pub(crate) role: Role,
    /// Or what is wrong with it.
    pub(crate) config: Result<Config, Vec<Mistake>>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) json: bool,
}

/// What `sigma-agent once` is to show.
#[cfg(feature = "terminal")]
#[derive(Debug)]
pub(crate) struct OnceWanted {
    pub(crate) config: Config,
    pub(crate) form: Form,
}

/// How `sigma-agent once` shows it.
#[cfg(feature = "terminal")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    People,
    Json,
    /// The metrics page alone.
    Metrics,
}

/// What `sigma-agent health` is to ask.
#[cfg(feature = "terminal")]
#[derive(Debug)]
pub(crate) struct HealthWanted {
    /// `None`: the agent has no port.
    pub(crate) http: Option<Http>,
    pub(crate) place: HostPlace,
    /// How long all of it may take.
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
}

/// What `sigma-agent ports` is to do.
#[cfg(feature = "sigma")]
#[derive(Debug)]
pub(crate) struct PortsWanted {
    pub(crate) scan: Scan,
    pub(crate) place: HostPlace,
    /// Hand out this many free ports instead of showing all.
    pub(crate) allocate: Option<usize>,
    pub(crate) json: bool,
}

/// The configuration of a command that talks to no server: what is not sent needs no key.
#[cfg(feature = "terminal")]
pub(super) fn idle(
    role: Role,
    matches: &ArgMatches,
    env: Env<'_>,
    wanted: &dyn Fn(&Opt) -> bool,
) -> Result<Config, Refusal> {
    const LOOPS: [&str; 3] = ["heartbeat", "push", "programs"];
    let off = |option: &Opt| {
        LOOPS
            .contains(&option.name)
            .then(|| OsString::from("false"))
    };
    let wanted = |option: &Opt| LOOPS.contains(&option.name) || wanted(option);
    load_with(role, matches, env, &wanted, &off)
        .config
        .map_err(Refusal::Mistakes)
}

/// The configuration of a start, without its secrets: nothing is sent, and whoever looks may not be allowed to read them.
#[cfg(feature = "terminal")]
pub(super) fn once(role: Role, matches: &ArgMatches, env: Env<'_>) -> Result<Command, Refusal> {
    let instead = |option: &Opt| match option.name {
        "programs" => Some(OsString::from("false")),
        // The push wants a key, whichever.
        "push-key" => Some(OsString::from("none")),
        _ => None,
    };
    let loaded = load_with(role, matches, env, &about::once, &instead);
    let form = match (matches.get_flag("metrics"), matches.get_flag("json")) {
        (true, _) => Form::Metrics,
        (false, true) => Form::Json,
        (false, false) => Form::People,
    };
    Ok(Command::Once(Box::new(OnceWanted {
        config: loaded.config.map_err(Refusal::Mistakes)?,
        form,
    })))
}

#[cfg(feature = "terminal")]
pub(super) fn health(
    role: Role,
    matches: &ArgMatches,
    env: Env<'_>,
) -> Result<HealthWanted, Refusal> {
    let text = matches
        .get_one::<OsString>("timeout")
        .map_or(OsStr::new("3"), OsString::as_os_str);
    let text = text.to_string_lossy();
    let timeout = values::duration(1..=60)(&text).map_err(|allowed| {
        Refusal::Mistakes(vec![Mistake(format!(
            "--timeout: {text:?} is not allowed; {allowed}"
        ))])
    })?;
    let config = idle(role, matches, env, &about::health)?;
    Ok(HealthWanted {
        http: config.http,
        place: config.host,
        timeout,
        json: matches.get_flag("json"),
    })
}

/// The options of the port scan, as if it were switched on.
#[cfg(feature = "sigma")]
pub(super) fn ports(
    role: Role,
    matches: &ArgMatches,
    env: Env<'_>,
) -> Result<PortsWanted, Refusal> {
    let range = matches.get_one::<OsString>("range");
    let wanted = |option: &Opt| option.section == section::PORTS || about::ports(option);
    let loaded = load_with(role, matches, env, &wanted, &|option| match option.name {
        "port-scan" => Some(OsString::from("true")),
        "port-scan-range" => range.cloned(),
        _ => None,
    });
    let mut config = loaded.config.map_err(Refusal::Mistakes)?;
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
