//! A lab served on a thread of its own, and the plainest of HTTP clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::thread::JoinHandle;

use serde_json::Value;
use sigma_lab::{Lab, Options, Role, serve, serve_luna};
use tokio::sync::oneshot;

pub(crate) const ROLES: [Role; 4] = [Role::Admin, Role::Operator, Role::Agent, Role::Readonly];

/// A running lab with a key of every role; stopped when dropped.
pub(crate) struct Server {
    pub(crate) lab: Lab,
    keys: Vec<(Role, String)>,
    endpoint: Endpoint,
}

impl Server {
    pub(crate) fn start(options: Options) -> Server {
        Server::serving(Lab::with(options).unwrap())
    }

    pub(crate) fn serving(lab: Lab) -> Server {
        let keys = ROLES
            .map(|role| (role, lab.create_key("test", role).unwrap()))
            .to_vec();
        Server {
            endpoint: Endpoint::start(lab.clone(), Api::Sigma),
            lab,
            keys,
        }
    }

    pub(crate) fn key(&self, role: Role) -> &str {
        &self
            .keys
            .iter()
            .find(|(known, _)| *known == role)
            .unwrap()
            .1
    }

    /// A call with a key of that role and a JSON body.
    pub(crate) fn call(&self, role: Role, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [
            ("x-api-key", self.key(role)),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, body.as_bytes())
    }
}

impl Deref for Server {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// Which of a lab's two APIs.
#[derive(Clone, Copy)]
pub(crate) enum Api {
    Sigma,
    Luna,
}

impl Api {
    pub(crate) async fn serve(
        self,
        listener: tokio::net::TcpListener,
        lab: Lab,
        stopped: oneshot::Receiver<()>,
    ) -> std::io::Result<()> {
        let shutdown = async { drop(stopped.await) };
        match self {
            Api::Sigma => serve(listener, lab, shutdown).await,
            Api::Luna => serve_luna(listener, lab, shutdown).await,
        }
    }
}

/// One API of a lab, listening; stopped when dropped.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>,
}

impl Endpoint {
    pub(crate) fn start(lab: Lab, api: Api) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                api.serve(listener, lab, stopped).await
            })
        });
        Endpoint {
            address,
            running: Some((stop, thread)),
        }
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        Reply::parse(&reply)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let (stop, thread) = self.running.take().unwrap();
        let _ = stop.send(());
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Reply {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {text:?}"));
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Reply {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}
