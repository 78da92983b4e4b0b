//! Any bytes as the answer of a server, through a real connection.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sigma_client::{Call, Client, Vps};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let runtime =
        RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().unwrap());
    runtime.block_on(exchange(bytes));
});

async fn exchange(bytes: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let client = Client::builder(&url)
        .timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let call = Call::<Vps>::vps("id");
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(bytes).await;
    };
    let (result, ()) = tokio::join!(client.send(&call), server);
    if let Err(error) = result {
        assert!(!error.to_string().contains('\n'));
    }
}
