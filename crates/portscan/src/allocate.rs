//! Free ports, handed out in random order, each proven by a bind that nobody else can make.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bind::{Bind, GuardSocket, guard};
use crate::lease::{Guard, Held, Lease, LeaseId};
use crate::listing::{Backend, Listing};
use crate::permutation::{Permutation, random};
use crate::{Error, PortRanges, PortSet, ephemeral_ports};

/// Most ports that one call hands out.
pub const MAX_COUNT: usize = 100;

/// Limits of an [`Allocator`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a port is not handed out again unless nothing else is left.
    pub memory: Duration,
    /// Longest lease.
    pub max_hold: Duration,
    /// Most ports held at once; each takes a file descriptor.
    pub max_held_ports: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Duration::from_secs(10),
            max_hold: Duration::from_secs(300),
            max_held_ports: 256,
        }
    }
}

/// Which ports are wanted.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// How many: 1 to [`MAX_COUNT`].
    pub count: usize,
    /// Where from.
    pub ranges: &'a PortRanges,
    /// Ports to leave alone.
    pub exclude: Option<&'a PortRanges>,
    /// Ports that a recent scan did not find free ([`Picture::taken`](crate::Picture::taken)): tried last.
    pub taken: Option<&'a PortSet>,
    /// Whether the ports are to be free for UDP too.
    pub udp: bool,
    /// Whether ports are given that the kernel itself may pick for a connection at any moment
    /// ([`ephemeral_ports`]; none are left out where its range cannot be read).
    pub ephemeral: bool,
    /// Keep the ports for the caller's server for this long.
    pub hold: Option<Duration>,
}

impl<'a> Request<'a> {
    /// `count` ports of `ranges`, free for TCP and UDP, not ephemeral, not held.
    #[must_use]
    pub const fn new(count: usize, ranges: &'a PortRanges) -> Self {
        Self {
            count,
            ranges,
            exclude: None,
            taken: None,
            udp: true,
            ephemeral: false,
            hold: None,
        }
    }
}

/// What was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allocation {
    /// The ports, in random order.
    pub ports: Vec<u16>,
    /// The lease that keeps them, where one was asked for.
    pub lease: Option<LeaseId>,
}

/// Why no ports were handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllocateError {
    /// The count is out of bounds.
    #[error("count must be between 1 and {MAX_COUNT}")]
    Count,
    /// Too few ports are free; none was handed out.
    #[error("only {found} available ports found, requested {requested}")]
    NotEnough {
        /// Free ports found.
        found: usize,
        /// Ports asked for.
        requested: usize,
        /// Ports left out because the kernel may pick them for connections.
        ephemeral: usize,
        /// Ports that this program may not bind.
        forbidden: usize,
    },
    /// Leases hold as many ports as the limits allow, or the lease would be too long.
    #[error("{0}")]
    Hold(String),
    /// Nothing could be found out.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Hands out free ports and keeps leases; dropping it ends them all.
#[derive(Debug)]
pub struct Allocator {
    proc: PathBuf,
    backend: Backend,
    limits: Limits,
    recent: HashMap<u16, Instant>,
    leases: BTreeMap<LeaseId, Held>,
}

