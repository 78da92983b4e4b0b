//! The table of names under which holders of ports are counted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use crate::Process;

/// Counted for a holder that the table does not know.
pub(crate) const OTHER: &str = "other";
/// Counted where the holder could not be found.
pub(crate) const UNKNOWN: &str = "unknown";

/// The kernel keeps this much of a process's name.
const COMM_BYTES: usize = 15;

/// Categories of port holders, each with the program names that belong to it.
///
/// A process belongs to a category if its kernel name, or the file name of its program, is one of the names
/// exactly: `notenvoy` is not `envoy`.
///
/// ```
/// use portscan::{Process, Sources};
///
/// let sources: Sources = "envoy,web=nginx|caddy".parse()?;
/// assert_eq!(sources.category(Some(&Process::named(7, "caddy"))), "web");
/// assert_eq!(sources.category(Some(&Process::named(8, "bash"))), "other");
/// assert_eq!(sources.category(None), "unknown");
/// assert_eq!(sources.names().collect::<Vec<_>>(), ["envoy", "web", "other", "unknown"]);
/// # Ok::<(), portscan::ParseSourcesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    categories: Vec<Category>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Category {
    name: String,
    programs: Vec<String>,
}

/// Why a text is no table of sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSourcesError {
    /// One part has no name, or an empty program name.
    #[error("{0:?} is neither NAME nor NAME=PROGRAM|PROGRAM")]
    NotASource(String),
    /// The name is given twice, or is `other` or `unknown`, which are always there.
    #[error("source {0:?} is already there")]
    Taken(String),
}

impl Sources {
    /// A table of names that are category and program name at once.
    fn plain(names: &[&str]) -> Self {
        let category = |name: &&str| Category {
            name: (*name).to_owned(),
            programs: vec![(*name).to_owned()],
        };
        Self {
            categories: names.iter().map(category).collect(),
        }
    }

    /// The categories in order, `other` and `unknown` last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.categories
            .iter()
            .map(|category| category.name.as_str())
            .chain([OTHER, UNKNOWN])
    }

    /// The category of a holder.
    #[must_use]
    pub fn category(&self, holder: Option<&Process>) -> &str {
        let Some(process) = holder else {
            return UNKNOWN;
        };
        self.categories
            .iter()
            .find(|category| category.holds(process))
            .map_or(OTHER, |category| &category.name)
    }
}

impl Category {
    fn holds(&self, process: &Process) -> bool {
        let exe = process.exe_name().map(OsStr::as_bytes);
        self.programs.iter().any(|program| {
            let program = program.as_bytes();
            let comm = program.get(..COMM_BYTES).unwrap_or(program);
            process.comm.as_bytes() == comm || exe == Some(program)
        })
    }
}

impl Default for Sources {
    /// envoy, sshd, nginx, `node_exporter` (also under Debian's name), xray.
    fn default() -> Self {
        let mut sources = Self::plain(&["envoy", "sshd", "nginx", "node_exporter", "xray"]);
        if let Some(exporter) = sources.categories.get_mut(3) {
            exporter
                .programs
                .push("prometheus-node-exporter".to_owned());
        }
        sources
    }
}

impl FromStr for Sources {
    type Err = ParseSourcesError;

    /// Reads `NAME` or `NAME=PROGRAM|PROGRAM` between commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut categories: Vec<Category> = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, programs) = part.split_once('=').unwrap_or((part, part));
            let programs: Vec<String> = programs
                .split('|')
                .map(|program| program.trim().to_owned())
                .collect();
            let name = name.trim();
            if name.is_empty() || programs.iter().any(String::is_empty) {
                return Err(ParseSourcesError::NotASource(part.to_owned()));
            }
            if [OTHER, UNKNOWN].contains(&name) || categories.iter().any(|known| known.name == name)
            {
                return Err(ParseSourcesError::Taken(name.to_owned()));
            }
            categories.push(Category {
                name: name.to_owned(),
                programs,
            });
        }
        Ok(Self { categories })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_exactly_by_comm_or_program() {
        let sources = Sources::default();
        let process = |comm: &str, exe: Option<&str>| Process {
            exe: exe.map(Into::into),
            ..Process::named(1, comm)
        };
        assert_eq!(sources.category(Some(&process("envoy", None))), "envoy");
        assert_eq!(sources.category(Some(&process("notenvoy", None))), OTHER);
        assert_eq!(sources.category(Some(&process("Envoy", None))), OTHER);
        assert_eq!(
            sources.category(Some(&process("wrk:worker_0", Some("/usr/local/bin/envoy")))),
            "envoy"
        );
        assert_eq!(
            sources.category(Some(&process("prometheus-node", None))),
            "node_exporter"
        );
        assert_eq!(sources.category(Some(&process("", None))), OTHER);
        assert_eq!(sources.category(None), UNKNOWN);
    }

    #[test]
    fn mistakes_in_a_table_are_named() {
        assert_eq!(
            "a,b,a".parse::<Sources>(),
            Err(ParseSourcesError::Taken("a".into()))
        );
        assert_eq!(
            "other".parse::<Sources>(),
            Err(ParseSourcesError::Taken("other".into()))
        );
        assert_eq!(
            "a=".parse::<Sources>(),
            Err(ParseSourcesError::NotASource("a=".into()))
        );
        assert_eq!(
            "=a".parse::<Sources>(),
            Err(ParseSourcesError::NotASource("=a".into()))
        );
        assert_eq!(
            "".parse::<Sources>().unwrap().names().collect::<Vec<_>>(),
            [OTHER, UNKNOWN]
        );
    }
}
