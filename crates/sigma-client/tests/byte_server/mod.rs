//! A server of bytes: each connection follows its script and says exactly what it is told to.
#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sigma_client::{ApiKey, Client};

pub(crate) const KEY: &str = "sk_sigma_0123456789abcdef0123456789abcdef01234567";

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
}

/// One request as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
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
                stream
                    .set_read_timeout(Some(Duration::from_secs(30)))
                    .unwrap();
                for act in script {
                    let reset = matches!(act, Act::Reset);
                    let Some(request) = read_request(&mut stream, connection, reset) else {
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

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api", self.addr)
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder(&self.url())
            .api_key(ApiKey::parse(KEY).unwrap())
            .build()
            .unwrap()
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

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(
            self.headers
                .iter()
                .find(|(known, _)| known == name)?
                .1
                .as_str(),
        )
    }
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
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, v)| v.parse().unwrap());
    (body.len() >= length).then(|| Seen {
        connection,
        line,
        headers,
        body: body.to_owned(),
    })
}

/// An answer in bytes.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    if !headers
        .iter()
        .any(|header| header.starts_with("content-length"))
    {
        text += &format!("content-length: {}\r\n", body.len());
    }
    (text + "\r\n" + body).into_bytes()
}

pub(crate) fn captured(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A captured answer in bytes.
pub(crate) fn captured_answer(capture: &Value) -> Vec<u8> {
    let response = &capture["response"];
    let headers: Vec<String> = response["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(header_line)
        .collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    answer(
        &format!("{} x", response["status"]),
        &headers,
        response["body_raw"].as_str().unwrap(),
    )
}

fn header_line(header: &Value) -> String {
    match header {
        Value::String(line) => line.clone(),
        pair => format!(
            "{}: {}",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        ),
    }
}
