//! Every recorded exchange with the real API, replayed: the lab's answer is the same, byte for byte,
//! but for ids, timestamps and ports.
//!
//! Compared are the status, the body, and every header except those of `NOT_COMPARED`. An exchange
//! counts as replayed when it went through `Session::replay`; `every_capture_is_replayed` holds the
//! list of those that were not against the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sigma_lab::{Options, Role};
use tokio::net::TcpSocket;

use crate::server::{Reply, Server};

/// Files that are no exchange of the API.
const NOT_REPLAYED: [&str; 1] = ["openapi"];

/// The lab sends no CORS headers on purpose: no page in a browser is meant to call it.
const NOT_COMPARED: [&str; 3] = [
    "vary",
    "access-control-allow-origin",
    "access-control-expose-headers",
];

fn capture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A lab, and which id of the captures is which of its own.
struct Session {
    server: Server,
    ids: BTreeMap<String, String>,
    /// Whether the recorded requests were counted from a fresh window, without gaps.
    count: bool,
    replayed: BTreeSet<String>,
}

impl Session {
    fn new() -> Session {
        let options = Options::default()
            .rate_limit(100, Duration::from_secs(3600))
            .agent_timeout(Duration::from_secs(2));
        Session {
            server: Server::start(options),
            ids: BTreeMap::new(),
            count: false,
            replayed: BTreeSet::new(),
        }
    }

    fn replay_all<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.replay(name, &[]);
        }
    }

    /// Replays one exchange; `changes` are texts of the recorded answer that differ here.
    fn replay(&mut self, name: &str, changes: &[(&str, String)]) {
        let capture = capture(&format!("api-{name}"));
        let reply = self.send(&capture["request"]);
        let expected = &capture["response"];
        assert_eq!(json!(reply.status), expected["status"], "{name}: {reply:?}");
        let mut body = expected["body_raw"].as_str().unwrap().to_owned();
        for (theirs, ours) in changes {
            assert!(body.contains(theirs), "{name} has no {theirs}");
            body = body.replace(theirs, ours);
        }
        if name.starts_with("prom-targets") {
            // The real API prints labels in the random order of a hash map.
            assert!(
                reply.body.starts_with(r#"[{"targets":["#),
                "{name}: {}",
                reply.body
            );
            assert_eq!(reply.json(), expected["body"], "{name}");
        } else {
            self.same_but_for_ids(name, &body, &reply.body);
        }
        self.same_headers(name, expected["headers"].as_array().unwrap(), &reply);
        self.replayed.insert(format!("api-{name}"));
    }

    fn send(&self, request: &Value) -> Reply {
        let mut headers = Vec::new();
        match request["x_api_key"].as_str() {
            Some("agent") => headers.push(("x-api-key", self.server.key(Role::Agent))),
            Some("readonly") => headers.push(("x-api-key", self.server.key(Role::Readonly))),
            Some("operator") => headers.push(("x-api-key", self.server.key(Role::Operator))),
            Some("valid") => headers.push(("x-api-key", self.server.key(Role::Admin))),
            Some("wrong") => headers.push(("x-api-key", "sk_sigma_00")),
            Some("") => headers.push(("x-api-key", "")),
            None => {}
            Some(other) => panic!("unknown kind of key {other}"),
        }
        if request.get("content_type") != Some(&Value::Null) {
            headers.push(("content-type", "application/json"));
        }
        let body = match &request["body"] {
            Value::Null => Vec::new(),
            Value::String(text) => match text.strip_suffix(" bytes)") {
                Some(length) => vec![b'x'; length[1..].parse().unwrap()],
                None => text.clone().into_bytes(),
            },
            json => self.translated(&json.to_string()).into_bytes(),
        };
        let path = self.translated(request["path"].as_str().unwrap());
        self.server
            .send(request["method"].as_str().unwrap(), &path, &headers, &body)
    }

    /// A text with the captures' ids replaced by our own.
    fn translated(&self, text: &str) -> String {
        self.ids
            .iter()
            .fold(text.to_owned(), |text, (theirs, ours)| {
                text.replace(theirs, ours)
            })
    }

    fn same_but_for_ids(&mut self, name: &str, theirs: &str, ours: &str) {
        let (theirs, their_ids) = blanked(theirs);
        let (ours, our_ids) = blanked(ours);
        assert_eq!(ours, theirs, "{name}");
        for (theirs, ours) in their_ids.into_iter().zip(our_ids) {
            let known = self.ids.entry(theirs).or_insert(ours.clone());
            assert_eq!(*known, ours, "{name}: another record than before");
        }
        let different: BTreeSet<_> = self.ids.values().collect();
        assert_eq!(
            different.len(),
            self.ids.len(),
            "{name}: the record of another capture"
        );
    }

    fn same_headers(&self, name: &str, expected: &[Value], reply: &Reply) {
        let mut expected: BTreeMap<&str, &str> = expected
            .iter()
            .map(|line| line.as_str().unwrap().split_once(": ").unwrap())
            .collect();
        expected.retain(|name, _| !NOT_COMPARED.contains(name));
        let mut ours: BTreeMap<&str, &str> = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // Of this connection and this moment.
        ours.remove("connection");
        ours.remove("date").unwrap();
        let length = reply.body.len().to_string();
        assert_eq!(
            ours.remove("content-length"),
            Some(length.as_str()),
            "{name}"
        );
        expected.remove("content-length").unwrap();
        let numbers: &[&str] = if self.count {
            &["retry-after"]
        } else {
            &["retry-after", "x-ratelimit-remaining"]
        };
        for number in numbers {
            let (theirs, ours) = (expected.remove(number), ours.remove(number));
            assert_eq!(theirs.is_some(), ours.is_some(), "{name}: {number}");
            assert!(
                ours.is_none_or(|value| value.parse::<u32>().is_ok()),
                "{name}: {number}"
            );
        }
        assert_eq!(ours, expected, "{name}");
    }

    /// A call that is no capture but makes the state for one.
    fn prepare(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.server.call(Role::Operator, method, path, body);
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        reply.json()
    }

    fn register(&self, body: &Value) -> Value {
        self.prepare("POST", "/api/agent/register", body)
    }
}

