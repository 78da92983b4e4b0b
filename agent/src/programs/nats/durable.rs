//! Requests from a stream: what was sent while this host was away is still there.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::commands::Desk;

/// A stream that is not there yet is looked for again after this time, or when there is a new connection.
const TRY_AGAIN: Duration = Duration::from_secs(15);
/// How long the server waits for an acknowledgement before it gives a request once more.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// A request that could not be acknowledged this often is given up by the server.
const MOST_DELIVERIES: i64 = 16;

/// The place in a stream that the server remembers for this host.
pub(super) struct Consumer {
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) subject: String,
}

/// Listens for as long as the client lives.
pub(super) async fn listen(client: Client, consumer: Consumer, desk: Arc<Desk>) {
    let context = jetstream::new(client);
    let mut weather = desk.link().weather();
    loop {
        if let Err(why) = follow(&context, &consumer, &desk).await {
            desk.link().failed("no requests from the stream", &why);
        }
        let connected = weather.changed();
        // The end of the link is the end of the agent.
        if let Ok(Err(_)) = timeout(TRY_AGAIN, connected).await {
            return;
        }
    }
}

async fn follow(
    context: &jetstream::Context,
    consumer: &Consumer,
    desk: &Desk,
) -> Result<(), String> {
    let stream = context
        .get_stream(&consumer.stream)
        .await
        .map_err(|error| error.to_string())?;
    let config = pull::Config {
        durable_name: Some(consumer.name.clone()),
        filter_subject: consumer.subject.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: MOST_DELIVERIES,
        ..pull::Config::default()
    };
    let place = stream
        .get_or_create_consumer(&consumer.name, config)
        .await
        .map_err(|error| error.to_string())?;
    let mut messages = place.messages().await.map_err(|error| error.to_string())?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| error.to_string())?;
        take(&message, desk).await?;
    }
    Ok(())
}

/// Takes one request. Its reply subject belongs to the stream, so there is no other answer than the events of the rollback.
async fn take(message: &Message, desk: &Desk) -> Result<(), String> {
    desk.handle(&message.message, false).await;
    message.ack().await.map_err(|error| error.to_string())
}
