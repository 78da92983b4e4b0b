//! Flag over environment over file over default; every mistake is kept until all are known.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::file;
use super::options::{self, Opt, find};
use super::role::Role;
use super::spelling::hint;
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

/// One option as it was decided, for those who want to see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// What it is; secrets are not told.
    pub(crate) shown: String,
    pub(crate) origin: Origin,
    /// Whether the role is about it.
    pub(crate) main: bool,
}

/// The values of all options, and the mistakes met so far.
pub(super) struct Layers {
    role: Role,
    values: HashMap<&'static str, Value>,
    pub(super) mistakes: Vec<Mistake>,
    /// What the operator should know although it is no mistake.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Collects the values of the options that are `wanted`; the others keep their defaults. `flags` gives an option's text from the
    /// command line.
    pub(super) fn collect(
        role: Role,
        wanted: &dyn Fn(&Opt) -> bool,
        flags: &dyn Fn(&Opt) -> Option<OsString>,
        env: Env<'_>,
    ) -> Self {
        let mut layers = Self {
            role,
            values: HashMap::new(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        };
        for option in options::all().filter(|option| wanted(option)) {
            if let Some(text) = flags(option) {
                layers.set(option, &text, Origin::Flag);
                continue;
            }
            let mut variables = option.variables(role);
            let given = variables.find_map(|name| {
                let text = env(name).filter(|text| !text.is_empty())?;
                Some((name, text))
            });
            if let Some((name, text)) = given {
                layers.set(option, &text, Origin::Env(name));
            }
        }
        if find("config").is_some_and(wanted) {
            layers.read_file(wanted, env);
        }
        layers
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The flag of an option, as the operators of this role know it.
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
    pub(super) fn flag(&self, name: &str) -> String {
        options::flag(self.role, name)
    }

    /// A mistake that no single value makes.
    pub(super) fn mistake(&mut self, what: String) {
        self.mistakes.push(Mistake(what));
    }

    fn set(&mut self, option: &'static Opt, text: &OsStr, origin: Origin) {
        let Some(text) = text.to_str() else {
            self.mistakes.push(Mistake(format!(
                "--{} ({origin}) is not UTF-8 text",
                option.name(self.role)
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

    /// The files that options name and that are read, the configuration's own among them.
    #[cfg(feature = "sandbox")]
    pub(super) fn files(&self, env: Env<'_>) -> Vec<PathBuf> {
        let usual = find("config")
            .filter(|_| !self.values.contains_key("config"))
            .map(|option| usual_files(option, self.role, env));
        let named = options::all()
            .filter(|option| option.value == Some("FILE") && option.name != "log-file")
            .filter_map(|option| self.values.get(option.name))
            .filter(|value| !value.text.is_empty())
            .map(|value| PathBuf::from(&value.text));
        usual.into_iter().flatten().chain(named).collect()
    }

    fn read_file(&mut self, wanted: &dyn Fn(&Opt) -> bool, env: Env<'_>) {
        let Some(option) = find("config") else { return };
        let (paths, origin) = match self.values.get("config") {
            Some(value) => (vec![PathBuf::from(&value.text)], value.origin.clone()),
            None => (usual_files(option, self.role, env), Origin::Default),
        };
        for path in paths {
            match read(&path) {
                Ok(text) => return self.take_file(&path, &text, wanted),
                Err(error)
                    if origin == Origin::Default
                        && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => self.mistake(format!(
                    "--config {} ({origin}) cannot be read: {error}",
                    path.display()
                )),
            }
        }
    }

    fn take_file(&mut self, path: &Path, text: &str, wanted: &dyn Fn(&Opt) -> bool) {
        let assignments = path.extension().is_some_and(|ending| ending == "conf");
        #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
        let found = if assignments {
            file::parse_assignments(text)
        } else {
            file::parse(text)
        };
        #[cfg(not(any(feature = "aegis", feature = "luna", feature = "sigma")))]
        let found = file::parse_assignments(text);
        for fault in found.faults {
            self.mistake(format!(
                "{} line {}: {}",
                path.display(),
                fault.line,
                fault.what
            ));
        }
        for entry in found.entries {
            match self.known(&entry.key) {
                None => {
                    let keys = options::all().filter(|option| option.stands_in_file());
                    let keys: Vec<String> = keys.map(|option| option.key(self.role)).collect();
                    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                    let hint = hint(&entry.key, &keys);
                    let what = format!(
                        "{} line {}: unknown key `{}`{hint}",
                        path.display(),
                        entry.line,
                        entry.key
                    );
                    // A manager writes this file, and a newer one may write more into it.
                    if assignments {
                        self.warnings.push(what);
                    } else {
                        self.mistake(what);
                    }
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

    /// The option that a key of the file means in this role.
    fn known(&self, key: &str) -> Option<&'static Opt> {
        let mut options = options::all().filter(|option| option.stands_in_file());
        options.find(|option| {
            let other = option.other_name(self.role);
            option.key(self.role) == key || other.is_some_and(|name| name.replace('-', "_") == key)
        })
    }

    /// Every option that was asked for and what was decided, in the order of the table.
    pub(super) fn settings(&self, wanted: &dyn Fn(&Opt) -> bool) -> Vec<Setting> {
        let setting = |option: &'static Opt| {
            let value = self.value(option);
            let shown = if option.secret && !value.text.is_empty() {
                "(hidden)".to_owned()
            } else {
                value.text
            };
            Setting {
                name: option.name(self.role),
                shown,
                origin: value.origin,
                main: option.section.is_main(self.role),
            }
        };
        options::all()
            .filter(|option| wanted(option))
            .map(setting)
            .collect()
    }

    fn value(&self, option: &Opt) -> Value {
        let default = || Value {
            text: option.default(self.role).to_owned(),
            origin: Origin::Default,
        };
        self.values
            .get(option.name)
            .cloned()
            .unwrap_or_else(default)
    }

    /// The typed value of the option `name`; `None` where it is off, not given or wrong (then a mistake is noted).
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let option = find(name)?;
        let value = self.value(option);
        if value.text.is_empty() && option.default(self.role).is_empty() {
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
                self.mistake(format!(
                    "--{}: {shown} ({}) is not allowed; {allowed}",
                    option.name(self.role),
                    value.origin
                ));
                None
            }
        }
    }

    /// How strong the source of an option is: the larger wins; `None` where it is not given.
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
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
    #[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
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

/// Where a role looks for its configuration when nobody names a file; the first that is there counts.
fn usual_files(option: &Opt, role: Role, env: Env<'_>) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from(option.default(role))];
    let home = env("HOME").filter(|home| role == Role::Luna && !home.is_empty());
    files.extend(home.map(|home| Path::new(&home).join(".config/lunasentri/agent.yaml")));
    files
}
