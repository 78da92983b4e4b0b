//! A real nats-server for one test.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use serde_json::Value;

use crate::parts::{PATIENCE, wait_for};

/// A server, killed at the end of the test.
pub(crate) struct NatsServer {
    child: Child,
    port: u16,
}

impl NatsServer {
    /// `None`, said loudly, where there is no nats-server.
    pub(crate) fn start(port: u16) -> Option<Self> {
        let server = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = server else {
            println!("skipped: needs the command nats-server (Debian: nats-server)");
            return None;
        };
        let server = Self { child, port };
        wait_for("the server", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn client(&self) -> Client {
        async_nats::connect(self.url()).await.unwrap()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that is said up to a message that `is_it`, with the subjects; that one is the last.
pub(crate) async fn heard_until(
    said: &mut Subscriber,
    is_it: impl Fn(&Value) -> bool,
) -> Vec<(String, Value)> {
    let mut heard = Vec::new();
    let listen = async {
        while let Some(message) = said.next().await {
            let says: Value = serde_json::from_slice(&message.payload).unwrap();
            let is_last = is_it(&says);
            heard.push((message.subject.to_string(), says));
            if is_last {
                return;
            }
        }
        panic!("the subscription ended");
    };
    let done = tokio::time::timeout(PATIENCE, listen).await;
    assert!(done.is_ok(), "waited in vain; heard {heard:?}");
    heard
}
