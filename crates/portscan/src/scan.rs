//! One look at the ports of this host.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::attribution::{Attribution, Attributor};
use crate::bind::{Bind, probe};
use crate::listing::{Backend, Listing, tidy};
use crate::picture::{Picture, Timing, Warning};
use crate::verdict::{Evidence, decide};
use crate::{Error, Guard, PortRanges, PortSet, Protocol, Socket, Verdict};

/// How ports are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// The kernel's socket tables, then a bind without listen for ports whose state only a bind can tell.
    #[default]
    Exact,
    /// Listeners and UDP sockets from the kernel's tables; binds nothing, and costs least on busy hosts.
    Listen,
    /// A bind without listen for every port; the tables only tell listeners and owners.
    Bind,
}

/// Whether and how far the owners of sockets are searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owners {
    /// Not at all.
    Skip,
    /// One for each socket, remembered between scans.
    #[default]
    First,
    /// All of them, lowest pid first: reads every link of every process.
    All,
}

/// What a [`Scanner`] looks at, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the `proc` file system is mounted.
    pub proc: PathBuf,
    /// Where control groups are mounted; helps to find owners quickly.
    pub cgroup: Option<PathBuf>,
    /// How ports are looked at.
    pub method: Method,
    /// Where the list of sockets comes from.
    pub backend: Backend,
    /// Whose sockets they are.
    pub owners: Owners,
    /// Ports to call excluded while nobody holds them.
    pub exclude: PortRanges,
    /// Most ports that one exact scan test-binds; the rest is called lingering.
    pub max_probes: usize,
}

impl Config {
    /// An exact scan with owners, reading processes below `proc`.
    #[must_use]
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        Self {
            proc: proc.into(),
            cgroup: None,
            method: Method::default(),
            backend: Backend::default(),
            owners: Owners::default(),
            exclude: PortRanges::none(),
            max_probes: 8192,
        }
    }
}

/// Looks at ports again and again, and remembers who holds what.
///
/// It sees the network namespace of the thread that calls [`scan`](Self::scan); use it in one only.
#[derive(Debug)]
pub struct Scanner {
    config: Config,
    attributor: Attributor,
}

