//! `once`: what the agent would tell others, against what it tells them.

use serde_json::Value;

use crate::commands::{run, text};
use crate::parts::{Agent, Played, binary, free_port, http, wait_for};

#[test]
fn once_shows_the_body_that_a_start_sends_and_sends_nothing() {
    let server = Played::start(|_| Some(http("500 Internal Server Error", "", "{}")));
    let port = free_port().to_string();
    let common = [
        "--api-url",
        &server.url(),
        "--metrics-port",
        &port,
        "--hostname",
        "e2e-host",
        "--public-ip-lookup",
        "off",
    ];
    // Whoever looks need not be allowed to read the key.
    let shown = binary(&["once", "--json"])
        .args(common)
        .env("SIGMA_API_KEY_FILE", "/nonexistent/key")
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    assert_eq!(server.requests.lock().unwrap().len(), 0);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let told = |what: &str| {
        let all = shown["tells"].as_array().unwrap();
        all.iter().find(|one| one["what"] == what).unwrap().clone()
    };
    let to = format!("POST {}/agent/register", server.url());
    assert_eq!(told("registration")["to"], to.as_str());

    let _agent = Agent::spawn(binary(&["--config", "/dev/null"]).args(common), 0);
    let request = wait_for("a request", || {
        server.requests.lock().unwrap().first().cloned()
    });
    assert!(
        request.starts_with("POST /api/agent/register "),
        "{request}"
    );
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let mut sent: Value = serde_json::from_str(body).unwrap();
    let mut body = told("registration")["body"].clone();
    assert_eq!(body["system_info"]["metrics_port"].to_string(), port);
    // The port may be somebody else's by now: then the agent says 0.
    for changing in ["uptime_seconds", "load_avg", "disk_used_gb", "metrics_port"] {
        for one in [&mut sent, &mut body] {
            assert!(
                one["system_info"]
                    .as_object_mut()
                    .unwrap()
                    .remove(changing)
                    .is_some()
            );
        }
    }
    assert_eq!(body, sent);
    assert_eq!(told("heartbeat")["body"]["hostname"], "e2e-host");
}

#[test]
fn once_in_role_luna_needs_no_key_and_shows_a_sample() {
    let shown = run(&["once", "--role", "luna", "--json", "--hostname", "e2e-host"]);
    assert!(shown.status.success(), "{shown:?}");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let sample = &shown["tells"][0];
    assert_eq!(sample["what"], "sample");
    assert_eq!(sample["body"]["hostname"], "e2e-host");
    assert!(sample["body"]["memory_percent"].is_f64() && sample["body"]["system_info"].is_object());
}

#[test]
fn once_writes_the_page_that_a_scrape_of_the_host_has() {
    let args = ["--port-scan", "--port-scan-range", "1-100"];
    let once = text(&[
        "once",
        "--metrics",
        "--hostname",
        "e2e-host",
        args[0],
        args[1],
        args[2],
    ]);
    let agent = Agent::start("http://127.0.0.1:9/api", &args);
    let scraped = wait_for("a scan", || {
        Some(agent.get("/metrics").body).filter(|page| page.contains("sigma_ports_available{"))
    });
    let families = |page: &str| -> Vec<String> {
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names
            .map(|name| name.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let (once_has, scrape_has) = (families(&once), families(&scraped));
    assert!(once_has.len() > 30, "{once_has:?}");
    for name in &once_has {
        assert!(scrape_has.contains(name), "{name} is on no scrape");
    }
    for name in [
        "sigma_ports_available",
        "sigma_host_memory_total_bytes",
        "sigma_source_up",
    ] {
        assert!(once_has.iter().any(|one| one == name), "{name} is missing");
    }
    assert!(
        !once.contains("process_") && !once.contains("sigma_agent_"),
        "nothing of the process itself"
    );
}
