//! A server of bytes: each connection follows its script and says exactly what it is told to.
#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use metricpush::{ApiKey, Client, ServerUrl};

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What a connection does with one request.
pub(crate) enum Act {
    /// Reads it and says this.
    Say(Vec<u8>),
    /// Reads it, says this and closes.
    SayAndClose(Vec<u8>),
    /// Reads it and ends the connection in order, without a word.
    Close,
    /// Ends the connection with a reset once the whole request has arrived.
    Reset,
    /// Reads it, says this and then nothing more for as long as the client stays.
    SayAndHold(Vec<u8>),
    /// Reads it, says this and then blanks without end, for as long as the client reads.
    SayForEver(Vec<u8>),
}

/// One request as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    /// Everything before the body, line ends included.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    /// Stays open when all scripts are done, so that a connection too many shows.
    listener: TcpListener,
    seen: Receiver<Seen>,
}

impl Server {
    /// Serves connections one after the other, the first by the first script.
    pub(crate) fn start(scripts: Vec<Vec<Act>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepting = listener.try_clone().unwrap();
        let (sender, seen) = channel();
        thread::spawn(move || {
            for (connection, script) in scripts.into_iter().enumerate() {
                let (mut stream, _) = accepting.accept().unwrap();
                let patience = Some(Duration::from_secs(30));
                stream.set_read_timeout(patience).unwrap();
                stream.set_write_timeout(patience).unwrap();
                for act in script {
                    let only_look = matches!(act, Act::Reset);
                    let Some(request) = read_request(&mut stream, connection, only_look) else {
                        break;
                    };
                    let _ = sender.send(request);
                    if !perform(act, &mut stream) {
                        break;
                    }
                }
            }
        });
        Server {
            addr,
            listener,
            seen,
        }
    }

    pub(crate) fn one(answer: impl Into<Vec<u8>>) -> Server {
        Server::start(vec![vec![Act::SayAndClose(answer.into())]])
    }

    pub(crate) fn client(&self) -> Client {
        client(&format!("http://{}", self.addr))
    }

    /// The next request that arrived.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// All requests, once the server has followed all its scripts. Nobody may have connected since.
    pub(crate) fn all_seen(self) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            match self.seen.recv_timeout(Duration::from_secs(30)) {
                Ok(seen) => all.push(seen),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("scripts are left after {all:?}"),
            }
        }
        self.listener.set_nonblocking(true).unwrap();
        let more = self.listener.accept().map_err(|error| error.kind());
        assert!(
            matches!(more, Err(ErrorKind::WouldBlock)),
            "one more connection: {more:?}"
        );
        all
    }
}

/// An HTTP client as a careful program makes it: nothing followed, no proxy.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(no_trust())
        .build()
        .unwrap()
}

/// TLS that trusts nobody: these tests speak plain HTTP, and need not read the system's certificates for it.
pub(crate) fn no_trust() -> rustls::ClientConfig {
    let ring = rustls::crypto::ring::default_provider().into();
    rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(http(), &ServerUrl::parse(url).unwrap(), "1.2.3").unwrap()
}

pub(crate) fn key() -> ApiKey {
    ApiKey::parse(KEY).unwrap()
}

/// An answer in bytes.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    let has_length = |header: &&str| header.starts_with("content-length");
    if !headers.iter().any(has_length) {
        text += &format!("content-length: {}\r\n", body.len());
    }
    (text + "\r\n" + body).into_bytes()
}

fn perform(act: Act, stream: &mut TcpStream) -> bool {
    match act {
        Act::Say(bytes) => stream.write_all(&bytes).is_ok(),
        Act::SayAndClose(bytes) => {
            let _ = stream.write_all(&bytes);
            false
        }
        Act::Close | Act::Reset => false,
        Act::SayAndHold(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0; 64]);
            false
        }
        Act::SayForEver(bytes) => {
            let mut going = stream.write_all(&bytes).is_ok();
            while going {
                going = stream.write_all(&[b' '; 4096]).is_ok();
            }
            false
        }
    }
}

/// Reads one request, or only looks at it: the kernel answers the end of a connection with unread bytes by a
/// reset.
fn read_request(stream: &mut TcpStream, connection: usize, only_look: bool) -> Option<Seen> {
    let mut bytes = vec![0; 256 * 1024];
    let mut have = 0;
    loop {
        have = if only_look {
            stream.peek(&mut bytes).ok()?
        } else {
            have + stream.read(&mut bytes[have..]).ok()?
        };
        if have == 0 {
            return None;
        }
        if let Some(seen) = parse(&bytes[..have], connection) {
            return Some(seen);
        }
    }
}

fn parse(bytes: &[u8], connection: usize) -> Option<Seen> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then(|| Seen {
        connection,
        head: format!("{head}\r\n\r\n"),
        body: body.to_owned(),
    })
}
