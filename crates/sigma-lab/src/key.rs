//! Keys and roles: how a key is made, what is stored of it, and who may do what.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, also making keys.
    Admin,
    /// Everything but keys.
    Operator,
    /// Register, heartbeat, and reading.
    Agent,
    /// Reading.
    Readonly,
}

impl Role {
    /// The role's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Agent => "agent",
            Role::Readonly => "readonly",
        }
    }

    /// The role of that name.
    pub(crate) fn named(name: &str) -> Option<Role> {
        [Role::Admin, Role::Operator, Role::Agent, Role::Readonly]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// What is kept of a key: its SHA-256. Whoever reads the database cannot use it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &[u8]) -> KeyHash {
        KeyHash(Sha256::digest(key).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// How every managed key begins.
const PREFIX: &str = "sk_sigma_";

/// A new managed key: the prefix and 40 random hex digits.
pub(crate) fn new_key() -> Result<String, getrandom::Error> {
    let (first, last) = (
        u128::from_be_bytes(random()?),
        u32::from_be_bytes(random()?),
    );
    Ok(format!("{PREFIX}{first:032x}{last:08x}"))
}

/// The part of a key that lists may show.
pub(crate) fn shown_prefix(key: &str) -> &str {
    key.get(..PREFIX.len() + 8).unwrap_or(key)
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_prefix_and_forty_hex_digits_and_shows_eight_of_them() {
        let key = new_key().unwrap();
        let digits = key.strip_prefix("sk_sigma_").unwrap();
        assert_eq!(digits.len(), 40);
        assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(key, new_key().unwrap());
        assert_eq!(shown_prefix(&key).len(), 17);
        assert!(key.starts_with(shown_prefix(&key)));
    }

    /// Expected value from `printf abc | sha256sum`.
    #[test]
    fn what_is_stored_of_a_key_is_its_sha_256() {
        let hash = KeyHash::of(b"abc");
        assert_eq!(hash.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(hash.as_bytes()[28..], [0xf2, 0x00, 0x15, 0xad]);
    }

    #[test]
    fn a_hash_does_not_print_itself() {
        assert_eq!(format!("{:?}", KeyHash::of(b"abc")), "KeyHash(…)");
    }
}
