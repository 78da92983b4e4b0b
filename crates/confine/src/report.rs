//! What came into force, and what did not and why.

use std::path::PathBuf;

use crate::{Capability, Error};

/// What became of one part of a profile.
#[derive(Debug)]
pub enum Outcome<T> {
    /// The profile leaves it alone.
    NotAsked,
    /// It holds from now on, for good.
    InForce(T),
    /// It does not hold.
    Refused(Error),
}

impl<T> Outcome<T> {
    /// What holds, if it does.
    pub fn in_force(&self) -> Option<&T> {
        match self {
            Self::InForce(what) => Some(what),
            Self::NotAsked | Self::Refused(_) => None,
        }
    }

    /// Why it does not hold, if it was asked for.
    pub fn refusal(&self) -> Option<&Error> {
        match self {
            Self::Refused(why) => Some(why),
            Self::NotAsked | Self::InForce(_) => None,
        }
    }
}

/// Everything that came of [`Profile::apply`](crate::Profile::apply).
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// No program that is started from here gets more rights than this process has.
    pub no_new_privs: Outcome<()>,
    /// No core dumps, no look from outside.
    pub undumpable: Outcome<()>,
    /// Rules about files, ports and neighbours.
    pub landlock: Outcome<Landlocked>,
    /// Which capabilities are left.
    pub capabilities: Outcome<Kept>,
    /// Which system calls are left.
    pub calls: Outcome<Filtered>,
}

/// What Landlock enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Landlocked {
    /// The version of its interface that is used.
    pub abi: u32,
    /// How many rules about files there are.
    pub rules: usize,
    /// Paths of rules at which nothing stands, so that nothing is allowed there.
    pub absent: Vec<PathBuf>,
    /// What the profile asks for and this kernel cannot enforce.
    pub lacking: Vec<&'static str>,
}

/// What is left of the capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Those that are left.
    pub capabilities: Vec<Capability>,
    /// Those that were there and are gone.
    pub dropped: Vec<Capability>,
    /// Whether the bounding set was lowered as well. Without `CAP_SETPCAP` it cannot be; with no new privileges it does not matter.
    pub bounded: bool,
}

/// What the filter of system calls does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filtered {
    /// How many system calls it refuses, or refuses with some arguments.
    pub refused: usize,
    /// The number above which every system call is unknown to it and refused, as an older kernel would.
    pub newest: u32,
}

impl Report {
    /// What was asked for and does not hold, in words.
    pub fn shortcomings(&self) -> Vec<String> {
        let refused = [
            self.no_new_privs.refusal(),
            self.undumpable.refusal(),
            self.landlock.refusal(),
            self.capabilities.refusal(),
            self.calls.refusal(),
        ];
        let mut told: Vec<String> = refused
            .into_iter()
            .flatten()
            .map(Error::to_string)
            .collect();
        if let Some(landlocked) = self.landlock.in_force() {
            let lacking = landlocked.lacking.iter();
            told.extend(lacking.map(|what| {
                format!(
                    "this kernel's Landlock (version {}) cannot {what}",
                    landlocked.abi
                )
            }));
        }
        told
    }

    /// Whether all that was asked for holds.
    pub fn is_complete(&self) -> bool {
        self.shortcomings().is_empty()
    }
}
