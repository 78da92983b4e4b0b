//! Whether there is still a way to a server, for the guard that undoes programs which cut off the agent.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use tokio::net::TcpStream;

use super::link::Link;
use crate::programs::guard::Peer;

/// A connection that broke this long ago broke for other reasons than a program that was attached just now.
const JUST_NOW: Duration = Duration::from_secs(5);

/// A look over a new connection: one that stands proves nothing about those to come. A server that was away before is not looked at.
pub(super) fn peer(urls: &[String], link: &Arc<Link>) -> Peer {
    let servers: Vec<ServerAddr> = urls.iter().filter_map(|url| url.parse().ok()).collect();
    let link = Arc::clone(link);
    let look = move || -> crate::programs::guard::Looking {
        if !link.was_connected_within(JUST_NOW) {
            return Box::pin(std::future::ready(true));
        }
        let servers = servers.clone();
        Box::pin(async move {
            for server in &servers {
                let place = (server.host(), server.port());
                if TcpStream::connect(place).await.is_ok() {
                    return true;
                }
            }
            false
        })
    };
    ("NATS", Box::new(look))
}
