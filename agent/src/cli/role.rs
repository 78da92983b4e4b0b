//! What kind of agent this is: a set of defaults, chosen by flag, by environment or by the name the program is called by.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::layers::Env;
use super::spelling::hint;

/// A set of defaults. Every loop can be switched on in every role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Registers a VPS, beats, scans and hands out ports, serves metrics.
    Sigma,
    /// Pushes a sample of this host every few seconds.
    Luna,
    /// Tells a Firecracker guest's processor and memory as JSON.
    Guest,
    /// Runs signed eBPF programs.
    Aegis,
}

/// The option and the variable that name a role; both stand in the table of options too.
const FLAG: &str = "--role";
const VARIABLE: &str = super::options::ROLE_VARIABLE;

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Sigma, Self::Luna, Self::Guest, Self::Aegis];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sigma => "sigma",
            Self::Luna => "luna",
            Self::Guest => "guest",
            Self::Aegis => "aegis",
        }
    }

    /// What the program is called in this role, also by those who start it under that name.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Sigma => "sigma-agent",
            Self::Luna => "lunasentri-agent",
            Self::Guest => "guest-agent",
            Self::Aegis => "local-agent",
        }
    }

    pub(super) fn about(self) -> &'static str {
        if !self.is_built_in() {
            // Nobody can ask; so a small build need not have the words.
            return "";
        }
        match self {
            Self::Sigma => {
                "Registers this host with a Sigma API, sends heartbeats, scans and hands out ports, and serves metrics over HTTP."
            }
            Self::Luna => {
                "Pushes a sample of this host's processor, memory, disk and network to a LunaSentri-style API every few seconds."
            }
            Self::Guest => {
                "Tells this guest's processor and memory as JSON over HTTP, for the manager of a Firecracker host."
            }
            Self::Aegis => {
                "Runs the signed eBPF programs that a registry assigns to this host: verifies, loads, meters, expires and rolls them back."
            }
        }
    }

    /// Whether this program was built with what the role is about.
    pub(super) fn is_built_in(self) -> bool {
        match self {
            Self::Sigma => cfg!(feature = "sigma"),
            Self::Luna => cfg!(feature = "luna"),
            Self::Guest => cfg!(feature = "guest"),
            Self::Aegis => cfg!(feature = "aegis"),
        }
    }

    /// The role of a program that nobody gave one.
    fn usual() -> Self {
        let built = Self::ALL.into_iter().find(|role| role.is_built_in());
        built.unwrap_or(Self::Sigma)
    }

    /// The role that flag, environment or name ask for, in this order. The text of a refusal says what is allowed.
    pub(super) fn find(program: &OsStr, args: &[OsString], env: Env<'_>) -> Result<Self, String> {
        let asked = asked(args)
            .map(|text| (text, "command line"))
            .or_else(|| Some((env(VARIABLE).filter(|text| !text.is_empty())?, VARIABLE)));
        let Some((text, origin)) = asked else {
            return Ok(Self::called(program).unwrap_or_else(Self::usual));
        };
        let role = Self::ALL
            .into_iter()
            .find(|role| text.to_str() == Some(role.as_str()));
        match role {
            Some(role) if role.is_built_in() => Ok(role),
            Some(role) => Err(format!(
                "{FLAG}: this program was built without the role {}; it has {}",
                role.as_str(),
                built_in()
            )),
            None => Err(format!(
                "{FLAG}: {text:?} ({origin}) is not allowed; allowed: {}{}",
                built_in(),
                hint(&text.to_string_lossy(), &Self::ALL.map(Self::as_str))
            )),
        }
    }

    fn called(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        Self::ALL
            .into_iter()
            .find(|role| role.program() == name && role.is_built_in())
    }
}

fn built_in() -> String {
    let names: Vec<&str> = Role::ALL
        .into_iter()
        .filter(|role| role.is_built_in())
        .map(Role::as_str)
        .collect();
    names.join(", ")
}

/// The role that the command line names: names and defaults of all other options follow from it, so it is looked for first.
fn asked(args: &[OsString]) -> Option<OsString> {
    let mut args = args.iter();
    let mut found = None;
    while let Some(arg) = args.next() {
        let Some(text) = arg.to_str() else { continue };
        if text == FLAG {
            found = args.next().cloned();
        } else if let Some(value) = text
            .strip_prefix(FLAG)
            .and_then(|rest| rest.strip_prefix('='))
        {
            found = Some(value.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(program: &str, args: &[&str], variable: Option<&str>) -> Result<Role, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Role::find(OsStr::new(program), &args, &|name| {
            (name == VARIABLE).then(|| variable.map(OsString::from))?
        })
    }

    #[test]
    fn flag_beats_environment_beats_name() {
        for (program, args, variable, role) in [
            ("sigma-agent", &[][..], None, Role::Sigma),
            ("/usr/local/bin/lunasentri-agent", &[], None, Role::Luna),
            ("./guest-agent", &["--interval", "5"], None, Role::Guest),
            ("/usr/bin/local-agent", &[], None, Role::Aegis),
            ("anything", &[], None, Role::Sigma),
            ("guest-agent", &[], Some("luna"), Role::Luna),
            ("guest-agent", &[], Some(""), Role::Guest),
            (
                "guest-agent",
                &["--role", "sigma"],
                Some("luna"),
                Role::Sigma,
            ),
            ("sigma-agent", &["check", "--role=guest"], None, Role::Guest),
        ] {
            assert_eq!(
                find(program, args, variable),
                Ok(role),
                "{program} {args:?} {variable:?}"
            );
        }
    }

    #[test]
    fn an_unknown_role_is_refused_with_those_there_are() {
        for (args, variable) in [(&["--role", "moon"][..], None), (&[], Some("moon"))] {
            let why = find("sigma-agent", args, variable).unwrap_err();
            assert!(
                why.contains("\"moon\"") && why.contains("sigma, luna, guest, aegis"),
                "{why}"
            );
        }
    }
}
