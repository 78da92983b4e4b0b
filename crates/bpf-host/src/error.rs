//! What can go wrong, and who can mend it.

use std::fmt;
use std::io;

/// Why something was not done. Nothing of it is left behind in the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object holds something that this crate does not load.
    #[error("the object is refused: {0}")]
    Object(String),
    /// The request contradicts itself, a local rule, or what is already there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A parameter does not fit its type.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The kernel said no.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A rule of this host forbids it.
    #[error("refused by the rules of this host: {0}")]
    Policy(String),
    /// The request cannot be meant.
    #[error("refused: {0}")]
    Request(String),
    /// Another XDP program is on the interface.
    #[error("refused: interface {interface} already has {holder}")]
    Occupied {
        /// The interface.
        interface: String,
        /// Who is there.
        holder: String,
    },
    /// Another process uses the folder of pins.
    #[error("refused: another process holds {0}")]
    Busy(String),
}

/// A parameter that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {at}: {problem}")]
#[non_exhaustive]
pub struct ParameterError {
    /// The place in the parameters, such as `rules[2].key.port`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
    /// Whether loading the program again, with this parameter, would help.
    pub needs_reload: bool,
}

/// A refused system call.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing}: {source}{}", .verifier.as_ref().map(|log| format!(" ({})", log.reason())).unwrap_or_default())]
#[non_exhaustive]
pub struct KernelError {
    /// What was tried.
    pub doing: String,
    /// What the kernel answered.
    pub source: io::Error,
    /// What its verifier wrote, if it was asked.
    pub verifier: Option<VerifierLog>,
}

/// The verifier's words, shortened: the beginning and the end, where the reason stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierLog {
    text: String,
}

impl Error {
    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Object(_) | Self::Parameter(_) => false,
            Self::Refused(refusal) => {
                matches!(refusal, Refusal::Occupied { .. } | Refusal::Busy(_))
            }
            Self::Kernel(error) => error.is_transient(),
        }
    }

    pub(crate) fn kernel(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Kernel(KernelError {
            doing: doing.into(),
            source: source.into(),
            verifier: None,
        })
    }

    pub(crate) fn request(text: impl Into<String>) -> Self {
        Self::Refused(Refusal::Request(text.into()))
    }

    pub(crate) fn policy(text: impl Into<String>) -> Self {
        Self::Refused(Refusal::Policy(text.into()))
    }
}

impl KernelError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        const PASSING: [i32; 6] = [
            libc::EAGAIN,
            libc::EBUSY,
            libc::EINTR,
            libc::ENODEV,
            libc::ENOMEM,
            libc::EMFILE,
        ];
        self.source
            .raw_os_error()
            .is_some_and(|errno| PASSING.contains(&errno))
    }
}

impl VerifierLog {
    const HEAD: usize = 4 << 10;
    const TAIL: usize = 16 << 10;

    pub(crate) fn new(full: &str) -> Option<Self> {
        let full = full.trim_end_matches(['\0', '\n']);
        if full.is_empty() {
            return None;
        }
        if full.len() <= Self::HEAD + Self::TAIL {
            return Some(Self {
                text: full.to_owned(),
            });
        }
        let head = full.get(..boundary(full, Self::HEAD)).unwrap_or_default();
        let from = boundary(full, full.len() - Self::TAIL);
        let tail = full.get(from..).unwrap_or_default();
        let left_out = full.len().saturating_sub(head.len() + tail.len());
        Some(Self {
            text: format!("{head}\n[{left_out} bytes left out]\n{tail}"),
        })
    }

    /// The text: at most 20 KiB of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line that says why, in the words of a person where the kernel's are a riddle.
    #[must_use]
    pub fn reason(&self) -> &str {
        // The loader writes this number over instructions whose field this kernel does not have.
        if self.text.contains("unknown#195896080") {
            return "CO-RE relocation failed: this kernel lacks a type or field that the program reads";
        }
        let counts = |line: &&str| {
            !line.starts_with("processed ")
                && !line.starts_with("verification time")
                && !line.starts_with("stack depth")
        };
        self.text
            .lines()
            .rev()
            .filter(counts)
            .find(|line| !line.trim().is_empty())
            .unwrap_or(&self.text)
    }
}

impl fmt::Display for VerifierLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The last place up to `at` where a text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_keep_their_ends() {
        let long = format!(
            "begin\n{}\nthe reason\nprocessed 7 insns",
            "ä step\n".repeat(100_000)
        );
        let log = VerifierLog::new(&long);
        let log = log.as_ref().map_or("", VerifierLog::text);
        assert!(log.starts_with("begin\n") && log.ends_with("processed 7 insns"));
        assert!(log.contains(" bytes left out]") && log.len() < 21 << 10);
        assert_eq!(VerifierLog::new("\0"), None);
    }

    #[test]
    fn the_reason_is_the_last_line_that_is_none_of_the_figures() {
        let reason = |text: &str| VerifierLog::new(text).map(|log| log.reason().to_owned());
        assert_eq!(
            reason("0: r0 = 0\nR0 invalid mem access\nprocessed 7 insns"),
            Some("R0 invalid mem access".to_owned())
        );
        assert!(
            reason("invalid func unknown#195896080")
                .is_some_and(|text| text.starts_with("CO-RE relocation failed"))
        );
    }
}
