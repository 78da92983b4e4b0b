//! Flag over environment over file over default; every mistake is kept until all are known.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::file;
use super::options::{OPTIONS, Opt, find};
use crate::keyfile;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Flag,
    Env(&'static str),
    File(PathBuf, usize),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Env(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    origin: Origin,
}

/// What is wrong with the configuration, in words that say what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mistake(pub(crate) String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads an environment variable.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The values of all options, and the mistakes met so far.
pub(super) struct Layers {
    values: HashMap<&'static str, Value>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Layers {
    /// Collects the values of the options that are `wanted`; the others keep their defaults. `flags` gives an option's text from the
    /// command line.
    pub(super) fn collect(
        wanted: &dyn Fn(&Opt) -> bool,
        flags: &dyn Fn(&Opt) -> Option<OsString>,
        env: Env<'_>,
    ) -> Self {
        let mut layers = Self {
            values: HashMap::new(),
            mistakes: Vec::new(),
        };
        for option in OPTIONS.iter().filter(|option| wanted(option)) {
            if let Some(text) = flags(option) {
                layers.set(option, &text, Origin::Flag);
            } else if let Some(text) = env(option.env).filter(|text| !text.is_empty()) {
                layers.set(option, &text, Origin::Env(option.env));
            }
        }
        if find("config").is_some_and(wanted) {
            layers.read_file(wanted);
        }
        layers
    }

    fn set(&mut self, option: &'static Opt, text: &OsStr, origin: Origin) {
        let Some(text) = text.to_str() else {
            self.mistakes.push(Mistake(format!(
                "--{} ({origin}) is not UTF-8 text",
                option.name
            )));
            return;
        };
        self.values.insert(
            option.name,
            Value {
                text: text.to_owned(),
                origin,
            },
        );
    }

    fn read_file(&mut self, wanted: &dyn Fn(&Opt) -> bool) {
        let (path, origin) = match self.values.get("config") {
            Some(value) => (PathBuf::from(&value.text), value.origin.clone()),
            None => match find("config") {
                Some(option) => (PathBuf::from(option.default), Origin::Default),
                None => return,
            },
        };
        match read(&path) {
            Ok(text) => self.take_file(&path, &text, wanted),
            Err(error)
                if origin == Origin::Default && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.mistakes.push(Mistake(format!(
                "--config {} ({origin}) cannot be read: {error}",
                path.display()
            ))),
        }
    }

    fn take_file(&mut self, path: &Path, text: &str, wanted: &dyn Fn(&Opt) -> bool) {
        let (entries, faults) = file::parse(text);
        for fault in faults {
            self.mistakes.push(Mistake(format!(
                "{} line {}: {}",
                path.display(),
                fault.line,
                fault.what
            )));
        }
        for entry in entries {
            match OPTIONS
                .iter()
                .find(|option| option.key() == entry.key && option.name != "config")
            {
                None => {
                    let hint = nearest(&entry.key)
                        .map_or_else(String::new, |key| format!("; did you mean `{key}`?"));
                    self.mistakes.push(Mistake(format!(
                        "{} line {}: unknown key `{}`{hint}",
                        path.display(),
                        entry.line,
                        entry.key
                    )));
                }
                Some(option) if self.values.contains_key(option.name) || !wanted(option) => {}
                Some(option) => {
                    let origin = Origin::File(path.to_owned(), entry.line);
                    self.values.insert(
                        option.name,
                        Value {
                            text: entry.value,
                            origin,
                        },
                    );
                }
            }
        }
    }

    /// The typed value of the option `name`; `None` where it is off, not given or wrong (then a mistake is noted).
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let option = find(name)?;
        let default = Value {
            text: option.default.to_owned(),
            origin: Origin::Default,
        };
        let value = self.values.get(option.name).cloned().unwrap_or(default);
        if value.text.is_empty() && option.default.is_empty() {
            return None;
        }
        match parse(&value.text) {
            Ok(typed) => Some(typed),
            Err(allowed) => {
                let shown = if option.secret {
                    "the value".to_owned()
                } else {
                    format!("{:?}", value.text)
                };
                self.mistakes.push(Mistake(format!(
                    "--{name}: {shown} ({}) is not allowed; {allowed}",
                    value.origin
                )));
                None
            }
        }
    }

    /// How strong the source of an option is: the larger wins; `None` where it is not given.
    pub(super) fn rank(&self, name: &str) -> Option<u8> {
        self.values
            .get(name)
            .filter(|value| !value.text.is_empty())
            .map(|value| match value.origin {
                Origin::Flag => 3,
                Origin::Env(_) => 2,
                Origin::File(..) => 1,
                Origin::Default => 0,
            })
    }

    /// The file that gives this option, if a file does.
    pub(super) fn file_of(&self, name: &str) -> Option<&Path> {
        match &self.values.get(name)?.origin {
            Origin::File(path, _) => Some(path),
            _ => None,
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let bytes = keyfile::bytes(path, file::MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("not UTF-8 text"))
}

/// The known key that is spelt most like `key`, if any is close.
fn nearest(key: &str) -> Option<String> {
    OPTIONS
        .iter()
        .map(Opt::key)
        .filter(|known| known != "config")
        .map(|known| (distance(key, &known), known))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be added, dropped or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate().take(64) {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            *cell = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        // Known pairs: kitten/sitting 3, flaw/lawn 2.
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(nearest("intervall").as_deref(), Some("interval"));
        assert_eq!(nearest("api-url").as_deref(), Some("api_url"));
        assert_eq!(nearest("completely_else"), None);
    }
}
