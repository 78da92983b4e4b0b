//! What the agent goes on needing: the one place where a configuration becomes a profile of rights.
//!
//! | what runs | capabilities | files | ports | system calls |
//! |---|---|---|---|---|
//! | everything | | reads `/proc`, `/sys`, identity, resolver, CAs, the files that options name | binds those of the HTTP server | |
//! | heartbeats | | | binds also what the kernel picks, to ask for a public address | |
//! | `--port-scan` | `NET_BIND_SERVICE` for ports below 1024 | | binds any | netlink |
//! | … with owners of ports | `SYS_PTRACE`, `DAC_READ_SEARCH` | no rules: Landlock ends looking into other processes | | |
//! | … `--attribution ss` | the same, for `ss` too | no rules | | programs may be started |
//! | `--push` | | writes its backlog | | |
//! | `--log-file` | | writes in its folder | | |
//! | `--programs` | `BPF`, `NET_ADMIN`, `PERFMON`; `SYS_ADMIN` to count run times where the kernel does not | reads everything (probes aim at any file), writes state, cache and pins | | bpf, perf events, netlink |
//! | nothing that speaks to servers of others | | | connects to the guest's manager alone | |
//! | root, and a file or folder of another user | `DAC_READ_SEARCH`, `DAC_OVERRIDE` | | | |

use std::path::{Path, PathBuf};

use confine::{Calls, Capability, FileRule, Profile};

use super::{is_shared, reach};
#[cfg(feature = "sigma")]
use crate::cli::Attribution;
use crate::cli::{Config, Env};

/// Ports below this take a capability, unless an administrator lowered it.
const FIRST_FREE_PORT: u16 = 1024;

/// What of a configuration decides.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    scan: bool,
    low_ports: bool,
    owners: bool,
    ss: bool,
    programs: bool,
    /// Whether servers are spoken to whose ports can change while the agent runs.
    servers: bool,
}

pub(super) struct Needs {
    pub(super) profile: Profile,
    pub(super) without_rules: Option<&'static str>,
}

pub(super) fn of(config: &Config, env: Env<'_>) -> Needs {
    let work = Work::of(config);
    let without_rules = without_rules(work);
    let rules = without_rules.is_none();
    let profile = Profile {
        capabilities: Some(capabilities(config, work)),
        inherited: work.ss,
        undumpable: true,
        files: rules.then(|| files(config, env, work)),
        tcp_bind: (rules && !work.scan).then(|| bound_ports(config)),
        tcp_connect: (rules && !work.servers).then(|| manager_port(config)),
        no_abstract_sockets: rules && !notifies_abstractly(env),
        no_signals: rules,
        calls: Some(Calls {
            programs: work.ss,
            bpf: work.programs,
            families: Some(families(work)),
        }),
    };
    Needs {
        profile,
        without_rules,
    }
}

impl Work {
    #[cfg_attr(
        not(any(feature = "aegis", feature = "luna", feature = "sigma")),
        expect(unused_mut, reason = "a guest alone does none of it")
    )]
    fn of(config: &Config) -> Self {
        let mut work = Self {
            low_ports: server_ports(config)
                .iter()
                .any(|port| *port < FIRST_FREE_PORT),
            ..Self::default()
        };
        #[cfg(feature = "sigma")]
        {
            work.servers |= config.sigma.is_some();
            if let Some(scan) = &config.scan {
                work.scan = true;
                work.owners = scan.attribution != Attribution::Off;
                work.ss = scan.attribution == Attribution::Ss;
                work.low_ports |= scan.ranges.iter().any(|port| port < FIRST_FREE_PORT);
            }
        }
        #[cfg(feature = "luna")]
        {
            work.servers |= config.push.is_some();
        }
        #[cfg(feature = "aegis")]
        {
            work.programs = config.programs.is_some();
            work.servers |= work.programs;
        }
        work
    }
}

fn without_rules(work: Work) -> Option<&'static str> {
    if work.owners {
        Some(
            "files are not restricted: the owners of ports are read from other processes, which Landlock forbids (--attribution off)",
        )
    } else {
        None
    }
}

fn capabilities(config: &Config, work: Work) -> Vec<Capability> {
    let mut kept = Vec::new();
    if work.owners {
        kept.extend([Capability::SYS_PTRACE, Capability::DAC_READ_SEARCH]);
    }
    if work.low_ports {
        kept.push(Capability::NET_BIND_SERVICE);
    }
    if work.programs {
        kept.extend([Capability::BPF, Capability::NET_ADMIN, Capability::PERFMON]);
        let proc = config
            .host
            .proc
            .clone()
            .unwrap_or_else(|| config.host.root.join("proc"));
        let counted = std::fs::read(proc.join("sys/kernel/bpf_stats_enabled"));
        if counted.is_ok_and(|text| text.starts_with(b"0")) {
            kept.push(Capability::SYS_ADMIN);
        }
    }
    if own_folders(config)
        .iter()
        .chain(&log_folder(config))
        .any(|folder| reach::needs_override(folder))
    {
        kept.push(Capability::DAC_OVERRIDE);
    } else if config.files.iter().any(|file| reach::needs_search(file)) {
        kept.push(Capability::DAC_READ_SEARCH);
    }
    kept
}