impl Allocator {
    /// An allocator without leases; `proc` is where the `proc` file system is mounted.
    #[must_use]
    pub fn new(proc: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            proc: proc.into(),
            backend: Backend::default(),
            limits,
            recent: HashMap::new(),
            leases: BTreeMap::new(),
        }
    }

    /// Hands out ports, or none at all. Answers at once; without `hold` nothing stays bound.
    pub fn allocate(
        &mut self,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<Allocation, AllocateError> {
        if !(1..=MAX_COUNT).contains(&request.count) {
            return Err(AllocateError::Count);
        }
        self.expire(now);
        self.recent.retain(|_, until| *until > now);
        self.check_hold(request)?;
        let search = self.search(request)?;
        if search.guards.len() < request.count {
            return Err(AllocateError::NotEnough {
                found: search.guards.len(),
                requested: request.count,
                ephemeral: search.ephemeral,
                forbidden: search.forbidden,
            });
        }
        let ports: Vec<u16> = search.guards.iter().map(|(port, _)| *port).collect();
        let lease = match request.hold {
            Some(hold) => Some(self.keep(search.guards, now + hold)?),
            None => None,
        };
        self.recent
            .extend(ports.iter().map(|port| (*port, now + self.limits.memory)));
        Ok(Allocation { ports, lease })
    }

    /// Ends a lease before its time; `false` where there is none of that name.
    pub fn release(&mut self, lease: LeaseId) -> bool {
        self.leases.remove(&lease).is_some()
    }

    /// Ends leases whose time is over, and lets go of ports on which a server listens by now.
    ///
    /// Call it every second or so while there are [`leases`](Self::leases): one look at the kernel's listeners.
    pub fn refresh(&mut self, now: Instant) -> Result<(), Error> {
        self.expire(now);
        if self.leases.is_empty() {
            return Ok(());
        }
        let listening = Listing::new(&self.proc, self.backend).tcp(None)?;
        let taken: PortSet = listening.iter().map(crate::Socket::port).collect();
        for held in self.leases.values_mut() {
            held.ports.retain(|(port, _)| !taken.contains(*port));
        }
        self.leases.retain(|_, held| !held.ports.is_empty());
        Ok(())
    }

    /// The leases that hold ports.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + '_ {
        self.leases.iter().map(|(id, held)| Lease {
            id: *id,
            ports: held.ports.iter().map(|(port, _)| *port).collect(),
            until: held.until,
        })
    }

    /// The ports kept at this moment, for [`Scanner::scan`](crate::Scanner::scan).
    #[must_use]
    pub fn guards(&self) -> Vec<Guard> {
        let held = self.leases.values().flat_map(|held| &held.ports);
        held.map(|(port, guard)| Guard {
            port: *port,
            cookie: guard.cookie(),
        })
        .collect()
    }

    fn expire(&mut self, now: Instant) {
        self.leases.retain(|_, held| held.until > now);
    }

    fn held_ports(&self) -> usize {
        self.leases.values().map(|held| held.ports.len()).sum()
    }

    fn check_hold(&self, request: &Request<'_>) -> Result<(), AllocateError> {
        let Some(hold) = request.hold else {
            return Ok(());
        };
        let longest = self.limits.max_hold;
        if hold.is_zero() || hold > longest {
            return Err(AllocateError::Hold(format!(
                "a lease lasts up to {} seconds",
                longest.as_secs()
            )));
        }
        let held = self.held_ports();
        if held + request.count > self.limits.max_held_ports {
            let limit = self.limits.max_held_ports;
            return Err(AllocateError::Hold(format!(
                "leases hold {held} ports already, and {limit} is the limit"
            )));
        }
        Ok(())
    }

    fn keep(&mut self, ports: Vec<(u16, GuardSocket)>, until: Instant) -> Result<LeaseId, Error> {
        let id = LeaseId(random()?);
        self.leases.insert(id, Held { until, ports });
        Ok(id)
    }

    /// Tries each port at most once: first those that nothing speaks against, then the doubtful ones.
    fn search(&self, request: &Request<'_>) -> Result<Search, Error> {
        let order = Permutation::draw(request.ranges)?;
        let avoid = self.avoid(request)?;
        let mut search = Search::default();
        for doubtful in [false, true] {
            for port in order.ports(request.ranges) {
                if search.guards.len() == request.count {
                    return Ok(search);
                }
                if avoid.never.contains(port) || avoid.doubtful.contains(port) != doubtful {
                    continue;
                }
                search.try_port(port)?;
            }
        }
        search.ephemeral = avoid.ephemeral;
        Ok(search)
    }

    fn avoid(&self, request: &Request<'_>) -> Result<Avoid, Error> {
        let mut avoid = Avoid::default();
        if !request.ephemeral {
            let ephemeral = ephemeral_ports(&self.proc).unwrap_or_default();
            avoid.never.extend(ephemeral.iter());
            avoid.ephemeral = request
                .ranges
                .iter()
                .filter(|port| avoid.never.contains(*port))
                .count();
        }
        avoid
            .never
            .extend(request.exclude.into_iter().flat_map(PortRanges::iter));
        avoid.never.extend(
            self.leases
                .values()
                .flat_map(|held| &held.ports)
                .map(|(port, _)| *port),
        );
        if request.udp {
            let sockets = Listing::new(&self.proc, self.backend).udp(request.ranges)?;
            avoid.never.extend(sockets.iter().map(crate::Socket::port));
        }
        avoid.doubtful.extend(self.recent.keys().copied());
        avoid
            .doubtful
            .extend(request.taken.into_iter().flat_map(PortSet::iter));
        Ok(avoid)
    }
}

/// Ports that are not tried, and ports that are tried last.
#[derive(Default)]
struct Avoid {
    never: PortSet,
    doubtful: PortSet,
    ephemeral: usize,
}

#[derive(Default)]
struct Search {
    guards: Vec<(u16, GuardSocket)>,
    ephemeral: usize,
    forbidden: usize,
}

impl Search {
    fn try_port(&mut self, port: u16) -> Result<(), Error> {
        match guard(port)? {
            Bind::Done(guard) => self.guards.push((port, guard)),
            Bind::InUse => {}
            Bind::Forbidden => self.forbidden += 1,
        }
        Ok(())
    }
}
