//! Proves that the agent can still be reached and reach others, after something was attached that could prevent it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bpf_artifact::Limits;
use bpf_artifact::http::{Endpoint, FetchError, Registry};
use bpf_lifecycle::{ArtifactId, Caller, Signal};
use periodic::{Failure, Outcome};
use tokio::net::TcpStream;

use super::desk::Desk;
use super::keeper::Keeper;
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

/// What was within reach before something new was attached: only that can have been cut off by it.
#[derive(Default)]
pub(super) struct Baseline {
    /// Any answer counts, a refusal too.
    pub(super) registry: AtomicBool,
    pub(super) own_port: AtomicBool,
    pub(super) peers: Vec<Peer>,
}

impl Desk {
    /// Does something with the programs, and then proves that nothing new has cut off the agent.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.begin().await?;
        self.guarded(work).await
    }

    /// Once, before anything new is attached: looks what is within reach, so that what the cache knows is guarded too.
    pub(super) async fn begin(&self) -> Outcome {
        let begin = async || {
            // What has run its time ends before any network is asked.
            self.with(|_| ()).await?;
            if self.settings.guard {
                let looked = tokio::time::timeout(LOOK, ask_registry(&self.settings)).await;
                let answers = looked.is_ok_and(|answered| answered.is_ok());
                self.baseline.registry.store(answers, Ordering::Relaxed);
                self.look_at_own_port().await;
            }
            self.guarded(Keeper::look).await
        };
        self.begun.get_or_try_init(begin).await?;
        Ok(())
    }

    /// Notes whether the agent's own port answers.
    pub(super) async fn look_at_own_port(&self) {
        let own = match self.shared.own_address() {
            Some(own) => answers(own).await,
            None => false,
        };
        self.baseline.own_port.store(own, Ordering::Relaxed);
    }

    async fn guarded<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let guarded = self.settings.guard;
        let (done, risky) = self
            .with(move |keeper| {
                let done = work(keeper);
                (done, std::mem::take(&mut keeper.risky))
            })
            .await?;
        if guarded && !risky.is_empty() {
            self.guard(risky).await?;
        }
        Ok(done)
    }

    /// Undoes what has cut off the agent, the newest first, until it is back.
    async fn guard(&self, mut risky: Vec<ArtifactId>) -> Result<(), Failure> {
        let own = self.baseline.own_port.load(Ordering::Relaxed);
        let own = self.shared.own_address().filter(|_| own);
        loop {
            let registry = self.baseline.registry.load(Ordering::Relaxed);
            let seen = in_reach(&self.settings, registry, own, &self.baseline.peers).await;
            let Err(why) = seen else { return Ok(()) };
            let Some(id) = risky.pop() else {
                tracing::error!(
                    why,
                    "still cut off, and nothing is left that could be undone"
                );
                return Ok(());
            };
            tracing::error!(artifact_id = %id, why, "this program has cut off the agent: it is undone");
            self.with(move |keeper| {
                keeper.counts.cut_offs += 1;
                keeper.undo(Signal {
                    id,
                    caller: Caller::Operator,
                    request_id: None,
                    remark: Some(format!("connectivity guard: {why}")),
                });
                keeper.risky.clear();
            })
            .await?;
        }
    }
}

/// Looks until everything is within reach, but not for long; the error names what is not.
async fn in_reach(
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
async fn answers(own: SocketAddr) -> bool {
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
