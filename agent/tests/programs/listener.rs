//! One who hears everything that is said at a nats-server.

use async_nats::Subscriber;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::nats_server::{NatsServer, heard_until};

pub(crate) struct Listener {
    /// One thread, that of the test: its network is another one than that of the other threads.
    runtime: Runtime,
    said: Subscriber,
}

impl Listener {
    pub(crate) fn at(server: &NatsServer) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let said = runtime.block_on(async {
            let client = server.client().await;
            let said = client.subscribe(">").await.unwrap();
            client.flush().await.unwrap();
            said
        });
        Self { runtime, said }
    }

    /// All that is said up to a message that `is_it`: subject and message.
    pub(crate) fn hears_until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        self.runtime.block_on(heard_until(&mut self.said, is_it))
    }
}