impl Scanner {
    /// A scanner that has not looked yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let attributor = Attributor::new(config.proc.clone(), config.cgroup.clone());
        Self { config, attributor }
    }

    /// Looks once. Blocks for as long as the kernel needs: well under a millisecond on most hosts.
    ///
    /// `guards` are the ports that an [`Allocator`](crate::Allocator) of this program keeps at this moment.
    /// `now` tells how long ago a fruitless search for an owner was.
    pub fn scan(
        &mut self,
        ranges: &PortRanges,
        guards: &[Guard],
        now: Instant,
    ) -> Result<Picture, Error> {
        let start = Instant::now();
        let mut warnings = Vec::new();
        let mut sockets = self.list(ranges, guards, &mut warnings)?;
        let listed = start.elapsed();

        let tables = Tables::of(&sockets);
        let tests = match self.config.method {
            Method::Exact => self.test_doubtful(ranges, &tables, &mut warnings)?,
            Method::Bind => test(ranges.iter(), ranges.size())?,
            Method::Listen => Tests::default(),
        };
        let verdicts = self.verdicts(ranges, &tables, &tests, guards);
        let probed = start.elapsed();

        let attribution = (self.config.owners != Owners::Skip).then(|| {
            let blocked = |port| {
                ranges.position(port).and_then(|at| verdicts.get(at)) == Some(&Verdict::Blocked)
            };
            let relevant = |socket: &Socket| !is_connection(socket) || blocked(socket.port());
            self.attributor
                .attribute(&mut sockets, relevant, self.config.owners, now)
        });
        warnings.extend(
            attribution
                .as_ref()
                .and_then(Attribution::complaint)
                .map(Warning::Unattributed),
        );

        let total = start.elapsed();
        Ok(Picture {
            ranges: ranges.clone(),
            method: self.config.method,
            verdicts,
            accepted: tests.accepted,
            refused: tests.refused,
            sockets,
            attribution,
            probes: tests.made,
            timing: Timing {
                list: listed,
                probe: probed.saturating_sub(listed),
                attribution: total.saturating_sub(probed),
                total,
            },
            warnings,
        })
    }

    /// TCP listeners of the host and the other sockets of the ranges, without the own guards.
    fn list(
        &self,
        ranges: &PortRanges,
        guards: &[Guard],
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Socket>, Error> {
        let connections = (self.config.method == Method::Exact).then_some(ranges);
        let mut listing = Listing::new(&self.config.proc, self.config.backend);
        let mut sockets = listing.tcp(connections)?;
        sockets.append(&mut listing.udp(ranges)?);
        tidy(&mut sockets);
        warnings.append(&mut listing.warnings);
        let own: HashSet<u64> = guards.iter().filter_map(|guard| guard.cookie).collect();
        if !own.is_empty() {
            sockets.retain(|socket| socket.cookie.is_none_or(|cookie| !own.contains(&cookie)));
        }
        Ok(sockets)
    }

    /// Test-binds the ports whose state only a bind can tell.
    fn test_doubtful(
        &self,
        ranges: &PortRanges,
        tables: &Tables,
        warnings: &mut Vec<Warning>,
    ) -> Result<Tests, Error> {
        let doubtful: Vec<u16> = tables
            .doubtful()
            .filter(|port| ranges.contains(*port))
            .collect();
        let limit = self.config.max_probes;
        if doubtful.len() > limit {
            warnings.push(Warning::NotProbed(doubtful.len() - limit));
        }
        let mut tests = test(doubtful.iter().copied(), limit)?;
        self.test_privileged(ranges, tables, &mut tests)?;
        Ok(tests)
    }

    /// One test tells for all low ports whether this program may bind them.
    fn test_privileged(
        &self,
        ranges: &PortRanges,
        tables: &Tables,
        tests: &mut Tests,
    ) -> Result<(), Error> {
        let low = crate::sysctl::privileged_below(&self.config.proc);
        let low: Vec<u16> = ranges.iter().take_while(|port| *port < low).collect();
        let Some(sample) = low.iter().find(|port| !tables.held.contains(**port)) else {
            return Ok(());
        };
        tests.made += 1;
        if matches!(probe(*sample)?, Bind::Forbidden) {
            tests.forbidden.extend(low);
        }
        Ok(())
    }

    fn verdicts(
        &self,
        ranges: &PortRanges,
        tables: &Tables,
        tests: &Tests,
        guards: &[Guard],
    ) -> Vec<Verdict> {
        let leased: PortSet = guards.iter().map(|guard| guard.port).collect();
        let excluded: PortSet = self.config.exclude.iter().collect();
        // What the classic test does not see, the bind method does not report either.
        let tables_count = self.config.method != Method::Bind;
        let evidence = |port| Evidence {
            listening: tables.listening.contains(port)
                && (tables_count || tests.refused.contains(port)),
            bound: tables_count && tables.bound.contains(port),
            connected: tables_count && tables.connected.contains(port),
            udp: tables_count && tables.udp.contains(port),
            bindable: match (tests.refused.contains(port), tests.accepted.contains(port)) {
                (true, _) => Some(false),
                (_, true) => Some(true),
                _ => None,
            },
            forbidden: tests.forbidden.contains(port),
            leased: leased.contains(port),
            excluded: excluded.contains(port),
        };
        let mut verdicts = vec![Verdict::Free; ranges.size()];
        let special = [
            &tables.held,
            &leased,
            &excluded,
            &tests.refused,
            &tests.forbidden,
        ];
        for port in special.into_iter().flat_map(PortSet::iter) {
            if let Some(verdict) = ranges.position(port).and_then(|at| verdicts.get_mut(at)) {
                *verdict = decide(evidence(port));
            }
        }
        verdicts
    }
}

/// Connections and their leftovers.
fn is_connection(socket: &Socket) -> bool {
    socket.protocol == Protocol::Tcp && !socket.is_listening() && !socket.is_bound_only()
}

/// Ports by the kind of socket that has them.
#[derive(Default)]
struct Tables {
    listening: PortSet,
    bound: PortSet,
    connected: PortSet,
    udp: PortSet,
    held: PortSet,
}

impl Tables {
    fn of(sockets: &[Socket]) -> Self {
        let mut tables = Self::default();
        for socket in sockets {
            let set = match socket.protocol {
                Protocol::Udp => &mut tables.udp,
                Protocol::Tcp if socket.is_listening() => &mut tables.listening,
                Protocol::Tcp if socket.is_bound_only() => &mut tables.bound,
                Protocol::Tcp => &mut tables.connected,
            };
            set.insert(socket.port());
            tables.held.insert(socket.port());
        }
        tables
    }

    /// Ports with TCP sockets none of which listens.
    fn doubtful(&self) -> impl Iterator<Item = u16> {
        let doubtful = |port: &u16| {
            (self.connected.contains(*port) || self.bound.contains(*port))
                && !self.listening.contains(*port)
        };
        self.held.iter().filter(doubtful)
    }
}

/// What test binds said.
#[derive(Default)]
struct Tests {
    made: usize,
    accepted: PortSet,
    refused: PortSet,
    forbidden: PortSet,
}

fn test(ports: impl Iterator<Item = u16>, limit: usize) -> Result<Tests, Error> {
    let mut tests = Tests::default();
    for port in ports.take(limit) {
        tests.made += 1;
        let answer = match probe(port)? {
            Bind::Done(()) => &mut tests.accepted,
            Bind::InUse => &mut tests.refused,
            Bind::Forbidden => &mut tests.forbidden,
        };
        answer.insert(port);
    }
    Ok(tests)
}
