//! The table of options: it feeds the parser, the help, the configuration file and docs/CONFIG.md.

mod general;
#[cfg(feature = "guest")]
mod guest;
mod http;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
pub(super) mod section;
#[cfg(feature = "sigma")]
mod sigma;

use super::role::Role;

pub(super) use general::ROLE_VARIABLE;
use section::Section;

/// What a reload (SIGHUP) does with a changed value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reload {
    /// Taken over while running.
    Live,
    /// Said in the log, taken over at the next start.
    Restart,
}

/// One option: `--name VALUE`, its environment variable and its key in the file.
#[derive(Debug)]
pub(crate) struct Opt {
    /// Its name in this program, and for operators too where their role has no other.
    pub(crate) name: &'static str,
    /// Its variable in every role.
    pub(crate) env: &'static str,
    /// What stands for the value in help texts; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    /// Used where nobody says otherwise; `""` means that the option is off.
    default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) section: Section,
    /// Never printed, not even in an error.
    pub(crate) secret: bool,
    pub(crate) reload: Reload,
    /// The names under which roles know it.
    names: &'static [(Role, &'static str)],
    /// The variables that roles have of their own; they come before the common one.
    envs: &'static [(Role, &'static str)],
    /// The defaults that roles have of their own.
    defaults: &'static [(Role, &'static str)],
}

impl Opt {
    /// The name under which operators of a role know it.
    pub(crate) fn name(&self, role: Role) -> &'static str {
        of(self.names, role).unwrap_or(self.name)
    }

    /// The key in the YAML file: the name with underscores.
    pub(crate) fn key(&self, role: Role) -> String {
        self.name(role).replace('-', "_")
    }

    /// Its variables, the strongest first.
    pub(crate) fn variables(&self, role: Role) -> impl Iterator<Item = &'static str> + use<> {
        of(self.envs, role).into_iter().chain([self.env])
    }

    pub(crate) fn default(&self, role: Role) -> &'static str {
        of(self.defaults, role).unwrap_or(self.default)
    }

    /// The name that works in every role, where this role has another name for it and no other option is called so.
    pub(crate) fn other_name(&self, role: Role) -> Option<&'static str> {
        let other = self.name != self.name(role);
        (other && all().all(|option| option.name(role) != self.name)).then_some(self.name)
    }

    /// Which file holds the configuration, and which role reads it, cannot stand in that file.
    pub(crate) fn stands_in_file(&self) -> bool {
        !matches!(self.name, "config" | "role")
    }
}

fn of(table: &'static [(Role, &'static str)], role: Role) -> Option<&'static str> {
    let entry = table.iter().find(|(of, _)| *of == role);
    entry.map(|(_, text)| *text)
}

const GROUPS: &[&[Opt]] = &[
    #[cfg(feature = "sigma")]
    sigma::API,
    general::IDENTITY,
    #[cfg(feature = "sigma")]
    sigma::HEARTBEATS,
    #[cfg(feature = "sigma")]
    sigma::ADDRESSES,
    general::ADDRESSES,
    #[cfg(feature = "luna")]
    push::PUSH,
    #[cfg(feature = "guest")]
    guest::GUEST,
    #[cfg(feature = "aegis")]
    programs::PROGRAMS,
    #[cfg(feature = "aegis")]
    programs::NATS,
    http::HTTP,
    #[cfg(feature = "sigma")]
    sigma::HTTP,
    #[cfg(feature = "sigma")]
    sigma::PORTS,
    general::HOST,
    general::GENERAL,
];

/// Every option that this program was built with.
pub(crate) fn all() -> impl Iterator<Item = &'static Opt> {
    GROUPS.iter().copied().flatten()
}

/// The option called `name`. Asking for one that is not in the table is a mistake in this program, found by any test that loads a configuration.
pub(crate) fn find(name: &str) -> Option<&'static Opt> {
    all().find(|option| option.name == name)
}

/// The flag of an option, as the operators of a role know it.
#[cfg(feature = "terminal")]
pub(crate) fn flag(role: Role, name: &str) -> String {
    let known = find(name).map_or(name, |option| option.name(role));
    format!("--{known}")
}

/// A variable's name without what those of the table begin with; `None` for the variables of others.
#[cfg(feature = "terminal")]
pub(crate) fn after_prefix(variable: &str) -> Option<(&'static str, &str)> {
    let prefixes = ["AGENT_", "SIGMA_", "LUNASENTRI_"];
    prefixes
        .into_iter()
        .find_map(|prefix| Some((prefix, variable.strip_prefix(prefix)?)))
}

const fn option(
    section: Section,
    name: &'static str,
    env: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Opt {
    Opt {
        name,
        env,
        value: Some(value),
        default,
        help,
        section,
        secret: false,
        reload: Reload::Live,
        names: &[],
        envs: &[],
        defaults: &[],
    }
}

const fn switch(
    section: Section,
    name: &'static str,
    env: &'static str,
    help: &'static str,
) -> Opt {
    let mut switch = option(section, name, env, "", "false", help);
    switch.value = None;
    switch
}

impl Opt {
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn needs_restart(mut self) -> Self {
        self.reload = Reload::Restart;
        self
    }

    #[cfg(any(feature = "luna", feature = "sigma"))]
    const fn named(mut self, names: &'static [(Role, &'static str)]) -> Self {
        self.names = names;
        self
    }

    const fn by_variable(mut self, envs: &'static [(Role, &'static str)]) -> Self {
        self.envs = envs;
        self
    }

    /// A switch that is on unless somebody says otherwise.
    #[cfg(feature = "aegis")]
    const fn on(mut self) -> Self {
        self.default = "true";
        self
    }

    const fn by_role(mut self, defaults: &'static [(Role, &'static str)]) -> Self {
        self.defaults = defaults;
        self
    }
}
