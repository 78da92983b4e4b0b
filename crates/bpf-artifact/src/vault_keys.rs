//! Where in Vault or OpenBao public keys are.

use std::fmt;

/// A place in Vault or OpenBao where public keys are. As text it is the [`source`](crate::FetchedKeys::source) of what
/// is fetched from there: `transit/bpf-signing`, `secret/bpf-registry/signer#public_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultKeys {
    /// A key of a transit engine, with its versions.
    Transit {
        /// Where the engine is mounted.
        mount: String,
        /// The key.
        name: String,
    },
    /// A field of a secret in a KV store of version 2, with as many keys as are in it.
    Kv {
        /// Where the store is mounted.
        mount: String,
        /// The secret, with `/` between the parts of its path.
        path: String,
        /// Which of its fields.
        field: String,
    },
}

impl fmt::Display for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VaultKeys::Transit { mount, name } => write!(f, "{mount}/{name}"),
            VaultKeys::Kv { mount, path, field } => write!(f, "{mount}/{path}#{field}"),
        }
    }
}