/// A body with every UUID and timestamp replaced by its form, and the UUIDs in order.
fn blanked(text: &str) -> (String, Vec<String>) {
    let forms = [
        ("<uuid>", "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"),
        ("<nanoseconds>", "dddd-dd-ddTdd:dd:dd.ddddddddd+00:00"),
        ("<microseconds>", "dddd-dd-ddTdd:dd:dd.ddddddZ"),
    ];
    let (mut rest, mut out, mut ids) = (text, String::new(), Vec::new());
    while let Some(next) = rest.chars().next() {
        let found = forms
            .iter()
            .find(|(_, form)| rest.get(..form.len()).is_some_and(|t| has_form(t, form)));
        let taken = found.map_or(next.len_utf8(), |(_, form)| form.len());
        let (head, tail) = rest.split_at(taken);
        out += found.map_or(head, |(name, _)| name);
        if found.is_some_and(|(name, _)| *name == "<uuid>") {
            ids.push(head.to_owned());
        }
        rest = tail;
    }
    (out, ids)
}

fn has_form(text: &str, form: &str) -> bool {
    text.bytes()
        .zip(form.bytes())
        .all(|(byte, wanted)| match wanted {
            b'h' => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
            b'd' => byte.is_ascii_digit(),
            _ => byte == wanted,
        })
}

/// Requests of agents, recorded one after the other: even the rate limit's counter agrees.
fn agents() -> Session {
    let mut session = Session::new();
    session.count = true;
    session.replay_all([
        "reg-401-nokey",
        "reg-401-badkey",
        "reg-401-empty-key",
        "route-404-unknown",
        "reg-403-readonly",
        "reg-400-blank",
        "reg-400-badip",
        "reg-400-notjson",
        "reg-422-nohostname",
        "reg-422-sshport",
        "reg-405",
        "hb-404-unknown",
        "reg-200-minimal",
        "reg-200-full",
        "hb-200",
        "hb-200-noips",
        "hb-200-nosysinfo",
        "labels-1-put",
        "labels-2-hb-missing-ip",
        "labels-3-hb-ip-back",
        "labels-4-ip-history",
        "reg-200-empty-ips-wipe",
        "vps-retire",
        "hb-200-retired",
        "reg-200-revives",
        "vps-delete",
        "hb-404-deleted",
        "reg-200-deleted-new-row",
        "vps-create-extra-null",
        "reg-200-extra-null",
        "merge-1-register-target",
        "merge-2-register-source",
        "merge-3-merge",
        "merge-4-hb-source",
        "merge-5-hb-target",
        "hb-404-case",
        "reg-200-blank-in-hostname",
        "reg-200-blank-in-ip",
    ]);
    // The window that is recorded as exhausted.
    while session
        .server
        .call(Role::Agent, "GET", "/api/vps", &Value::Null)
        .status
        == 200
    {}
    session.replay_all(["rate-429", "rate-401-before-429"]);
    session
}

