//! Looks up names without libc: the hosts file, then the system's name servers, never anybody else's.

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

type Failure = Box<dyn StdError + Send + Sync>;

/// The most of either file that is read.
const FILE_BYTES: u64 = 256 * 1024;

/// How many names are remembered for their time to live.
const CACHED_NAMES: u64 = 32;

/// The longest wait for one name server, so that the next one has its turn within a connect time limit.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the system says how names are looked up.
#[derive(Clone)]
pub(crate) struct NameFiles {
    pub(crate) resolv_conf: PathBuf,
    pub(crate) hosts: PathBuf,
}

impl Default for NameFiles {
    fn default() -> Self {
        NameFiles {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
        }
    }
}

/// A resolver that follows its files as they change.
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    files: NameFiles,
    /// Where name servers listen, if not where they all do: the file cannot say it, and tests need it.
    port: Option<u16>,
    /// The text of `resolv.conf` and the resolver made of it.
    current: Mutex<Option<(Vec<u8>, TokioResolver)>>,
}

impl Names {
    pub(crate) fn new(files: NameFiles) -> Self {
        Names(Arc::new(Inner {
            files,
            port: None,
            current: Mutex::new(None),
        }))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let found = inner.look_up(name.as_str()).await?;
            // Port 0 stands for "the port of the URL".
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

impl Inner {
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let hosts = read(&self.files.hosts).unwrap_or_default();
        let listed = listed(&String::from_utf8_lossy(&hosts), name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let found = self.resolver()?.lookup_ip(name).await.map_err(|error| {
            if error.is_no_records_found() {
                format!("name not found: {name}")
            } else {
                format!("{name}: {error}")
            }
        })?;
        Ok(found.iter().collect())
    }

    /// The resolver of the present `resolv.conf`. While that file is missing or useless, as it can be for a
    /// moment when it is rewritten, the last one goes on.
    fn resolver(&self) -> Result<TokioResolver, Failure> {
        let text = read(&self.files.resolv_conf);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Ok(text), Some((known, resolver))) = (&text, &*current)
            && text == known
        {
            return Ok(resolver.clone());
        }
        match (
            text.map_err(Failure::from)
                .and_then(|text| Ok((resolver(&text, self.port)?, text))),
            &*current,
        ) {
            (Ok((resolver, text)), _) => {
                *current = Some((text, resolver.clone()));
                Ok(resolver)
            }
            (Err(_), Some((_, resolver))) => Ok(resolver.clone()),
            (Err(error), None) => Err(format!(
                "no name server: {}: {error}",
                self.files.resolv_conf.display()
            )
            .into()),
        }
    }
}

fn resolver(resolv_conf: &[u8], port: Option<u16>) -> Result<TokioResolver, Failure> {
    let (mut config, mut options) = parse_resolv_conf(resolv_conf)?;
    if let Some(port) = port {
        config = at_port(config, port);
    }
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    options.cache_size = CACHED_NAMES;
    options.timeout = options.timeout.min(SERVER_TIMEOUT);
    let provider = TokioRuntimeProvider::default();
    Ok(TokioResolver::builder_with_config(config, provider)
        .with_options(options)
        .build()?)
}

fn at_port(config: ResolverConfig, port: u16) -> ResolverConfig {
    let (domain, search, mut servers) = config.into_parts();
    for connection in servers
        .iter_mut()
        .flat_map(|server| &mut server.connections)
    {
        connection.port = port;
    }
    ResolverConfig::from_parts(domain, search, servers)
}

/// The addresses that a hosts file gives to a name, in its order.
fn listed(hosts: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let addresses = hosts.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then_some(ip)
    });
    addresses.collect()
}

fn is_localhost(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next();
    last.is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
