//! Ports: seen, told, and handed out through the API.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};

use serde_json::Value;
use sigma_lab::Role;

use crate::parts::{Agent, Answer, Api, ask, binary, folder, free_port, wait_for};

pub(crate) fn scanning(more: &[&str]) -> Agent {
    let agent = Agent::start(
        "http://127.0.0.1:1/api",
        &[&["--port-scan", "--port-scan-interval", "1"], more].concat(),
    );
    wait_for("the first scan", || {
        Some(agent.task("scan")).filter(|task| task["state"] == "ok")
    });
    agent
}

fn allocate(port: u16, body: &str) -> Answer {
    ask(
        port,
        &format!(
            "POST /ports/allocate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_is_taken_is_seen_with_its_owner_and_everything_adds_up() {
    let (listener, datagrams) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        // A port where no connection of another test stands: that would be the first thing to tell of it.
        UdpSocket::bind(("127.0.0.1", free_port())).unwrap(),
    );
    let (tcp, udp) = (
        listener.local_addr().unwrap().port(),
        datagrams.local_addr().unwrap().port(),
    );
    let agent = scanning(&["--port-scan-range", "1024-65535"]);
    let told: Value = serde_json::from_str(&agent.get(&format!("/ports?port={tcp}")).body).unwrap();
    assert_eq!(told["ports"][0]["verdict"], "listening");
    let owner = &told["ports"][0]["sockets"][0]["owners"][0];
    assert_eq!(owner["pid"], std::process::id(), "{told}");
    let told: Value = serde_json::from_str(&agent.get(&format!("/ports?port={udp}")).body).unwrap();
    assert_eq!(told["ports"][0]["verdict"], "udp");
    let page = agent.get("/metrics").body;
    let total = metric(&page, "sigma_ports_total{hostname=\"e2e-host\"}").unwrap();
    let available = metric(&page, "sigma_ports_available{hostname=\"e2e-host\"}").unwrap();
    let used: f64 = page
        .lines()
        .filter(|line| line.starts_with("sigma_ports_used{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!((total, available + used), (64512.0, 64512.0));
    for source in [
        "envoy",
        "sshd",
        "nginx",
        "node_exporter",
        "xray",
        "other",
        "unknown",
    ] {
        for family in ["used", "listening"] {
            assert!(
                page.contains(&format!(
                    "sigma_ports_{family}{{hostname=\"e2e-host\",source=\"{source}\"}}"
                )),
                "{family} {source}"
            );
        }
    }
}

#[test]
fn the_api_gets_ports_that_a_server_then_really_binds() {
    let api = Api::start();
    let _agent = Agent::start(
        &api.url(),
        &[
            "--api-key",
            &api.key(Role::Agent),
            "--port-scan",
            "--alias",
            "127.0.0.1",
        ],
    );
    let id = api.registered()["id"].as_str().unwrap().to_owned();
    let answer = wait_for("ports through the API", || {
        let answer = api.call(
            "POST",
            &format!("/vps/{id}/allocate-ports"),
            "{\"count\":10}",
        );
        answer["ports"].is_array().then_some(answer)
    });
    let ports: BTreeSet<u16> = answer["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| u16::try_from(port.as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(ports.len(), 10);
    let servers: Vec<_> = ports
        .iter()
        .map(|port| TcpListener::bind(("0.0.0.0", *port)).unwrap())
        .collect();
    assert_eq!(servers.len(), 10);
    let refused = api.call(
        "POST",
        &format!("/vps/{id}/allocate-ports"),
        "{\"count\":0}",
    );
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("count must be between 1 and 100"),
        "{refused}"
    );
}

#[test]
fn refusals_are_short_plain_texts_with_the_contracts_codes() {
    let agent = scanning(&["--port-scan-range", "20000-20009"]);
    for (body, status, words) in [
        ("{\"count\":0}", 400, "count must be between 1 and 100"),
        ("{\"count\":101}", 400, "count must be between 1 and 100"),
        ("{\"count\":11}", 409, "requested 11"),
        ("{}", 422, "count"),
        ("{\"count\":\"1\"}", 422, "count"),
        ("{\"count\":1.0}", 422, "count"),
        ("nonsense", 400, "not JSON"),
        ("", 400, "not JSON"),
        ("{\"count\":1,\"hold_seconds\":301}", 409, ""),
    ] {
        let answer = allocate(agent.port, body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(
            answer.head.contains("content-type: text/plain"),
            "{answer:?}"
        );
        assert!(answer.body.contains(words), "{body}: {answer:?}");
    }
    let off = Agent::start("http://127.0.0.1:1/api", &[]);
    let answer = allocate(off.port, "{\"count\":1}");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "Port scanning is not enabled")
    );
    assert!(
        !off.get("/metrics").body.contains("sigma_ports_"),
        "no figures where nothing is scanned"
    );
}

#[test]
fn two_callers_are_not_handed_the_same_port() {
    let agent = scanning(&[]);
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let answer: Value =
            serde_json::from_str(&allocate(agent.port, "{\"count\":100}").body).unwrap();
        for port in answer["ports"].as_array().unwrap() {
            assert!(
                seen.insert(port.as_u64().unwrap()),
                "{port} was given twice"
            );
        }
    }
}

#[test]
fn a_lease_keeps_the_port_until_it_is_given_back() {
    let agent = scanning(&["--port-scan-range", "21000-21000"]);
    let given: Value =
        serde_json::from_str(&allocate(agent.port, "{\"count\":1,\"hold_seconds\":60}").body)
            .unwrap();
    assert_eq!(given["ports"][0], 21000);
    assert_eq!(allocate(agent.port, "{\"count\":1}").status, 409);
    let lease = given["lease"].as_str().unwrap();
    let release = |lease: &str| {
        ask(
            agent.port,
            &format!(
                "DELETE /ports/allocate/{lease} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            ),
        )
        .status
    };
    assert_eq!(release("nonsense"), 404);
    assert_eq!(release(lease), 200);
    assert_eq!(release(lease), 404);
    assert_eq!(allocate(agent.port, "{\"count\":1}").status, 200);
}

#[test]
fn a_token_guards_everything_but_health() {
    let file = folder("token").join("token");
    std::fs::write(&file, "sesame\n").unwrap();
    let agent = Agent::start(
        "http://127.0.0.1:1/api",
        &["--http-token-file", file.to_str().unwrap(), "--port-scan"],
    );
    crate::parts::connect(agent.port);
    assert_eq!(agent.get("/healthz").status, 200);
    for path in ["/status", "/metrics", "/ports", "/version", "/nothing"] {
        assert_eq!(agent.get(path).status, 401, "{path}");
    }
    assert_eq!(allocate(agent.port, "{\"count\":1}").status, 401);
    let with = |token: &str| {
        ask(
            agent.port,
            &format!(
                "GET /status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
            ),
        )
    };
    assert_eq!(with("sesame").status, 200);
    assert_eq!(with("sesam").status, 401);
    assert!(
        !agent
            .log()
            .iter()
            .any(|line| line.to_string().contains("sesame"))
    );
}

#[test]
fn ss_tells_the_same_owners_when_it_is_asked_for() {
    if !["/usr/bin/ss", "/usr/sbin/ss", "/bin/ss", "/sbin/ss"]
        .iter()
        .any(|place| std::path::Path::new(place).exists())
    {
        println!("skipped: ss is not installed");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let owner = |attribution: &str| {
        let output = binary(&[
            "ports",
            "--config",
            "/dev/null",
            "--json",
            "--range",
            &port,
            "--attribution",
            attribution,
        ])
        .output()
        .unwrap();
        let page: Value = serde_json::from_slice(&output.stdout).unwrap();
        page["ports"][0]["sockets"][0]["owners"][0]["pid"].clone()
    };
    assert_eq!(owner("ss"), std::process::id());
    assert_eq!(owner("proc"), std::process::id());
    assert_eq!(owner("off"), Value::Null);
}

#[test]
fn the_command_shows_what_the_server_shows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = binary(&["ports", "--config", "/dev/null", "--range", &port])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(&port)
            && text.contains("listening")
            && text.contains(&format!("({})", std::process::id())),
        "{text}"
    );
    let output = binary(&["ports", "--config", "/dev/null", "--json", "--range", &port])
        .output()
        .unwrap();
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(page["ports"][0]["verdict"], "listening");
    let output = binary(&["ports", "allocate", "5", "--config", "/dev/null"])
        .output()
        .unwrap();
    let ports: BTreeSet<u16> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(ports.len(), 5);
    assert_eq!(
        binary(&["ports", "allocate", "101", "--config", "/dev/null"])
            .output()
            .unwrap()
            .status
            .code(),
        Some(1)
    );
}
