//! What groups of options are about; in help and docs they stand in the order of the table.

use crate::cli::role::Role;

/// A group of options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// The roles whose short help shows it.
    main: &'static [Role],
}

impl Section {
    const fn new(title: &'static str, main: &'static [Role]) -> Self {
        Self { title, main }
    }

    pub(in crate::cli) fn is_main(self, role: Role) -> bool {
        self.main.contains(&role)
    }
}

#[cfg(feature = "sigma")]
pub(crate) const API: Section = Section::new("Sigma API", &[Role::Sigma]);
pub(crate) const IDENTITY: Section = Section::new("Identity", &Role::ALL);
#[cfg(feature = "sigma")]
pub(crate) const HEARTBEATS: Section = Section::new("Heartbeats", &[Role::Sigma]);
pub(crate) const ADDRESSES: Section = Section::new("Addresses", &[Role::Sigma, Role::Guest]);
#[cfg(feature = "luna")]
pub(crate) const PUSH: Section = Section::new("Push of samples", &[Role::Luna]);
#[cfg(feature = "aegis")]
pub(crate) const PROGRAMS: Section = Section::new("Signed eBPF programs", &[Role::Aegis]);
#[cfg(feature = "aegis")]
pub(crate) const NATS: Section = Section::new("Events over NATS", &[Role::Aegis]);
#[cfg(feature = "guest")]
pub(crate) const GUEST: Section = Section::new("Guest of a Firecracker host", &[Role::Guest]);
pub(crate) const HTTP: Section = Section::new("HTTP server", &Role::ALL);
#[cfg(feature = "sigma")]
pub(crate) const PORTS: Section = Section::new("Port scan", &[Role::Sigma]);
pub(crate) const HOST: Section = Section::new("Where the host is", &Role::ALL);
pub(crate) const GENERAL: Section = Section::new("General", &Role::ALL);
