//! What is kept from scrape to scrape: open files of proc, families that the kernel has named, what devices are.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use promexport::{Gauge, Unknown};

use super::network::Properties;

/// How long it is kept what devices are.
const AGE: Duration = Duration::from_secs(30);

/// A kernel names some hundred fields; what is beyond this many is named anew each time.
const NAMES_LIMIT: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Files of proc that the sources name; the kernel writes them anew for every reading.
    pub(super) files: HashMap<PathBuf, File>,
    pub(super) memory: Names<Gauge<0>>,
    pub(super) sockets: Names<Gauge<0>>,
    pub(super) events: Names<Unknown<0>>,
    pub(super) protocols: Names<Unknown<0>>,
    pub(super) interfaces: HashMap<OsString, Aged<Properties>>,
    /// Processors that tell their frequency.
    pub(super) frequencies: Option<Aged<Vec<(u32, PathBuf)>>>,
}

/// Something and when it was read.
#[derive(Debug)]
pub(super) struct Aged<T> {
    read: Instant,
    value: T,
}

impl<T> Aged<T> {
    pub(super) fn now(value: T) -> Self {
        Self {
            read: Instant::now(),
            value,
        }
    }

    /// The value, while it is young enough.
    pub(super) fn get(&self) -> Option<&T> {
        (self.read.elapsed() < AGE).then_some(&self.value)
    }
}

/// Families by the words of the kernel from which they have their names; `None` where those cannot be a name.
#[derive(Debug)]
pub(super) struct Names<F>(HashMap<String, Option<F>>);

impl<F> Default for Names<F> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<F> Names<F> {
    /// Shows the family of these words to `write`.
    pub(super) fn with(
        &mut self,
        words: &str,
        name: impl FnOnce() -> Option<F>,
        write: impl FnOnce(&F),
    ) {
        if let Some(known) = self.0.get(words) {
            if let Some(family) = known {
                write(family);
            }
            return;
        }
        let family = name();
        if let Some(family) = &family {
            write(family);
        }
        if self.0.len() < NAMES_LIMIT {
            self.0.insert(words.to_owned(), family);
        }
    }
}