/// The second recording of refused forms, again from a fresh window.
fn refused_forms() -> Session {
    let mut session = Session::new();
    session.count = true;
    session.replay_all([
        "reg-415-no-content-type",
        "reg-400-empty-body",
        "reg-413",
        "hb-422-nohostname",
        "hb-400-blank",
    ]);
    session
}

fn records() -> Session {
    let mut session = Session::new();
    session.replay_all([
        "vps-create-decimals",
        "reg-200-order-private-first",
        "reg-200-order-v6-first",
    ]);
    let v6 = session.register(&json!({"hostname": "v6", "ip_addresses": [{"ip": "2001:db8::7"}]}));
    session.replay("hb-400-badip", &[]);
    let id = v6["id"].as_str().unwrap().to_owned();
    session
        .ids
        .insert("fddd215b-5342-4440-ab12-0a9917892c36".to_owned(), id);
    session.replay_all(["ip-check-403-agentrole", "ip-check-200"]);
    session
}

fn lists() -> Session {
    let mut session = Session::new();
    let merged = session.register(&json!({"hostname": "before-ms"}));
    let source = session.register(&json!({"hostname": "ms"}));
    session.prepare(
        "POST",
        "/api/vps/merge",
        &json!({"target_id": merged["id"], "source_id": source["id"]}),
    );
    session.prepare("POST", "/api/agent/heartbeat", &json!({"hostname": "ms"}));
    let system_info = json!({"public_ip": "127.0.0.1", "metrics_port": 39104});
    session.register(&json!({"hostname": "al", "system_info": system_info}));
    for (hostname, first) in [
        ("ord-v6-first", "2001:db8::9"),
        ("ord-private-first", "10.0.0.5"),
        ("ord-good", "203.0.113.9"),
        ("v6", "2001:db8::7"),
    ] {
        let addresses = json!([{"ip": first}, {"ip": "203.0.113.77"}]);
        session.register(&json!({"hostname": hostname, "ip_addresses": addresses}));
    }
    session.register(&json!({"hostname": "z-without-address"}));
    session.replay_all(["vps-list", "prom-targets-order"]);
    session
}

fn targets() -> Session {
    let mut session = Session::new();
    session.replay_all(["reg-200-minimal", "reg-200-blank-in-ip"]);
    let addresses = json!([{"ip": "192.0.2.2"}]);
    session.register(
        &json!({"hostname": "e2e-host", "alias": "127.0.0.1", "ip_addresses": addresses}),
    );
    let retired = session.register(&json!({"hostname": "retired", "ip_addresses": addresses}));
    let id = retired["id"].as_str().unwrap();
    session.prepare("POST", &format!("/api/vps/{id}/retire"), &Value::Null);
    // Active again, but still not scraped.
    session.register(&json!({"hostname": "retired", "ip_addresses": addresses}));
    session.replay("prom-targets", &[]);
    session
}

/// An agent's side: one answer to one request, which is returned.
fn agent(listener: TcpListener, answer: String) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut byte = [0];
        while !request.ends_with('}') && stream.read(&mut byte).unwrap() == 1 {
            request.push(byte[0].into());
        }
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A port that is taken and refuses connections; free again when dropped.
fn closed(ip: impl Into<std::net::IpAddr>, port: u16) -> std::io::Result<(TcpSocket, u16)> {
    let address = SocketAddr::new(ip.into(), port);
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(address)?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

impl Session {
    /// Makes the record that a capture of an allocation speaks of.
    fn dialled(&mut self, name: &str, record: &Value) {
        let path = capture(&format!("api-{name}"))["request"]["path"]
            .as_str()
            .unwrap()
            .to_owned();
        let theirs = path.split('/').nth(3).unwrap().to_owned();
        let mut record = record.clone();
        record["hostname"] = name.into();
        let made = self.prepare("POST", "/api/vps", &record);
        self.ids
            .insert(theirs, made["id"].as_str().unwrap().to_owned());
    }

    /// Replays an allocation that an agent on this address answers.
    fn allocate(
        &mut self,
        name: &str,
        at: (&str, &str),
        metrics_port: u64,
        answer: String,
    ) -> String {
        let (ip, field) = at;
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = u64::from(listener.local_addr().unwrap().port()) + metrics_port;
        let host = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        };
        let record = match field {
            "alias" => json!({"alias": host, "extra": {"system_info": {"metrics_port": port}}}),
            _ => json!({"extra": {"system_info": {"metrics_port": port, "public_ip": host}}}),
        };
        self.dialled(name, &record);
        let agent = agent(listener, answer);
        self.replay(name, &[]);
        agent.join().unwrap()
    }

    /// Replays an allocation that is refused before anybody is dialled.
    fn allocate_undialled(&mut self, name: &str, record: &Value) {
        self.dialled(name, record);
        self.replay(name, &[]);
    }
}

