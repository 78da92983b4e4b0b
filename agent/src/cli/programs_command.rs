//! `programs …`: the command line of the tools for signed programs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bpf_artifact::{Attach, HostId, OnAgentExit, Policy, ProgramLimits};
use bpf_lifecycle::Digest;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::help::{EXITS, Exits, Words};
use super::programs_values as values;
use super::{Config, HostPlace, Refusal};

/// What `programs` is to do.
#[derive(Debug)]
pub(crate) enum Programs {
    Keygen(Keygen),
    Pack(Pack),
    Sign(Box<Sign>),
    Verify(Verify),
    Inspect(Inspect),
    Doctor {
        places: Places,
        json: bool,
    },
    Reap {
        places: Places,
        all: bool,
        json: bool,
    },
    /// Let a digest run again, or without one tell what is held back.
    Clear {
        state: PathBuf,
        host: HostPlace,
        digest: Option<Digest>,
        json: bool,
    },
}

/// Make a key that signs.
#[derive(Debug)]
pub(crate) struct Keygen {
    pub(crate) key: PathBuf,
    pub(crate) force: bool,
    pub(crate) json: bool,
}

/// Pack an object into an archive.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) object: PathBuf,
    pub(crate) archive: PathBuf,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) build_id: Option<String>,
    pub(crate) parameters: Option<Json>,
    pub(crate) force: bool,
    pub(crate) json: bool,
}

/// Sign what is said about an archive.
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) archive: PathBuf,
    pub(crate) key: PathBuf,
    /// `None`: as in the archive.
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) serial: u64,
    pub(crate) hosts: Vec<String>,
    pub(crate) not_after: NotAfter,
    pub(crate) ttl: Option<Duration>,
    pub(crate) parameters: Option<Json>,
    pub(crate) attach: Vec<Attach>,
    pub(crate) limits: ProgramLimits,
    pub(crate) on_agent_exit: OnAgentExit,
    pub(crate) priority: i32,
    pub(crate) protected: bool,
    pub(crate) force: bool,
}

/// Judge an archive as an agent would.
#[derive(Debug)]
pub(crate) struct Verify {
    pub(crate) archive: PathBuf,
    /// `None`: the one beside the archive, if there is one.
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) signature: Option<PathBuf>,
    /// Keys, or files that hold some.
    pub(crate) public_keys: Vec<String>,
    /// `None`: whether it is for this host does not matter.
    pub(crate) host: Option<HostId>,
    pub(crate) policy: Policy,
    pub(crate) json: bool,
}

/// Look into an archive or an object.
#[derive(Debug)]
pub(crate) struct Inspect {
    pub(crate) file: PathBuf,
    pub(crate) json: bool,
}

/// Where the kernel's files are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) host: HostPlace,
    /// `None`: no program outlives the agent.
    pub(crate) pins: Option<PathBuf>,
}

/// A JSON object: given, or in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Given(serde_json::Map<String, serde_json::Value>),
    File(PathBuf),
}

/// When a signature ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAfter {
    At(SystemTime),
    In(Duration),
}

const EXAMPLES: &str = "\
{agent} programs keygen signing.key > signing.pub
{agent} programs pack guard.o -o guard.tar.zst --name egress_guard --version 2.1.0
{agent} programs sign guard.tar.zst --key signing.key --serial 7 --hosts db-01,db-02 \\
    --not-after 30d --ttl 1h --attach guard=interface:eth0 > metadata.json
{agent} programs verify guard.tar.zst --public-key signing.pub --host db-02
{agent} programs doctor                  # on a host that runs programs
{agent} programs reap
{agent} programs clear";

const DOCTOR_EXITS: Exits = &[
    (0, "programs can be loaded here"),
    (1, "none can, or it could not be found out"),
    (64, "mistake in the command line or the configuration"),
];

const VERIFY_EXITS: Exits = &[
    (0, "trusted"),
    (1, "refused or not readable; it says why"),
    (64, "mistake in the command line"),
];

