//! Any bytes on a connection, then a request that must be answered: nothing breaks the lab.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma_lab::{Lab, Options, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fuzz_target!(|bytes: &[u8]| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(async {
        let lab = Lab::with(Options::default().require_keys(false)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, lab, std::future::pending()));
        say(address, bytes).await;
        let list = b"GET /api/vps HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n";
        let reply = say(address, list).await;
        assert!(reply.starts_with(b"HTTP/1.1 200"));
    });
});

async fn say(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut reply = Vec::new();
    if stream.write_all(bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        let _ = stream.read_to_end(&mut reply).await;
    }
    reply
}
