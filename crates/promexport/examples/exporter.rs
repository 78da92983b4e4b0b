//! An exporter of two facts about this host: `cargo run --example exporter --features serve`
#![allow(
    clippy::print_stdout,
    reason = "an example talks to the person who runs it"
)]

use std::time::Instant;

use promexport::{Gauge, Info, Page, serve};
use tokio::net::TcpListener;

static BUILD: Info<1> = Info::new("example_build_info", "Which exporter this is.", ["version"]);
static UPTIME: Gauge<0> = Gauge::new("example_uptime_seconds", "Seconds since the start.", []);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let start = Instant::now();
    let fill = move |page: &mut Page| {
        page.info(&BUILD, [env!("CARGO_PKG_VERSION")]);
        page.gauge(&UPTIME, (), start.elapsed());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/metrics", listener.local_addr()?);
    serve(listener, fill, async {
        // Without a handler for the signal there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .await
}