/// The whole tree; `host` are the options of the agent that tell where the kernel's files are, `state` those that tell where the agent
/// remembers what it did.
pub(super) fn command(program: &str, host: &[Arg], state: &[Arg]) -> Command {
    let tools = [
        (keygen(), KEYGEN),
        (pack(), PACK),
        (sign(), SIGN),
        (verify(), VERIFY),
        (inspect(), INSPECT),
        (doctor().args(host), DOCTOR),
        (reap().args(host), REAP),
        (clear().args(state), CLEAR),
    ];
    let tree = Command::new("programs")
        .about(
            "Make, sign, check and look into eBPF programs, and see what this kernel takes of them",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(tools.map(|(tool, words)| words.below(tool, program)));
    words(
        "From an object to a signed program in a registry; docs/PROGRAMS.md tells the whole way.",
        EXAMPLES,
        EXITS,
    )
    .below(tree, program)
}

const fn words(notes: &'static str, examples: &'static str, exits: Exits) -> Words {
    Words {
        notes,
        examples,
        exits,
    }
}

const KEYGEN: Words = words(
    "The public half is what agents get as public key; the file stays with the signer.",
    "{agent} programs keygen signing.key > signing.pub",
    EXITS,
);

const PACK: Words = words(
    "",
    "{agent} programs pack guard.o -o guard.tar.zst --name egress_guard --version 2.1.0",
    EXITS,
);

const SIGN: Words = words(
    "\
Places for --attach:
  guard=interface:eth0                 XDP; the kernel chooses where it runs
  guard=interface:eth0:driver          XDP; driver or skb
  shape=interface:eth0:egress          traffic control; ingress or egress
  deny=cgroup:system.slice/web.service
  trace=hook:sched/sched_switch        a tracepoint, kernel function or LSM hook
  tls=function:/usr/lib/libssl.so.3:SSL_read
  load=clock:99                        ticks per second on every CPU
  {\"program\": \"tls\", \"to\": {…}}       as it stands in the manifest",
    "\
{agent} programs sign guard.tar.zst --key signing.key --serial 7 --hosts db-01,db-02 \\
    --not-after 30d --ttl 1h --parameters '{\"drop_port\": 9}' --attach guard=interface:eth0",
    EXITS,
);

const VERIFY: Words = words(
    "\
Without --manifest and --signature, NAME.manifest.json and NAME.manifest.sig beside NAME.tar.zst are taken, if they are there.

Issues that an agent has seen before are known to that agent alone.",
    "{agent} programs verify guard.tar.zst --public-key signing.pub --host db-02",
    VERIFY_EXITS,
);

const INSPECT: Words = words(
    "Trusts nothing, loads nothing.",
    "\
{agent} programs inspect guard.tar.zst
{agent} programs inspect guard.o --json",
    EXITS,
);

const DOCTOR: Words = words(
    "Loads programs of two instructions and attaches none.",
    "\
{agent} programs doctor
{agent} programs doctor --json",
    DOCTOR_EXITS,
);

const REAP: Words = words(
    "\
For the service manager, which calls it when the agent has ended, and from time to time.

While an agent runs, that agent is in charge, and this is an error.",
    "\
{agent} programs reap
ExecStopPost=/usr/local/bin/{agent} programs reap        # in a unit of systemd",
    EXITS,
);

const CLEAR: Words = words(
    "\
For root, or the user that the agent runs as: the word is left in the state folder, and nothing over the network can say it. What may run
again does, as long as the registry still assigns it; what did harm then may do it again.",
    "\
{agent} programs clear
{agent} programs clear 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    EXITS,
);

fn keygen() -> Command {
    Command::new("keygen")
        .about("Make an Ed25519 key: writes it to FILE (PKCS #8 in PEM, mode 0600), prints its public half")
        .arg(file("FILE", "Where the key goes"))
        .arg(force())
        .arg(json())
}

fn pack() -> Command {
    Command::new("pack")
        .about("Pack an object into an archive, as registries keep it; the same input gives the same bytes")
        .arg(file("OBJECT", "The object, as clang -target bpf makes it"))
        .arg(
            path("output", "FILE", "The archive, by custom NAME.tar.zst")
                .short('o')
                .required(true),
        )
        .arg(text("name", "NAME", "Name of the program"))
        .arg(text("version", "VERSION", "Its version"))
        .arg(text("build-id", "ID", "What it was built as"))
        .arg(parameters("Values for globals and maps, unless the manifest has some"))
        .arg(force())
        .arg(json())
}

fn sign() -> Command {
    let limit = |name: &'static str, unit: &'static str, help: &'static str| {
        option(name, unit, help).help_heading("Limits, above which it is rolled back")
    };
    Command::new("sign")
        .about("Sign an archive for some hosts and some time: writes NAME.manifest.json and NAME.manifest.sig beside NAME.tar.zst, prints the metadata for a registry")
        .arg(file("ARCHIVE", "The archive, NAME.tar.zst"))
        .arg(path("key", "FILE", "The key to sign with").required(true))
        .arg(text("name", "NAME", "Name that serials are counted by; default: as in the archive"))
        .arg(text("version", "VERSION", "Version; default: as in the archive"))
        .arg(
            option("serial", "N", "Number of this issue; agents refuse one below what they have seen")
                .required(true)
                .value_parser(value_parser!(u64)),
        )
        .arg(
            text("hosts", "ID,..", "Ids of the hosts it is for; `*` for all")
                .required(true)
                .value_delimiter(','),
        )
        .arg(
            option("not-after", "WHEN", "When it ends: 2026-12-31T00:00:00Z, or from now on: 30d, 12h")
                .required(true)
                .value_parser(values::not_after),
        )
        .arg(
            option("ttl", "SPAN", "How long it runs after it was loaded: 1h, 90m, 3600s")
                .value_parser(values::span),
        )
        .arg(parameters("Values for globals and maps"))
        .arg(
            option("attach", "PROGRAM=PLACE", "Where a program goes; once for each. See below")
                .action(ArgAction::Append)
                .value_parser(values::attach),
        )
        .arg(
            option("on-agent-exit", "detach|persist", "When the agent ends: detach (default) or persist")
                .value_parser(values::on_agent_exit),
        )
        .arg(
            option("priority", "N", "Who goes first when there are too many: the lowest; default 0")
                .allow_hyphen_values(true)
                .value_parser(value_parser!(i32)),
        )
        .arg(switch("protected", "Never unload it to make room"))
        .arg(limit("max-errors", "N", "Errors").value_parser(value_parser!(u64)))
        .arg(limit("max-violations", "N", "Violations").value_parser(value_parser!(u64)))
        .arg(limit("max-cpu-percent", "PERCENT", "CPU, of one core").value_parser(value_parser!(f64)))
        .arg(limit("max-latency-us", "MICROSECONDS", "Mean time of one run").value_parser(value_parser!(f64)))
        .arg(limit("max-memory-kb", "KIB", "Memory of programs and maps").value_parser(value_parser!(u64)))
        .arg(force())
}

fn verify() -> Command {
    Command::new("verify")
        .about("Judge an archive as an agent would: says who signed it, or why it is refused")
        .arg(file("ARCHIVE", "The archive, NAME.tar.zst"))
        .arg(path("manifest", "FILE", "The manifest"))
        .arg(path("signature", "FILE", "The signature: over the manifest, or where there is none, over the archive"))
        .arg(
            text("public-key", "KEY", "Who is trusted: base64 of an Ed25519 key, PEM, or a file with either; several if given again")
                .action(ArgAction::Append),
        )
        .arg(option("host", "ID", "For which host; default: any").value_parser(values::host))
        .arg(
            option("policy", "strict|archive|insecure-accept", "What is asked of a signature, as --signature-policy of the agent; default: strict")
                .value_parser(|text: &str| text.parse::<Policy>()),
        )
        .arg(json())
}

fn inspect() -> Command {
    Command::new("inspect")
        .about("Look into an archive or an object: programs, functions they call, maps, parameters, licence, types")
        .arg(file("FILE", "The archive or object"))
        .arg(json())
}

fn doctor() -> Command {
    Command::new("doctor")
            .about("Tell which kinds of programs this kernel takes from this user, and what is missing for the others")
    .arg(json())
}

fn reap() -> Command {
    Command::new("reap")
        .about(
            "Detach programs whose time is over although no agent runs; reads nothing but the pins",
        )
        .arg(switch(
            "all",
            "Detach everything, as before an agent is removed",
        ))
        .arg(json())
}

fn clear() -> Command {
    Command::new("clear")
        .about("Tell what was rolled back or is barred, or let one of it run again")
        .arg(
            Arg::new("DIGEST")
                .value_name("DIGEST")
                .value_parser(|text: &str| text.parse::<Digest>().map_err(|why| why.to_string()))
                .help("SHA-256 of the archive; without it, what is held back is told"),
        )
        .arg(json())
}

/// What the words after `programs` ask for. The parser has seen to it that what is required is there.
pub(super) fn wanted(
    matches: &ArgMatches,
    load: &dyn Fn(&ArgMatches) -> Result<Config, Refusal>,
) -> Result<Programs, Refusal> {
    let nothing = || Refusal::Usage("programs: nothing was asked for".to_owned());
    let (name, of) = matches.subcommand().ok_or_else(nothing)?;
    match name {
        "doctor" => Ok(Programs::Doctor {
            places: places(load(of)?),
            json: of.get_flag("json"),
        }),
        "reap" => Ok(Programs::Reap {
            places: places(load(of)?),
            all: of.get_flag("all"),
            json: of.get_flag("json"),
        }),
        "clear" => {
            let config = load(of)?;
            let state = config.programs.map(|programs| programs.state);
            Ok(Programs::Clear {
                state: state.ok_or_else(nothing)?,
                host: config.host,
                digest: get(of, "DIGEST"),
                json: of.get_flag("json"),
            })
        }
        _ => wanted_of_files(name, of).ok_or_else(nothing),
    }
}

fn places(config: Config) -> Places {
    Places {
        host: config.host,
        pins: config.programs.and_then(|programs| programs.pins),
    }
}

/// What is asked of a tool that reads and writes files alone.
fn wanted_of_files(name: &str, of: &ArgMatches) -> Option<Programs> {
    Some(match name {
        "keygen" => Programs::Keygen(Keygen {
            key: get(of, "FILE")?,
            force: of.get_flag("force"),
            json: of.get_flag("json"),
        }),
        "pack" => Programs::Pack(Pack {
            object: get(of, "OBJECT")?,
            archive: get(of, "output")?,
            name: get(of, "name"),
            version: get(of, "version"),
            build_id: get(of, "build-id"),
            parameters: get(of, "parameters"),
            force: of.get_flag("force"),
            json: of.get_flag("json"),
        }),
        "sign" => Programs::Sign(Box::new(wanted_signature(of)?)),
        "verify" => Programs::Verify(Verify {
            archive: get(of, "ARCHIVE")?,
            manifest: get(of, "manifest"),
            signature: get(of, "signature"),
            public_keys: all(of, "public-key"),
            host: get(of, "host"),
            policy: get(of, "policy").unwrap_or_default(),
            json: of.get_flag("json"),
        }),
        "inspect" => Programs::Inspect(Inspect {
            file: get(of, "FILE")?,
            json: of.get_flag("json"),
        }),
        _ => return None,
    })
}

fn wanted_signature(of: &ArgMatches) -> Option<Sign> {
    Some(Sign {
        archive: get(of, "ARCHIVE")?,
        key: get(of, "key")?,
        name: get(of, "name"),
        version: get(of, "version"),
        serial: get(of, "serial")?,
        hosts: all(of, "hosts"),
        not_after: get(of, "not-after")?,
        ttl: get(of, "ttl"),
        parameters: get(of, "parameters"),
        attach: all(of, "attach"),
        limits: ProgramLimits {
            max_errors: get(of, "max-errors"),
            max_violations: get(of, "max-violations"),
            max_cpu_percent: get(of, "max-cpu-percent"),
            max_latency_us: get(of, "max-latency-us"),
            max_memory_kb: get(of, "max-memory-kb"),
        },
        on_agent_exit: get(of, "on-agent-exit").unwrap_or_default(),
        priority: get(of, "priority").unwrap_or_default(),
        protected: of.get_flag("protected"),
        force: of.get_flag("force"),
    })
}

fn get<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.get_one::<T>(name).cloned()
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    let values = matches.get_many::<T>(name);
    values
        .map(|values| values.cloned().collect())
        .unwrap_or_default()
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(name)
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .required(true)
        .help(help)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).value_parser(value_parser!(String))
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help)
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn parameters(help: &'static str) -> Arg {
    option("parameters", "JSON", help)
        .long_help(format!("{help}: a JSON object, or @FILE that holds one"))
        .value_parser(values::json)
}

fn force() -> Arg {
    switch("force", "Overwrite files that are there")
}

fn json() -> Arg {
    switch("json", "Print JSON")
}
