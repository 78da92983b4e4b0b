//! How a search for owners went, and what it lacked.

/// How the search for owners went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribution {
    /// Sockets with a known owner.
    pub attributed: usize,
    /// Sockets without one although a process may hold them.
    pub unattributed: usize,
    /// Leftovers that no process holds.
    pub ownerless: usize,
    /// Processes whose list of files may not be opened: needs `CAP_DAC_READ_SEARCH`.
    pub unlisted_processes: usize,
    /// Processes whose files may not be read: needs `CAP_SYS_PTRACE`, and a security profile that allows it.
    pub unread_processes: usize,
    /// Links that were read; 0 where everything was known.
    pub links_read: usize,
    /// Why no process could be looked at.
    pub failure: Option<String>,
}

impl Attribution {
    /// The rights that the last search lacked, by their Linux names.
    pub fn missing_rights(&self) -> impl Iterator<Item = &'static str> {
        let list = (self.unlisted_processes > 0).then_some("CAP_DAC_READ_SEARCH");
        let read = (self.unread_processes > 0).then_some("CAP_SYS_PTRACE");
        list.into_iter().chain(read)
    }

    /// One sentence where sockets stayed without owner.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        if self.unattributed == 0 {
            return None;
        }
        let rights: Vec<_> = self.missing_rights().collect();
        let reason = match (&self.failure, rights.is_empty()) {
            (Some(failure), _) => failure.clone(),
            (None, false) => {
                let denied = self.unlisted_processes + self.unread_processes;
                format!("looking into {denied} processes takes {}", rights.join(" and "))
            }
            (None, true) => "held by the kernel, on their way between processes, or by processes not visible here".to_owned(),
        };
        let all = self.attributed + self.unattributed;
        Some(format!(
            "owners of {} of {all} sockets are not known: {reason}",
            self.unattributed
        ))
    }
}
