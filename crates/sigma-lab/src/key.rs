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

    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// A new key of a LunaSentri machine: 32 random bytes in URL-safe base64 with padding.
pub(crate) fn new_machine_key() -> Result<String, getrandom::Error> {
    Ok(base64url(&random::<32>()?))
}

fn base64url(bytes: &[u8]) -> String {
    let digit = |bits: u32| match u8::try_from(bits & 63).unwrap_or_default() {
        value @ 0..26 => char::from(b'A' + value),
        value @ 26..52 => char::from(b'a' + value - 26),
        value @ 52..62 => char::from(b'0' + value - 52),
        62 => '-',
        _ => '_',
    };
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = [16, 8, 0]
            .iter()
            .zip(group)
            .fold(0, |bits, (shift, byte)| bits | u32::from(*byte) << shift);
        let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
        text.extend(digits.iter().take(group.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    text
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

    /// The key and the beginning of its hash are the contract's own example.
    #[test]
    fn a_machines_key_is_url_safe_base64_and_its_hash_is_hex() {
        let counting: Vec<u8> = (0..32).collect();
        let key = base64url(&counting);
        assert_eq!(key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let hash = KeyHash::of(key.as_bytes()).hex();
        assert!(hash.starts_with("905f28de") && hash.len() == 64, "{hash}");
        assert_eq!(new_machine_key().unwrap().len(), 44);
        assert_ne!(new_machine_key().unwrap(), new_machine_key().unwrap());
    }

    /// Expected values from Python's `base64.urlsafe_b64encode`.
    #[test]
    fn base64_is_what_others_make_of_the_same_bytes() {
        let known: [(&[u8], &str); 6] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (&[0xff, 0xef, 0xbe, 0xfb, 0xf0], "_----_A="),
            (&[0xfb, 0xff, 0xbf], "-_-_"),
        ];
        for (bytes, text) in known {
            assert_eq!(base64url(bytes), text);
        }
    }

    #[test]
    fn a_hash_does_not_print_itself() {
        assert_eq!(format!("{:?}", KeyHash::of(b"abc")), "KeyHash(…)");
    }
}
