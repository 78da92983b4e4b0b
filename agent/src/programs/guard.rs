//! Proves that the agent can still be reached and reach others, after something was attached that could prevent it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bpf_artifact::Limits;
use bpf_artifact::http::{Endpoint, FetchError, Registry};
use tokio::net::TcpStream;

use crate::cli::Programs;
use crate::servers;

/// How long one look may take, the pause between two, and how long nothing has to be seen before it counts as cut off: a server that
/// restarts at this moment must not be blamed on a program.
const LOOK: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// A further peer that has to stay within reach: its name, and a look at it.
pub(crate) type Peer = (&'static str, Box<dyn Fn() -> Looking + Send + Sync>);

/// One look at a peer: whether it is within reach.
pub(crate) type Looking = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Looks until everything is within reach, but not for long; the error names what is not.
pub(super) async fn in_reach(
    programs: &Programs,
    registry: bool,
    own: Option<SocketAddr>,
    peers: &[Peer],
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let seen = look(programs, registry, own, peers).await;
        if seen.is_ok() || began.elapsed() + PAUSE >= LONGEST {
            return seen;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(
    programs: &Programs,
    registry: bool,
    own: Option<SocketAddr>,
    peers: &[Peer],
) -> Result<(), String> {
    if registry {
        let looked = tokio::time::timeout(LOOK, ask_registry(programs)).await;
        looked.unwrap_or_else(|_| Err("the registry does not answer".to_owned()))?;
    }
    if let Some(own) = own
        && !answers(own).await
    {
        return Err(format!(
            "the agent's own port {} does not answer",
            own.port()
        ));
    }
    for (name, peer) in peers {
        if !tokio::time::timeout(LOOK, peer()).await.unwrap_or(false) {
            return Err(format!("{name} is out of reach"));
        }
    }
    Ok(())
}

/// Over a new connection: one that stands proves nothing about those to come. Any answer will do, a bad one too.
async fn ask_registry(programs: &Programs) -> Result<(), String> {
    match registry(programs)?.health().await {
        Err(error @ (FetchError::Transport { .. } | FetchError::Timeout { .. })) => {
            Err(error.to_string())
        }
        _ => Ok(()),
    }
}

/// A client of the registry; reads the files of token and certificates anew.
pub(crate) fn registry(programs: &Programs) -> Result<Registry, String> {
    let http = servers::builder(&programs.registry.url, &programs.registry.server)?
        .timeout(Duration::from_secs(65))
        .build_http()
        .map_err(|error| error.to_string())?;
    let endpoint = Endpoint::parse(&programs.registry.url).map_err(|error| error.to_string())?;
    let mut endpoint = endpoint.allow_plain(programs.plain_http);
    if let Some(path) = &programs.registry.token_file {
        endpoint = endpoint.token(super::token(path)?);
    }
    Registry::new(http, endpoint, Limits::default()).map_err(|error| error.to_string())
}

/// Whether the agent's own pages can be had.
pub(super) async fn answers(own: SocketAddr) -> bool {
    let looked = tokio::time::timeout(LOOK, ask_oneself(own)).await;
    looked.is_ok_and(|answered| answered.is_ok())
}

async fn ask_oneself(own: SocketAddr) -> std::io::Result<()> {
    let stream = TcpStream::connect(own).await?;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.writable().await?;
    stream.try_write(request)?;
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0; 16]) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
