//! The clients of registry and Vault. They ask once; when to ask again is the caller's business.
//!
//! Connections, TLS, client certificates and names are those of the `reqwest::Client` that is handed in. It has to be
//! built with `redirect::Policy::none()`: a redirect is an error here, because a token must not wander.

mod ask;
mod endpoint;
mod error;
mod registry;
mod secret;
mod vault;

pub use endpoint::{BadEndpoint, Endpoint};
pub use error::FetchError;
pub use registry::{Listed, Registry, RegistryHealth};
pub use secret::{BadSecret, Secret};
pub use vault::{Vault, VaultHealth};
