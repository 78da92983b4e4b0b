//! From what is known of a port to one word about it.

use std::fmt;

/// What a port is to a server that wants it on every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verdict {
    /// Nobody holds it.
    Free,
    /// A TCP socket listens on it, on whatever address.
    Listening,
    /// A TCP socket has it and does not listen (yet).
    Bound,
    /// Connections or leftovers of connections keep even `SO_REUSEADDR` servers out.
    Blocked,
    /// Only UDP sockets have it; TCP servers can bind.
    Udp,
    /// Leftovers of connections: `SO_REUSEADDR` servers can bind, others cannot.
    Reusable,
    /// Connections or leftovers, and no test was made of who can bind.
    Lingering,
    /// Kept by a lease of this program and not yet taken by its server.
    Leased,
    /// This program may not bind it, so nothing more is known from binding.
    Forbidden,
    /// Left alone by configuration, and held by nobody.
    Excluded,
}

impl Verdict {
    /// Every verdict, in the order of the type.
    pub const ALL: [Self; 10] = [
        Self::Free,
        Self::Listening,
        Self::Bound,
        Self::Blocked,
        Self::Udp,
        Self::Reusable,
        Self::Lingering,
        Self::Leased,
        Self::Forbidden,
        Self::Excluded,
    ];

    /// The word for tables and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Listening => "listening",
            Self::Bound => "bound",
            Self::Blocked => "blocked",
            Self::Udp => "udp",
            Self::Reusable => "reusable",
            Self::Lingering => "lingering",
            Self::Leased => "leased",
            Self::Forbidden => "forbidden",
            Self::Excluded => "excluded",
        }
    }

    /// Whether somebody holds the port for certain.
    #[must_use]
    pub const fn is_used(self) -> bool {
        matches!(
            self,
            Self::Listening | Self::Bound | Self::Blocked | Self::Udp
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was found out about one port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) listening: bool,
    pub(crate) bound: bool,
    /// Other TCP sockets: connections and their leftovers.
    pub(crate) connected: bool,
    pub(crate) udp: bool,
    /// `Some(false)`: in use.
    pub(crate) bindable: Option<bool>,
    pub(crate) forbidden: bool,
    pub(crate) leased: bool,
    pub(crate) excluded: bool,
}

/// The first rule that fits.
pub(crate) const fn decide(port: Evidence) -> Verdict {
    match port {
        Evidence {
            forbidden: true, ..
        } => Verdict::Forbidden,
        Evidence {
            listening: true, ..
        } => Verdict::Listening,
        Evidence { bound: true, .. } => Verdict::Bound,
        Evidence {
            bindable: Some(false),
            ..
        } => Verdict::Blocked,
        Evidence { udp: true, .. } => Verdict::Udp,
        Evidence { leased: true, .. } => Verdict::Leased,
        Evidence { excluded: true, .. } => Verdict::Excluded,
        Evidence {
            connected: true,
            bindable: Some(true),
            ..
        } => Verdict::Reusable,
        Evidence {
            connected: true,
            bindable: None,
            ..
        } => Verdict::Lingering,
        _ => Verdict::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_wins() {
        let all = Evidence {
            listening: true,
            bound: true,
            connected: true,
            udp: true,
            bindable: Some(false),
            forbidden: true,
            leased: true,
            excluded: true,
        };
        let order = [
            (all, Verdict::Forbidden),
            (
                Evidence {
                    forbidden: false,
                    ..all
                },
                Verdict::Listening,
            ),
            (
                Evidence {
                    forbidden: false,
                    listening: false,
                    ..all
                },
                Verdict::Bound,
            ),
            (
                Evidence {
                    forbidden: false,
                    listening: false,
                    bound: false,
                    ..all
                },
                Verdict::Blocked,
            ),
        ];
        for (evidence, verdict) in order {
            assert_eq!(decide(evidence), verdict);
        }
        let open = Evidence {
            connected: true,
            udp: true,
            bindable: Some(true),
            ..Evidence::default()
        };
        assert_eq!(decide(open), Verdict::Udp);
        assert_eq!(decide(Evidence { udp: false, ..open }), Verdict::Reusable);
        assert_eq!(
            decide(Evidence {
                udp: false,
                bindable: None,
                ..open
            }),
            Verdict::Lingering
        );
        assert_eq!(decide(Evidence::default()), Verdict::Free);
    }
}
