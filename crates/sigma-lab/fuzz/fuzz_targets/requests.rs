//! Any bytes on a connection to either API, and as a sample's body; then requests that must be answered: nothing breaks
//! the lab.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma_lab::{Lab, Options, serve, serve_luna};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fuzz_target!(|bytes: &[u8]| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(async {
        let lab = Lab::with(Options::default().require_keys(false)).unwrap();
        let (listener, address) = listen().await;
        tokio::spawn(serve(listener, lab.clone(), std::future::pending()));
        say(address, bytes).await;
        let list = b"GET /api/vps HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n";
        let reply = say(address, list).await;
        assert!(reply.starts_with(b"HTTP/1.1 200"));

        let key = lab.create_machine("m").unwrap().key;
        let (listener, address) = listen().await;
        tokio::spawn(serve_luna(listener, lab.clone(), std::future::pending()));
        say(address, bytes).await;
        for (body, accepted) in [(bytes, false), (b"{}", true)] {
            let length = body.len();
            let head = format!(
                "POST /agent/metrics HTTP/1.1\r\nhost: lab\r\nconnection: close\r\nx-api-key: {key}\r\n\
                 content-length: {length}\r\n\r\n"
            );
            let reply = say(address, &[head.as_bytes(), body].concat()).await;
            assert!(reply.starts_with(b"HTTP/1.1 202") || (!accepted && reply.starts_with(b"HTTP/1.1 400")));
        }
        assert!(lab.machines().unwrap()[0].latest.is_some());
    });
});

async fn listen() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn say(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut reply = Vec::new();
    if stream.write_all(bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        let _ = stream.read_to_end(&mut reply).await;
    }
    reply
}
