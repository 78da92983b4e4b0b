//! A profile put in force, in the order in which no step takes away what the next one needs.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use crate::report::{Landlocked, Outcome, Report};
use crate::{Error, Profile, capabilities, filter};

impl Profile {
    /// Takes from the calling thread what the profile does not leave it; threads that it starts afterwards are born with as little. Call it
    /// before there are other threads: of those, only the filter of system calls takes hold.
    ///
    /// There is no way back. Each part is put in force as a whole or not at all, and what fails does not hold up the others: the report
    /// says what holds.
    #[must_use = "the report says what does not hold"]
    pub fn apply(&self) -> Report {
        Report {
            no_new_privs: outcome(
                set_no_new_privs(true).map_err(Error::refused("give up new privileges")),
            ),
            undumpable: asked(self.undumpable, undumpable),
            // While the rights are still there that opening the folders of rules may need.
            landlock: asked(self.asks_landlock(), || landlock(self)),
            capabilities: match &self.capabilities {
                Some(kept) => outcome(capabilities::keep(kept, self.inherited)),
                None => Outcome::NotAsked,
            },
            // Last: it refuses some of the calls above.
            calls: match &self.calls {
                Some(calls) => outcome(filter::install(calls)),
                None => Outcome::NotAsked,
            },
        }
    }
}

fn outcome<T>(result: Result<T, Error>) -> Outcome<T> {
    match result {
        Ok(what) => Outcome::InForce(what),
        Err(why) => Outcome::Refused(why),
    }
}

fn asked<T>(wanted: bool, work: impl FnOnce() -> Result<T, Error>) -> Outcome<T> {
    if wanted {
        outcome(work())
    } else {
        Outcome::NotAsked
    }
}

fn undumpable() -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Error::refused("forbid core dumps"))
}

#[cfg(feature = "landlock")]
fn landlock(profile: &Profile) -> Result<Landlocked, Error> {
    crate::landlocked::restrict(profile)
}

#[cfg(not(feature = "landlock"))]
fn landlock(_: &Profile) -> Result<Landlocked, Error> {
    Err(Error::Unsupported {
        what: "Landlock",
        why: "this program was built without it".to_owned(),
    })
}
