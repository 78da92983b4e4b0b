//! Registering, beating, and starting over.

use crate::parts::{Agent, Api, folder, free_port, wait_for};
use sigma_lab::Role;

#[test]
fn a_host_is_registered_with_everything_the_api_and_its_ui_read() {
    let api = Api::start();
    let key = folder("key").join("key");
    std::fs::write(&key, api.key(Role::Agent)).unwrap();
    let agent = Agent::start(
        &api.url(),
        &[
            "--api-key-file",
            key.to_str().unwrap(),
            "--ssh-port",
            "2222",
            "--alias",
            "vps.example",
            "--public-ip",
            "203.0.113.9",
        ],
    );
    let record = api.registered();
    let record = api.beat_after(&record);
    assert_eq!(record["hostname"], "e2e-host");
    assert_eq!(record["alias"], "vps.example");
    assert_eq!(record["ssh_port"], 2222);
    assert_eq!(record["status"], "active");
    assert_eq!(record["ip_addresses"][0]["ip"], "203.0.113.9");
    let info = &record["extra"]["system_info"];
    assert_eq!(info["metrics_port"], agent.port);
    assert_eq!(info["public_ip"], "203.0.113.9");
    for key in [
        "cpu_cores",
        "ram_mb",
        "disk_gb",
        "disk_used_gb",
        "uptime_seconds",
    ] {
        assert!(info[key].is_u64(), "{key} in {info}");
    }
    assert_eq!(
        info["load_avg"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|load| load.is_number())
            .count(),
        3
    );
    // An independent witness.
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(info["cpu_cores"].as_u64().unwrap() >= cores);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(info["ram_mb"], total / 1024);
}

#[test]
fn an_api_that_is_down_at_the_start_is_waited_for() {
    let port = free_port();
    let agent = Agent::start(&format!("http://127.0.0.1:{port}/api/"), &[]);
    let task = agent.heartbeat_fails("connect");
    assert!(task["next_run_in_seconds"].is_number());
    let api = Api::serve(
        sigma_lab::Lab::with(sigma_lab::Options::default().require_keys(false)).unwrap(),
        port,
    );
    api.registered();
    agent.logged("works again");
    let warnings = agent
        .log()
        .iter()
        .filter(|line| line["level"] == "warn")
        .count();
    assert_eq!(
        warnings,
        1,
        "a lasting failure is said once: {:?}",
        agent.log()
    );
}

#[test]
fn a_deleted_record_is_registered_again() {
    let api = Api::start();
    let agent = Agent::start(&api.url(), &["--api-key", &api.key(Role::Agent)]);
    let first = api.registered();
    api.beat_after(&first);
    api.call(
        "DELETE",
        &format!("/vps/{}", first["id"].as_str().unwrap()),
        "",
    );
    let second = wait_for("a new record", || {
        api.record().filter(|record| record["id"] != first["id"])
    });
    assert_eq!(second["hostname"], "e2e-host");
    let status = wait_for("the new id on the status page", || {
        Some(agent.status()).filter(|status| status["api"]["id"] == second["id"])
    });
    assert_eq!(status["api"]["registered"], true);
}

#[test]
fn an_api_that_restarts_is_found_again_without_a_new_registration() {
    let api = Api::start();
    let port = api.port;
    let agent = Agent::start(&api.url(), &["--api-key", &api.key(Role::Agent)]);
    let first = api.registered();
    api.beat_after(&first);
    let lab = api.stop();
    agent.heartbeat_fails("connect");
    let api = Api::serve(lab, port);
    let before = api.record().unwrap();
    let after = api.beat_after(&before);
    assert_eq!(after["id"], first["id"]);
    let registrations = agent
        .log()
        .iter()
        .filter(|line| line["msg"] == "registered")
        .count();
    assert_eq!(registrations, 1);
}

#[test]
fn a_key_that_is_put_right_in_its_file_is_taken_without_a_restart() {
    let api = Api::start();
    let key = folder("key").join("key");
    std::fs::write(&key, "sk_sigma_0000000000000000000000000000000000000000\n").unwrap();
    let agent = Agent::start(&api.url(), &["--api-key-file", key.to_str().unwrap()]);
    agent.heartbeat_fails("refuses the key");
    std::fs::write(&key, api.key(Role::Agent)).unwrap();
    api.registered();
    agent.logged("trying the new one");
    assert!(
        !agent
            .log()
            .iter()
            .any(|line| line.to_string().contains("sk_sigma_")),
        "a key stands in the log"
    );
}

