//! The way to servers: whom to trust, and how this agent introduces itself.

use sigma_client::{Client, ClientBuilder};

use crate::cli::Server;
use crate::secret;

/// How this agent introduces itself to servers.
pub(crate) const USER_AGENT: &str = concat!("sigma-agent/", env!("CARGO_PKG_VERSION"));

/// A client's settings for a server; reads the files of certificates anew.
pub(crate) fn builder(url: &str, server: &Server) -> Result<ClientBuilder, String> {
    let mut builder = Client::builder(url)
        .user_agent(USER_AGENT)
        .proxies_from_environment(server.proxy_from_environment);
    if let Some(path) = &server.ca {
        builder = builder.ca_pem(&secret::read_pem(path)?);
    }
    if let Some((certificate, private)) = &server.client {
        builder = builder
            .client_identity_pem(&secret::read_pem(certificate)?, &secret::read_pem(private)?);
    }
    Ok(builder)
}
