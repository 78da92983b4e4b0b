//! Counts the connections a client opens, to tell a kept connection from a fresh one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

/// How many connections were begun so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<AtomicU64>);

/// A connector that counts.
#[derive(Debug, Clone)]
pub(crate) struct Counted<S> {
    connector: S,
    connections: Connections,
}

impl Connections {
    pub(crate) fn begun(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Layer<S> for Connections {
    type Service = Counted<S>;

    fn layer(&self, connector: S) -> Counted<S> {
        Counted {
            connector,
            connections: self.clone(),
        }
    }
}

impl<S: Service<Target>, Target> Service<Target> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> S::Future {
        self.connections.0.fetch_add(1, Ordering::Relaxed);
        self.connector.call(target)
    }
}
