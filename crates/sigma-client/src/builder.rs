//! How a client is set up, and what is refused before it sends anything.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

use crate::client::Settings;
use crate::connections::Connections;
use crate::{ApiKey, Client};

/// A setting that cannot work. The text never repeats the setting, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL.
    #[error("the API URL {0}")]
    Url(&'static str),
    /// The API key.
    #[error("the API key {0}")]
    Key(&'static str),
    /// Certificates and keys.
    #[error("TLS: {0}")]
    Tls(String),
    /// Anything else about HTTP, such as the user agent.
    #[error("HTTP: {0}")]
    Http(String),
}

/// Settings of a [`Client`], each with a default that suits an agent.
#[must_use]
pub struct ClientBuilder {
    base_url: String,
    key: Option<ApiKey>,
    user_agent: String,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    proxies_from_environment: bool,
    local_address: Option<IpAddr>,
    #[cfg(feature = "tls")]
    tls: crate::tls::Tls,
    #[cfg(feature = "pure-dns")]
    name_files: crate::names::NameFiles,
}

impl ClientBuilder {
    pub(crate) fn new(base_url: &str) -> Self {
        ClientBuilder {
            base_url: base_url.to_owned(),
            key: None,
            user_agent: concat!("sigma-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            max_response_bytes: 1024 * 1024,
            proxies_from_environment: false,
            local_address: None,
            #[cfg(feature = "tls")]
            tls: crate::tls::Tls::default(),
            #[cfg(feature = "pure-dns")]
            name_files: crate::names::NameFiles::default(),
        }
    }

    /// The key to send. Default: none, and no header.
    pub fn api_key(mut self, key: Option<ApiKey>) -> Self {
        self.key = key;
        self
    }

    /// The header `User-Agent`. Default: name and version of this crate.
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    /// The time for a new connection: name, TCP and TLS together. Default: 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The time for a whole call, from the name to the last byte of the answer. Default: 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The longest answer that is accepted. Default: 1 MiB.
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.max_response_bytes = limit;
        self
    }

    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count. Default: no.
    pub fn proxies_from_environment(mut self, ask: bool) -> Self {
        self.proxies_from_environment = ask;
        self
    }

    /// Certificates of further authorities to trust, as PEM text.
    #[cfg(feature = "tls")]
    pub fn ca_pem(mut self, pem: &[u8]) -> Self {
        self.tls.ca_pem = Some(pem.to_vec());
        self
    }

    /// Whether to trust the authorities that the system trusts. Default: yes. They are read when a client for
    /// `https` is built; `SSL_CERT_FILE` and `SSL_CERT_DIR` name other places than the system's usual ones.
    #[cfg(feature = "tls")]
    pub fn system_roots(mut self, trust: bool) -> Self {
        self.tls.system_roots = trust;
        self
    }

    /// The certificate (with its chain) and private key to show to the server, as PEM texts.
    #[cfg(feature = "tls")]
    pub fn client_identity_pem(mut self, certificate: &[u8], key: &[u8]) -> Self {
        self.tls.identity_pem = Some((certificate.to_vec(), key.to_vec()));
        self
    }

    /// The files that say where to look up names. Default: `/etc/resolv.conf` and `/etc/hosts`. Both are read
    /// again for every new connection.
    #[cfg(feature = "pure-dns")]
    pub fn name_files(
        mut self,
        resolv_conf: impl Into<std::path::PathBuf>,
        hosts: impl Into<std::path::PathBuf>,
    ) -> Self {
        self.name_files = crate::names::NameFiles {
            resolv_conf: resolv_conf.into(),
            hosts: hosts.into(),
        };
        self
    }

    /// The address that connections come from: one of this host's, or `0.0.0.0` or `::` to choose the family.
    /// Default: what the system chooses.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Checks all settings and makes the client. Nothing is sent yet.
    pub fn build(self) -> Result<Client, ConfigError> {
        let connections = Connections::default();
        let settings = Settings {
            base: base_url(&self.base_url)?,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            max_response_bytes: self.max_response_bytes,
            connections: connections.clone(),
        };
        let http = self.http(&settings.base, connections)?;
        Ok(Client {
            http,
            settings: Arc::new(settings),
            key: self.key,
        })
    }

    /// The HTTP client alone, with the same trust, names, time limits and user agent, for what else a program
    /// asks servers like that of the base URL. It sends no API key and does not bound what it receives.
    pub fn build_http(self) -> Result<reqwest::Client, ConfigError> {
        let base = base_url(&self.base_url)?;
        self.http(&base, Connections::default())
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_variables, reason = "the base URL decides about TLS alone")
    )]
    fn http(&self, base: &Url, connections: Connections) -> Result<reqwest::Client, ConfigError> {
        let mut http = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .redirect(Policy::none())
            .referer(false)
            .pool_max_idle_per_host(1)
            .local_address(self.local_address)
            .connector_layer(connections);
        if !self.proxies_from_environment {
            http = http.no_proxy();
        }
        #[cfg(feature = "tls")]
        {
            let needed = base.scheme() == "https" || self.proxies_from_environment;
            http =
                http.tls_backend_preconfigured(self.tls.config(needed, base.scheme() == "https")?);
        }
        #[cfg(feature = "pure-dns")]
        {
            http = http.dns_resolver(crate::names::Names::new(self.name_files.clone()));
        }
        http.build()
            .map_err(|error| ConfigError::Http(error.to_string()))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the URL, which is not checked yet and may hold a password, nor any TLS material.
        f.debug_struct("ClientBuilder")
            .field("key", &self.key)
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("max_response_bytes", &self.max_response_bytes)
            .field("proxies_from_environment", &self.proxies_from_environment)
            .field("local_address", &self.local_address)
            .finish_non_exhaustive()
    }
}

/// Whether a text can be the base URL of a client, for programs that check their settings before they use them.
pub fn check_url(text: &str) -> Result<(), ConfigError> {
    base_url(text).map(drop)
}

fn base_url(text: &str) -> Result<Url, ConfigError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ConfigError::Url("is empty"));
    }
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err(ConfigError::Url("must begin with http:// or https://"));
    }
    // A URL parser takes `http:///api` for the host `api`.
    if text
        .split("://")
        .nth(1)
        .is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
    {
        return Err(ConfigError::Url("has no valid host or port"));
    }
    let mut url = Url::parse(text).map_err(|_| ConfigError::Url("has no valid host or port"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::Url(
            "must not hold a user name or password; use the API key",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::Url("must not have a part after ? or #"));
    }
    if url.scheme() == "https" && !cfg!(feature = "tls") {
        return Err(ConfigError::Url(
            "begins with https://, but this program was built without TLS",
        ));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}
