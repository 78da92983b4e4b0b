//! The connection: to whom, as whom, and how often it is tried again.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions, Server, ServerAddr};
use nkeys::KeyPair;

use super::Settings;
use super::link::Link;
use crate::keyfile;

/// What the subjects begin with on which a server answers.
pub(super) const INBOX: &str = "_INBOX.";
/// Credentials hold a JWT, which grows with what it permits.
const MAX_CREDENTIALS: u64 = 64 << 10;
/// How long one try may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait between tries. Servers that come back are not met by a whole fleet in the same moment.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const SHORTEST_WAIT: Duration = Duration::from_millis(250);

/// As whom the host comes: what of it is in files is read anew for each connection, so that it can be changed there.
#[derive(Clone, Debug, Default)]
struct Identity {
    credentials: Option<PathBuf>,
    token: Option<PathBuf>,
    seed: Option<PathBuf>,
    user: Option<String>,
    password: Option<PathBuf>,
}

/// Begins to connect, and goes on until there is a connection. `Err` means that the settings lead nowhere.
pub(super) async fn open(settings: &Settings, link: &Arc<Link>) -> Result<Client, String> {
    let nats = &settings.nats;
    let servers: Vec<ServerAddr> = nats
        .urls
        .iter()
        .map(|url| url.parse())
        .collect::<Result<_, _>>()
        .map_err(|error: std::io::Error| error.to_string())?;
    let identity = Identity {
        credentials: nats.credentials_file.clone(),
        token: nats.token_file.clone(),
        seed: nats.nkey_file.clone(),
        user: nats.user.clone(),
        password: nats.password_file.clone(),
    };
    let weather = Arc::clone(link);
    let callback = move |nonce: Vec<u8>| {
        let identity = identity.clone();
        let read = tokio::task::spawn_blocking(move || identity.answer(&nonce));
        async move { read.await.map_err(AuthError::new)?.map_err(AuthError::new) }
    };
    let teller = Arc::clone(link);
    let tell = move |servers: Vec<Server>, _| {
        if let Some(why) = servers.into_iter().find_map(|server| server.last_error) {
            teller.failed("no connection", &why);
        }
        std::future::ready(None)
    };
    let mut options = ConnectOptions::with_auth_callback(callback)
        .name(format!("sigma-agent {}", settings.host))
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(settings.ping)
        .reconnect_delay_callback(wait)
        .reconnect_to_server_callback(tell)
        .event_callback(move |event| {
            weather.note(&event);
            std::future::ready(())
        });
    if let Some(ca) = &nats.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &nats.client {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if nats.ca.is_some() || nats.client.is_some() {
        // Who names a certificate does not mean to talk in the open.
        options = options.require_tls(true);
    }
    let connecting = options.connect(servers);
    connecting.await.map_err(|error| error.to_string())
}

impl Identity {
    fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        if let Some(path) = &self.credentials {
            let text = text(path)?;
            let jwt = block(&text, "NATS USER JWT");
            let seed = block(&text, "USER NKEY SEED");
            let (jwt, seed) = jwt.zip(seed).ok_or_else(|| {
                format!(
                    "{}: not a credentials file: JWT or seed is missing",
                    path.display()
                )
            })?;
            auth.jwt = Some(jwt.to_owned());
            auth.signature = Some(sign(path, seed, nonce)?.1);
        } else if let Some(path) = &self.seed {
            let (key, signature) = sign(path, text(path)?.trim(), nonce)?;
            (auth.nkey, auth.signature) = (Some(key), Some(signature));
        }
        let word = |path: &PathBuf| text(path).map(|text| text.trim().to_owned());
        auth.token = self.token.as_ref().map(word).transpose()?;
        auth.password = self.password.as_ref().map(word).transpose()?;
        auth.username.clone_from(&self.user);
        Ok(auth)
    }
}

fn text(path: &Path) -> Result<String, String> {
    let fail = |why: String| format!("{}: {why}", path.display());
    let bytes = keyfile::bytes(path, MAX_CREDENTIALS).map_err(|error| fail(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| fail("not text".to_owned()))
}

/// The one line after `-----BEGIN NAME-----`.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("-----BEGIN {name}-----");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == begin)?;
    lines.find(|line| !line.is_empty())
}

/// The public key of a seed, and the nonce signed with it. The seed is not in the words of the error.
fn sign(path: &Path, seed: &str, nonce: &[u8]) -> Result<(String, Vec<u8>), String> {
    let fail = |_| format!("{}: it holds no usable NKey seed", path.display());
    let pair = KeyPair::from_seed(seed).map_err(fail)?;
    let signature = pair.sign(nonce).map_err(fail)?;
    Ok((pair.public_key(), signature))
}

/// The wait before a try: longer from try to try, and never the same on two hosts.
fn wait(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(16);
    let most = SHORTEST_WAIT
        .saturating_mul(1 << doublings)
        .min(LONGEST_WAIT);
    let least = if attempt > 1 {
        most / 2
    } else {
        Duration::ZERO
    };
    let random = RandomState::new().hash_one(attempt) % 1024;
    let share = u32::try_from(random).unwrap_or_default();
    least + (most - least) * share / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_differ() {
        for (attempt, least, most) in [
            (1, 0, 250),
            (2, 250, 500),
            (5, 2000, 4000),
            (1000, 5000, 10_000),
        ] {
            for _ in 0..100 {
                let wait = wait(attempt).as_millis();
                assert!((least..=most).contains(&wait), "{attempt}: {wait}");
            }
        }
        let waits: std::collections::BTreeSet<_> = (0..100).map(|_| wait(1000)).collect();
        assert!(waits.len() > 10);
    }

    #[test]
    fn credentials_are_two_blocks() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n*** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\r\nSUAK\r\n------END USER NKEY SEED------\n";
        assert_eq!(block(text, "NATS USER JWT"), Some("eyJ0"));
        assert_eq!(block(text, "USER NKEY SEED"), Some("SUAK"));
        assert_eq!(block("", "USER NKEY SEED"), None);
    }
}