fn files(config: &Config, env: Env<'_>, work: Work) -> Vec<FileRule> {
    let mut rules: Vec<FileRule> = own_folders(config)
        .iter()
        .filter_map(|folder| writable(folder))
        .map(FileRule::write)
        .collect();
    rules.extend(log_folder(config).map(FileRule::write_only));
    if work.programs {
        rules.push(FileRule::read("/"));
        return rules;
    }
    rules.extend(
        HOST.iter()
            .map(|name| FileRule::read(config.host.root.join(name))),
    );
    rules.extend(config.host.proc.iter().map(FileRule::read));
    rules.extend(OWN.iter().map(FileRule::read));
    // Whoever is not root reads there only what all may read, and files that are replaced stay within reach.
    if !rustix::process::geteuid().is_root() {
        rules.push(FileRule::read("/etc"));
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR", "CREDENTIALS_DIRECTORY"];
    rules.extend(
        named
            .iter()
            .filter_map(|name| env(name))
            .map(|path| FileRule::read(PathBuf::from(path))),
    );
    let read = config.files.iter().map(PathBuf::as_path);
    rules.extend(read.chain(RESOLVER.map(Path::new)).flat_map(beside));
    rules
}

/// What is read of the host, below its root.
const HOST: &[&str] = &[
    "proc",
    "sys",
    "etc/os-release",
    "usr/lib/os-release",
    "etc/hostname",
    "etc/host_hostname",
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "run/systemd/container",
];

/// What is read beside that whatever the root: about this process, and whom to trust.
const OWN: &[&str] = &[
    "/proc",
    "/sys",
    "/etc/ssl/certs",
    // Links out of the folder, on NixOS.
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/lib/ssl",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
];

/// Read anew whenever a name is looked up.
const RESOLVER: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A file with its folder, where that is not shared with others: editors and key renewals put another file in the old one's place.
fn beside(path: &Path) -> Vec<FileRule> {
    let rule = |path: PathBuf| match path.parent() {
        Some(folder) if !is_shared(folder) => FileRule::read(folder),
        _ => FileRule::read(path),
    };
    reach::both(path).into_iter().map(rule).collect()
}

/// The folders that are the agent's own.
pub(super) fn own_folders(config: &Config) -> Vec<PathBuf> {
    #[cfg_attr(
        not(any(feature = "aegis", feature = "luna")),
        expect(unused_mut, reason = "other roles keep nothing")
    )]
    let mut folders = Vec::new();
    #[cfg(feature = "luna")]
    if config.push.is_some() {
        folders.push(config.backlog.folder.clone());
    }
    #[cfg(feature = "aegis")]
    if let Some(programs) = &config.programs {
        folders.extend([programs.state.clone(), programs.cache.clone()]);
        folders.extend(programs.pins.clone());
    }
    #[cfg(not(any(feature = "aegis", feature = "luna")))]
    let _ = config;
    folders
}

/// The folder, or the one in which it can come later: the disk may be away, or something may be in the way.
fn writable(folder: &Path) -> Option<&Path> {
    let there = folder.ancestors().find(|at| at.is_dir())?;
    (there == folder || !is_shared(there)).then_some(there)
}

/// A full log file is renamed and begun anew, which takes its folder.
fn log_folder(config: &Config) -> Option<PathBuf> {
    let (path, _) = config.log.file.as_ref()?;
    let path = std::path::absolute(path).ok()?;
    path.parent().map(Path::to_owned)
}

fn server_ports(config: &Config) -> Vec<u16> {
    config
        .http
        .as_ref()
        .map(|http| http.ports.clone())
        .unwrap_or_default()
}

/// The server's, and any that the kernel picks: who asks for the public IPv4 address binds to it.
fn bound_ports(config: &Config) -> Vec<u16> {
    #[cfg_attr(
        not(feature = "sigma"),
        expect(unused_mut, reason = "only an API hears of public addresses")
    )]
    let mut ports = server_ports(config);
    #[cfg(feature = "sigma")]
    ports.extend(config.sigma.is_some().then_some(0));
    ports
}

fn manager_port(config: &Config) -> Vec<u16> {
    #[cfg(feature = "guest")]
    return config
        .guest
        .report
        .iter()
        .map(|report| report.manager.address.port())
        .collect();
    #[cfg(not(feature = "guest"))]
    {
        let _ = config;
        Vec::new()
    }
}

/// Whether the service manager listens on a socket without a file.
fn notifies_abstractly(env: Env<'_>) -> bool {
    use std::os::unix::ffi::OsStrExt;

    env("NOTIFY_SOCKET").is_some_and(|name| name.as_bytes().starts_with(b"@"))
}

fn families(work: Work) -> Vec<i32> {
    let netlink = (work.scan || work.programs).then_some(libc::AF_NETLINK);
    [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
        .into_iter()
        .chain(netlink)
        .collect()
}