#[test]
fn a_retired_record_is_not_revived_by_a_change_of_the_alias() {
    let api = Api::start();
    let config = folder("config").join("agent.yaml");
    std::fs::write(&config, "alias: one.example\n").unwrap();
    let agent = Agent::start(
        &api.url(),
        &[
            "--api-key",
            &api.key(Role::Agent),
            "--config",
            config.to_str().unwrap(),
        ],
    );
    let record = api.registered();
    let id = record["id"].as_str().unwrap().to_owned();
    api.beat_after(&record);
    api.call("POST", &format!("/vps/{id}/retire"), "");
    wait_for("the status to be noticed", || {
        Some(agent.status()).filter(|status| {
            status["api"]["status"] == "retired" || status["api"]["status"] == "retiring"
        })
    });
    std::fs::write(&config, "alias: two.example\n").unwrap();
    agent.signal("HUP");
    agent.logged("configuration reloaded");
    let before = api.call("GET", &format!("/vps/{id}"), "");
    let after = wait_for("a heartbeat", || {
        Some(api.call("GET", &format!("/vps/{id}"), ""))
            .filter(|now| now["extra"]["last_heartbeat"] != before["extra"]["last_heartbeat"])
    });
    assert_ne!(after["status"], "active");
    assert_eq!(after["alias"], "one.example");
}

#[test]
fn asking_first_registers_only_where_the_record_differs() {
    let api = Api::start();
    let key = api.key(Role::Agent);
    let id = {
        let _agent = Agent::start(&api.url(), &["--api-key", &key, "--alias", "a.example"]);
        let record = api.registered();
        api.beat_after(&record);
        record["id"].as_str().unwrap().to_owned()
    };
    let asking = ["--api-key", &key, "--first-contact", "heartbeat", "--alias"];
    let same = Agent::start(&api.url(), &[&asking[..], &["a.example"]].concat());
    wait_for("a first success", || {
        Some(same.task("heartbeat")).filter(|task| task["runs"].as_u64() > Some(1))
    });
    assert!(!same.log().iter().any(|line| line["msg"] == "registered"));
    drop(same);
    let other = Agent::start(&api.url(), &[&asking[..], &["b.example"]].concat());
    other.logged("registered");
    assert_eq!(
        api.call("GET", &format!("/vps/{id}"), "")["alias"],
        "b.example"
    );
}

#[test]
fn a_changed_hostname_is_registered_after_a_reload() {
    let api = Api::start();
    let config = folder("config").join("agent.yaml");
    std::fs::write(&config, "hostname: first-name\n").unwrap();
    let port = free_port();
    let key = api.key(Role::Agent);
    let url = api.url();
    let port_text = port.to_string();
    let mut command = crate::parts::binary(&[
        "--api-url",
        &url,
        "--api-key",
        &key,
        "--metrics-port",
        &port_text,
        "--log-format",
        "json",
        "--interval",
        "1",
        "--public-ip-lookup",
        "off",
        "--config",
        config.to_str().unwrap(),
    ]);
    let agent = Agent::spawn(&mut command, port);
    let record = api.registered();
    assert_eq!(record["hostname"], "first-name");
    std::fs::write(&config, "hostname: second-name\nssh_port: 0\n").unwrap();
    agent.signal("HUP");
    agent.logged("the old one stays");
    std::fs::write(
        &config,
        "hostname: second-name\nmetrics_address: 127.0.0.2\n",
    )
    .unwrap();
    agent.signal("HUP");
    agent.logged("takes effect only after a restart");
    wait_for("the second name", || {
        Some(agent.status()).filter(|status| status["api"]["hostname"] == "second-name")
    });
}

#[test]
fn a_failure_whose_words_vary_is_said_once() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = crate::parts::Played::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let word: String = (0..8)
            .map(|bit| if number >> bit & 1 == 1 { 'x' } else { 'y' })
            .collect();
        let body = format!("{{\"error\":\"Internal error: {word}\"}}");
        Some(crate::parts::http(
            "500 Internal Server Error",
            "content-type: application/json\r\n",
            &body,
        ))
    });
    let agent = Agent::start(&server.url(), &[]);
    wait_for("several tries", || {
        Some(agent.task("heartbeat")).filter(|task| task["runs"].as_u64() > Some(3))
    });
    let warnings = agent
        .log()
        .iter()
        .filter(|line| line["level"] == "warn")
        .count();
    assert_eq!(warnings, 1, "{:?}", agent.log());
}

#[test]
fn a_key_file_that_becomes_a_pipe_is_refused_and_holds_nothing_up() {
    let api = Api::start();
    let key = folder("key").join("key");
    std::fs::write(&key, api.key(Role::Agent)).unwrap();
    let mut agent = Agent::start(&api.url(), &["--api-key-file", key.to_str().unwrap()]);
    api.registered();
    std::fs::remove_file(&key).unwrap();
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &key, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    agent.signal("HUP");
    agent.logged("not a regular file");
    assert_eq!(agent.get("/healthz").status, 200);
    let before = api.record().unwrap();
    api.beat_after(&before);
    agent.signal("TERM");
    assert!(agent.end().success());
}
