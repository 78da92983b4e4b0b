//! Attaches the programs of an artifact one by one, and knows the way back.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::{Error, Result};
use crate::places::Places;
use crate::running::{HeldLink, HeldProgram, LinkPlace, Running};
use crate::scanned_object::ScannedProgram;
use crate::{Target, attachment, kernel_info, syscall};

/// An attempt to attach a version, over the links of the one before where that is possible.
pub(crate) struct Attaching<'a> {
    places: &'a Places,
    old: Option<&'a Running>,
    reusable: Vec<&'a HeldLink>,
    links: Vec<HeldLink>,
    undo: Vec<Undo>,
}

/// How to take back one step.
enum Undo {
    Detach,
    PutBack { program: OwnedFd },
}

/// The way back, one step for each link.
pub(crate) struct WayBack(Vec<Undo>);

impl<'a> Attaching<'a> {
    pub(crate) fn begin(places: &'a Places, old: Option<&'a Running>) -> Self {
        // A link whose interface or cgroup is gone takes nothing over.
        let usable = |link: &&HeldLink| {
            let info = kernel_info::link(link.fd.as_fd());
            link.place.kind.link_is_updatable()
                && info.is_ok_and(|info| info.is_attached() != Some(false))
        };
        let reusable = old
            .iter()
            .flat_map(|old| &old.links)
            .filter(usable)
            .collect();
        Self {
            places,
            old,
            reusable,
            links: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Attaches a program to one target. What was done before stays done.
    pub(crate) fn attach(
        &mut self,
        program: &ScannedProgram,
        held: &HeldProgram,
        target: &Target,
    ) -> Result<()> {
        let place = LinkPlace::new(program.kind, program.attach_type, target);
        if let Some(link) = self.take_reusable(&place, &program.name) {
            let taken = self.take_over(link, held, &program.name);
            return taken.map_err(|source| {
                Error::kernel(format!("replace what is attached to {target}"), source)
            });
        }
        for fd in attachment::attach(
            held.fd.as_fd(),
            program.kind,
            program.attach_type,
            target,
            self.places,
        )? {
            self.undo.push(Undo::Detach);
            self.links.push(HeldLink {
                program: program.name.clone(),
                place: place.clone(),
                fd,
            });
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> (Vec<HeldLink>, WayBack) {
        (self.links, WayBack(self.undo))
    }

    /// A link of the old version at that place; that of the program of the same name, if there are several.
    fn take_reusable(&mut self, place: &LinkPlace, program: &str) -> Option<&'a HeldLink> {
        let same = |link: &&HeldLink| link.place == *place;
        let by_name = self
            .reusable
            .iter()
            .position(|link| same(link) && link.program == program);
        let at = by_name.or_else(|| self.reusable.iter().position(same))?;
        Some(self.reusable.remove(at))
    }

    /// Puts the new program behind a link of the old version.
    fn take_over(&mut self, link: &HeldLink, new: &HeldProgram, name: &str) -> io::Result<()> {
        let before: Option<&BTreeMap<_, HeldProgram>> = self.old.map(|old| &old.programs);
        let before = before
            .and_then(|programs| programs.get(&link.program))
            .ok_or(io::ErrorKind::NotFound)?;
        let (fd, program) = (link.fd.try_clone()?, before.fd.try_clone()?);
        syscall::update_link(fd.as_fd(), new.fd.as_fd())?;
        self.undo.push(Undo::PutBack { program });
        self.links.push(HeldLink {
            program: name.to_owned(),
            place: link.place.clone(),
            fd,
        });
        Ok(())
    }
}

impl WayBack {
    /// Takes back all steps, the last one first; says in the error if that failed, too.
    pub(crate) fn take(self, links: &[HeldLink], error: Error) -> Error {
        let mut stuck = Vec::new();
        for (step, link) in self.0.into_iter().zip(links).rev() {
            match step {
                // Kinds without this call are detached with their last descriptor, right after this.
                Undo::Detach => drop(syscall::detach_link(link.fd.as_fd())),
                Undo::PutBack { program } => {
                    let back = syscall::update_link(link.fd.as_fd(), program.as_fd());
                    stuck.extend(
                        back.err()
                            .map(|again| format!("{}: {again}", link.place.target)),
                    );
                }
            }
        }
        if stuck.is_empty() {
            return error;
        }
        Error::kernel(
            format!(
                "put the old version back on {} after this: {error}",
                stuck.join(", ")
            ),
            io::ErrorKind::Other,
        )
    }
}
