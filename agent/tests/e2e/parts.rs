//! What the tests are made of: the agent as a process, the lab as its API, and a server that plays given bytes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a busy machine: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago, for TCP and UDP. It lies below the ports that the kernel gives to clients and above those that the
/// agent scans by default: no other test's socket comes to stand there by chance.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 30_001..32_768;
    for _ in PORTS {
        let step = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + step % (PORTS.end - PORTS.start)).unwrap();
        let here = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(here).is_ok() && UdpSocket::bind(here).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// A new folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!(
        "sigma-agent-e2e-{}-{number}-{name}",
        std::process::id()
    ));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The agent's binary with nothing of this environment that could configure it.
pub(crate) fn binary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigma-agent"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            [
                "AGENT_",
                "SIGMA_",
                "LUNASENTRI_",
                "STATE_DIRECTORY",
                "NOTIFY_",
                "WATCHDOG_",
                "INVOCATION_",
                "JOURNAL_",
            ]
            .iter()
            .any(|ours| name.starts_with(ours))
        }) {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// A running agent; killed at the end of the test.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) port: u16,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Agent {
    /// Starts one that beats every second and reports to `api_url`.
    pub(crate) fn start(api_url: &str, more: &[&str]) -> Self {
        let port = free_port();
        Self::start_on(port, api_url, more)
    }

    pub(crate) fn start_on(port: u16, api_url: &str, more: &[&str]) -> Self {
        let config = folder("config").join("agent.yaml");
        std::fs::write(&config, "").unwrap();
        let port_text = port.to_string();
        let mut args = vec![
            "--api-url",
            api_url,
            "--metrics-port",
            &port_text,
            "--log-format",
            "json",
        ];
        for (flag, value) in [
            ("--config", config.to_str().unwrap()),
            ("--interval", "1"),
            ("--public-ip-lookup", "off"),
            ("--hostname", "e2e-host"),
        ] {
            if !more.contains(&flag) {
                args.extend([flag, value]);
            }
        }
        args.extend(more);
        Self::spawn(&mut binary(&args), port)
    }

    pub(crate) fn spawn(command: &mut Command, port: u16) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (lines, sink) = (
            BufReader::new(child.stderr.take().unwrap()).lines(),
            Arc::clone(&log),
        );
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(value);
            }
        });
        Self { child, port, log }
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log whose text holds `part`.
    pub(crate) fn logged(&self, part: &str) -> Value {
        wait_for(&format!("{part:?} in the log"), || {
            self.log()
                .into_iter()
                .find(|line| line.to_string().contains(part))
        })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(
            self.port,
            &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        )
    }

    pub(crate) fn status(&self) -> Value {
        wait_for("the status page", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
        serde_json::from_str(&self.get("/status").body).unwrap()
    }

    /// The state of one loop, as `/status` has it.
    pub(crate) fn task(&self, name: &str) -> Value {
        self.status()["loops"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()
            .clone()
    }

    /// Waits until the last error of the heartbeat holds `part`.
    pub(crate) fn heartbeat_fails(&self, part: &str) -> Value {
        wait_for(
            &format!("a heartbeat failing with {part:?}; {:?}", self.log()),
            || {
                Some(self.task("heartbeat")).filter(|task| {
                    task["state"] == "failing"
                        && task["last_error"]["message"]
                            .as_str()
                            .is_some_and(|message| message.contains(part))
                })
            },
        )
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([format!("-{name}"), self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        wait_for("the agent's end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that does nothing but hold a listening socket, under a name of one's choice.
pub(crate) struct Holder {
    child: Child,
    place: PathBuf,
}

impl Holder {
    pub(crate) fn start(name: &OsStr) -> Self {
        let place = folder("holder");
        // The kernel names a process after the file that it runs.
        let program = place.join(name);
        // By another process: a file that this one, or a process that it starts right now, has open for writing cannot be started.
        let copy = Command::new("cp").arg("/bin/sleep").arg(&program).status();
        assert!(copy.unwrap().success());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // As its standard input the socket is the holder's alone.
        let child = Command::new(&program)
            .arg("600")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        Self { child, place }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// An HTTP answer, read to the end of the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends bytes and reads what comes back until the connection is closed.
pub(crate) fn ask(port: u16, request: &str) -> Answer {
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A server that closed early may reset the connection after its answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer to {request:.80?}: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = wait_for("the server", || {
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The lab's API on a thread of its own.
pub(crate) struct Api {
    pub(crate) lab: sigma_lab::Lab,
    pub(crate) port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::serve(sigma_lab::Lab::in_memory().unwrap(), 0)
    }

    pub(crate) fn serve(lab: sigma_lab::Lab, port: u16) -> Self {
        Self::run(lab, port, async |listener, lab, stopped| {
            sigma_lab::serve(listener, lab, stopped).await.unwrap();
        })
    }

    /// The lab's LunaSentri server.
    pub(crate) fn start_luna(lab: sigma_lab::Lab) -> Self {
        Self::run(lab, 0, async |listener, lab, stopped| {
            sigma_lab::serve_luna(listener, lab, stopped).await.unwrap();
        })
    }

    fn run(
        lab: sigma_lab::Lab,
        port: u16,
        serve: impl AsyncFnOnce(
            tokio::net::TcpListener,
            sigma_lab::Lab,
            std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
        ) + Send
        + 'static,
    ) -> Self {
        let listener = wait_for("the API's port", || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
        });
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = lab.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = Box::pin(async { drop(stopped.await) });
                serve(listener, served, stopped).await;
            });
        });
        Self {
            lab,
            port,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/api", self.root())
    }

    pub(crate) fn root(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn key(&self, role: sigma_lab::Role) -> String {
        self.lab.create_key("e2e", role).unwrap()
    }

    /// The one record, as the API shows it.
    pub(crate) fn record(&self) -> Option<Value> {
        let answer = self.call("GET", "/vps", "");
        answer["data"].as_array().unwrap().first().cloned()
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let key = self.key(sigma_lab::Role::Admin);
        let length = body.len();
        let answer = ask(
            self.port,
            &format!(
                "{method} /api{path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ),
        );
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    pub(crate) fn registered(&self) -> Value {
        wait_for("a registration", || self.record())
    }

    /// Waits for a heartbeat later than the one that `record` shows.
    pub(crate) fn beat_after(&self, record: &Value) -> Value {
        wait_for("a heartbeat", || {
            self.record()
                .filter(|now| now["extra"]["last_heartbeat"] != record["extra"]["last_heartbeat"])
        })
    }

    pub(crate) fn stop(mut self) -> sigma_lab::Lab {
        self.end();
        self.lab.clone()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server that answers every request through a function of its head and body, and remembers them.
pub(crate) struct Played {
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Played {
    /// `answer` gives the bytes to send back; `None` keeps the connection open in silence.
    pub(crate) fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || converse(stream, &seen, &*answer));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }
}

fn converse(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> Option<Vec<u8>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    request.push_str(&String::from_utf8_lossy(&body));
    seen.lock().unwrap().push(request.clone());
    match answer(&request) {
        Some(bytes) => drop(stream.write_all(&bytes)),
        None => sleep(PATIENCE),
    }
}

/// The bytes of an HTTP answer that closes its connection.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
