//! Which series a page has already.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// The series written so far, each as 64 bits keyed by a secret, so that nobody can choose labels that
/// collide. Equal series always meet; different ones do on one of 10^13 pages of a thousand samples.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    keys: HashSet<u64, BuildHasherDefault<Identity>>,
    secret: RandomState,
}

impl Seen {
    /// Whether the series is new.
    pub(crate) fn insert(&mut self, family: usize, labels: &[u8]) -> bool {
        self.keys.insert(self.secret.hash_one((family, labels)))
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }
}

/// A hasher for keys that are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