fn allocations() -> Session {
    let mut session = Session::new();
    let ok = |body: &str| http("200 OK", body);
    let alias = ("127.0.0.1", "alias");
    let request = session.allocate(
        "alloc-200",
        alias,
        0,
        ok(r#"{"ports":[10000,10001,10002]}"#),
    );
    assert!(request.ends_with(r#"{"count":3}"#), "{request}");
    let one = ok(r#"{"ports":[10000]}"#);
    session.allocate(
        "alloc-200-publicip-v4",
        ("127.0.0.1", "public_ip"),
        0,
        one.clone(),
    );
    session.allocate("alloc-200-metricsport-wraps", alias, 65_536, one);
    for (name, status, said) in [
        (
            "alloc-502-count0",
            "400 Bad Request",
            "count must be between 1 and 1000",
        ),
        (
            "alloc-502-too-many",
            "400 Bad Request",
            "count must be between 1 and 1000",
        ),
        (
            "alloc-502-agent-409",
            "409 Conflict",
            "Only 10 available ports found, requested 11",
        ),
        (
            "alloc-502-agent-503",
            "503 Service Unavailable",
            "Port scanning is not enabled",
        ),
        ("alloc-502-not-json", "200 OK", "nonsense"),
    ] {
        session.allocate(name, alias, 0, http(status, said));
    }
    if TcpListener::bind("[::1]:0").is_ok() {
        let leased = ok(r#"{"ports":[20001],"lease_seconds":30}"#);
        session.allocate(
            "alloc-200-publicip-v6-brackets",
            ("::1", "public_ip"),
            0,
            leased,
        );
    } else {
        println!("skipped: alloc-200-publicip-v6-brackets: no IPv6 loopback");
        session
            .replayed
            .insert("api-alloc-200-publicip-v6-brackets".to_owned());
    }
    session
}

fn allocations_refused() -> Session {
    let mut session = Session::new();
    let info = |info: Value| json!({"extra": {"system_info": info}});
    let public_ip = |ip: &str| info(json!({"public_ip": ip, "metrics_port": 39102}));
    session.allocate_undialled("alloc-502-publicip-empty", &public_ip(""));
    session.allocate_undialled("alloc-502-publicip-nonsense", &public_ip("nonsense host"));
    session.allocate_undialled("alloc-502-publicip-v6-bare", &public_ip("::1"));
    let v6_only = json!({"ip_addresses": [{"ip": "2001:db8::7"}]});
    session.allocate_undialled("alloc-502-v6only-no-publicip", &v6_only);
    session.allocate_undialled("alloc-400-noip", &info(json!({"metrics_port": 39102})));
    session.allocate_undialled("alloc-400-metricsport-0", &info(json!({"metrics_port": 0})));
    session.allocate_undialled("alloc-403-agentrole", &public_ip("127.0.0.1"));
    session.allocate_undialled("alloc-422", &public_ip("127.0.0.1"));
    session.replay_all(["alloc-404", "alloc-400-bad-id"]);
    session
}

fn allocations_unreachable() -> Session {
    let mut session = Session::new();
    let (_held, port) = closed(Ipv4Addr::LOCALHOST, 0).unwrap();
    let on = |host: &str, port: Value| json!({"extra": {"system_info": {"public_ip": host, "metrics_port": port}}});
    session.dialled(
        "alloc-502-metricsport-closed",
        &on("127.0.0.1", port.into()),
    );
    session.replay(
        "alloc-502-metricsport-closed",
        &[(":39109/", format!(":{port}/"))],
    );

    session.dialled("alloc-502-deleted-row", &on("127.0.0.1", port.into()));
    let deleted = session.ids["075fa595-92ed-4f54-be88-ecff464fd9ca"].clone();
    session.prepare("DELETE", &format!("/api/vps/{deleted}"), &Value::Null);
    session.replay("alloc-502-deleted-row", &[(":39999/", format!(":{port}/"))]);

    // The default port is a fact of the wire; an address of its own keeps it away from others.
    let lonely = Ipv4Addr::new(127, 83, 12, 9);
    match closed(lonely, 9102) {
        Ok(_held) => {
            session.dialled(
                "alloc-502-metricsport-string",
                &on("127.83.12.9", "39102".into()),
            );
            let changes = [("//127.0.0.1:", "//127.83.12.9:".to_owned())];
            session.replay("alloc-502-metricsport-string", &changes);
        }
        Err(error) => {
            println!("skipped: alloc-502-metricsport-string: somebody holds 9102: {error}");
            session
                .replayed
                .insert("api-alloc-502-metricsport-string".to_owned());
        }
    }
    match closed(Ipv6Addr::LOCALHOST, 0) {
        Ok((_held, port)) => {
            let name = "alloc-502-publicip-v6-brackets-refused";
            session.dialled(name, &on("[::1]", port.into()));
            session.replay(name, &[(":39102/", format!(":{port}/"))]);
        }
        Err(error) => {
            println!("skipped: alloc-502-publicip-v6-brackets-refused: no IPv6: {error}");
            session
                .replayed
                .insert("api-alloc-502-publicip-v6-brackets-refused".to_owned());
        }
    }
    // Connected, but never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    session.dialled("alloc-502-timeout", &on("127.0.0.1", port.into()));
    session.replay("alloc-502-timeout", &[(":39104/", format!(":{port}/"))]);
    session
}

/// The original agent's own bytes, and those that it gets.
fn wires() -> Session {
    let mut session = Session::new();
    session.count = true;
    for name in ["wire-agent-register", "wire-agent-heartbeat"] {
        let capture = capture(name);
        let key = session.server.key(Role::Agent).to_owned();
        let headers: Vec<(&str, &str)> = capture["request"]["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .filter(|(name, _)| !["host", "content-length"].contains(name))
            .map(|(name, value)| {
                (
                    name,
                    if name == "x-api-key" {
                        key.as_str()
                    } else {
                        value
                    },
                )
            })
            .collect();
        let (method, path) = (&capture["request"]["method"], &capture["request"]["path"]);
        let body = capture["request"]["body_raw"].as_str().unwrap().as_bytes();
        let reply = session.server.send(
            method.as_str().unwrap(),
            path.as_str().unwrap(),
            &headers,
            body,
        );
        assert_eq!(reply.status, 200, "{name}");
        session.same_but_for_ids(
            name,
            capture["response"]["body_raw"].as_str().unwrap(),
            &reply.body,
        );
        let expected: Vec<Value> = capture["response"]["headers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pair| pair[0] != "date")
            .map(|pair| {
                format!(
                    "{}: {}",
                    pair[0].as_str().unwrap(),
                    pair[1].as_str().unwrap()
                )
                .into()
            })
            .collect();
        session.same_headers(name, &expected, &reply);
        session.replayed.insert(name.to_owned());
    }
    let theirs = capture("wire-api-allocate");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let agent = agent(
        listener,
        http("200 OK", theirs["response"]["body_raw"].as_str().unwrap()),
    );
    let info = json!({"public_ip": "127.0.0.1", "metrics_port": port});
    let made = session.register(&json!({"hostname": "asked", "system_info": info}));
    let path = format!("/api/vps/{}/allocate-ports", made["id"].as_str().unwrap());
    assert_eq!(
        session.prepare("POST", &path, &json!({"count": 2})),
        theirs["response"]["body"]
    );
    let mut expected = "POST /ports/allocate HTTP/1.1\r\n".to_owned();
    for header in theirs["request"]["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        expected += &format!("{name}: {value}\r\n").replace("39177", &port.to_string());
    }
    expected += &format!("\r\n{}", theirs["request"]["body_raw"].as_str().unwrap());
    assert_eq!(agent.join().unwrap(), expected);
    session.replayed.insert("wire-api-allocate".to_owned());
    session
}

#[test]
fn every_capture_is_replayed() {
    let sessions: [fn() -> Session; 9] = [
        agents,
        refused_forms,
        records,
        lists,
        targets,
        allocations,
        allocations_refused,
        allocations_unreachable,
        wires,
    ];
    let mut accounted: BTreeSet<String> = NOT_REPLAYED.map(str::to_owned).into();
    for session in sessions {
        accounted.append(&mut session().replayed);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let captured: BTreeSet<String> = files
        .filter_map(|name| {
            name.to_str()
                .unwrap()
                .strip_suffix(".json")
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(accounted, captured);
}
