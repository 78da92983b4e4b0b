//! The luna role: samples pushed to the lab's LunaSentri server and to servers that answer byte for byte.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sigma_lab::{Lab, Machine, Outage};

use crate::parts::{Agent, Api, Played, binary, folder, free_port, http, wait_for};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEXT: &str = "another-key";

/// A luna agent that samples every second, with its state in a folder of its own.
struct Luna {
    agent: Agent,
    state: PathBuf,
}

impl Luna {
    fn start(url: &str, key: &str, more: &[&str]) -> Self {
        Self::start_in(&folder("luna").join("state"), url, key, more)
    }

    fn start_in(state: &Path, url: &str, key: &str, more: &[&str]) -> Self {
        let port = free_port();
        let config = folder("luna").join("agent.yaml");
        std::fs::write(&config, "").unwrap();
        let port_text = port.to_string();
        let mut args = vec![
            "--role",
            "luna",
            "--config",
            config.to_str().unwrap(),
            "--server-url",
            url,
            "--state-dir",
            state.to_str().unwrap(),
            "--metrics-port",
            &port_text,
            "--log-output",
            "stderr",
            "--log-level",
            "debug",
        ];
        for (flag, value) in [
            ("--interval", "1s"),
            ("--retry-backoff", "100ms"),
            ("--hostname", "luna-host"),
        ] {
            if !more.contains(&flag) {
                args.extend([flag, value]);
            }
        }
        if !more.contains(&"--api-key-file") {
            args.extend(["--api-key", key]);
        }
        args.extend(more);
        Self {
            agent: Agent::spawn(&mut binary(&args), port),
            state: state.to_owned(),
        }
    }

    fn push(&self) -> Value {
        self.agent.status()["push"].clone()
    }

    fn waits_for_backlog(&self, least: u64) -> Value {
        wait_for("a backlog", || {
            Some(self.push()).filter(|push| push["backlog"]["samples"].as_u64().unwrap() >= least)
        })
    }

    /// What `backlog` prints, read while the agent may be running.
    fn backlog(&self) -> Vec<Value> {
        let output = binary(&["backlog", "--state-dir", self.state.to_str().unwrap()])
            .env("AGENT_ROLE", "luna")
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn serve() -> (Api, String, i64) {
    let api = Api::start_luna(Lab::in_memory().unwrap());
    let machine = api.lab.create_machine("luna").unwrap();
    (api, machine.key.clone(), machine.id)
}

fn machine(lab: &Lab) -> Machine {
    lab.machines().unwrap().remove(0)
}

#[test]
fn the_server_stores_samples_that_agree_with_this_host() {
    let (api, key, id) = serve();
    let luna = Luna::start(&api.root(), &key, &[]);
    let rows = wait_for("three samples", || {
        Some(api.lab.machine_metrics(id, 10).unwrap()).filter(|rows| rows.len() >= 3)
    });
    let machine = machine(&api.lab);
    assert!(machine.online);
    let row = &rows[0];
    // `df` and the kernel's own file say what is true.
    let df = Command::new("df")
        .args(["--output=used,avail", "-B1", "/"])
        .output()
        .unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let bytes: Vec<f64> = df
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let disk = bytes[0] / (bytes[0] + bytes[1]) * 100.0;
    assert!((row.disk_used_pct - disk).abs() < 1.0, "{row:?} {disk}");
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let field = |name: &str| -> f64 {
        let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    let memory = (1.0 - field("MemAvailable:") / field("MemTotal:")) * 100.0;
    assert!((row.mem_used_pct - memory).abs() < 5.0, "{row:?} {memory}");
    assert!((0.0..=100.0).contains(&row.cpu_pct), "{row:?}");
    assert!(
        rows.windows(2)
            .all(|pair| pair[0].net_rx_bytes >= pair[1].net_rx_bytes)
    );
    assert!(row.uptime_s.unwrap() > 0.0);
    let info = &machine.system_info;
    assert_eq!(info.hostname.as_deref(), Some("luna-host"));
    assert!(
        info.platform.is_some() && info.kernel_version.is_some() && info.last_boot_time.is_some()
    );
    assert!(info.cpu_cores.unwrap() > 0 && info.memory_total_mb.unwrap() > 0);
    // The line of the specification, with the hash and without the key.
    let line = luna.agent.logged("Metrics sent successfully");
    assert_eq!(line["api_key_hash"], machine.api_key_hash);
    assert_eq!(line["status_code"], 202);
    assert!(line["cpu_pct"].as_str().unwrap().contains('.'), "{line}");
    assert!(
        !luna
            .agent
            .log()
            .iter()
            .any(|line| line.to_string().contains(&key))
    );
    let page = luna.agent.get("/metrics").body;
    assert!(
        page.contains("sigma_push_samples_total{") && page.contains("sigma_push_backlog_samples"),
        "{page}"
    );
}

#[test]
fn an_outage_is_kept_and_sent_afterwards_in_its_order_by_those_who_ask_for_it() {
    let (api, key, id) = serve();
    let luna = Luna::start(&api.root(), &key, &["--backfill", "all"]);
    wait_for("a sample", || {
        (!api.lab.machine_metrics(id, 1).unwrap().is_empty()).then_some(())
    });
    api.lab.interrupt_luna(Some(Outage::new(503)));
    luna.waits_for_backlog(4);
    let kept = luna.backlog();
    assert!(kept.len() >= 4, "{kept:?}");
    let times: Vec<&str> = kept
        .iter()
        .map(|sample| sample["timestamp"].as_str().unwrap())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let sent_before = luna.push()["sent"].as_u64().unwrap();
    api.lab.interrupt_luna(None);
    let push = wait_for("the backlog to be sent", || {
        Some(luna.push()).filter(|push| push["backlog"]["samples"] == 0)
    });
    assert!(
        push["backfilled"].as_u64() >= Some(kept.len() as u64),
        "{push}"
    );
    assert!(
        push["sent"].as_u64().unwrap() > sent_before,
        "the newest goes first: {push}"
    );
    assert_eq!(push["backlog"]["dropped"]["size"], 0, "{push}");
    // Every sample that was taken has arrived: as many rows as were sent.
    let sent = || {
        let push = luna.push();
        push["sent"].as_u64().unwrap() + push["backfilled"].as_u64().unwrap()
    };
    let before = sent();
    let rows = api.lab.machine_metrics(id, 10_000).unwrap().len() as u64;
    assert!(
        (before..=sent() + 1).contains(&rows),
        "{before} {rows} {}",
        sent()
    );
    assert!(luna.backlog().is_empty());
}

#[test]
fn by_default_an_outage_stays_here_and_the_server_gets_the_present() {
    let (api, key, _) = serve();
    api.lab.interrupt_luna(Some(Outage::new(500)));
    let luna = Luna::start(&api.root(), &key, &[]);
    luna.waits_for_backlog(3);
    api.lab.interrupt_luna(None);
    wait_for("a sample", || machine(&api.lab).latest.map(drop));
    let push = luna.push();
    assert_eq!(push["backfilled"], 0, "{push}");
    assert!(luna.backlog().len() >= 3);
}

#[test]
fn latest_sends_the_newest_of_an_outage_and_gives_up_the_others() {
    let (api, key, _) = serve();
    api.lab.interrupt_luna(Some(Outage::new(500)));
    let luna = Luna::start(&api.root(), &key, &["--backfill", "latest"]);
    luna.waits_for_backlog(3);
    api.lab.interrupt_luna(None);
    let push = wait_for("the newest", || {
        Some(luna.push()).filter(|push| push["backfilled"] == 1 && push["backlog"]["samples"] == 0)
    });
    assert_eq!(push["refused"], 0, "{push}");
}

#[test]
fn what_was_not_sent_outlives_a_stop_and_a_kill() {
    let (api, key, id) = serve();
    api.lab.interrupt_luna(Some(Outage::new(503)));
    let mut first = Luna::start(&api.root(), &key, &[]);
    first.waits_for_backlog(2);
    // In the middle of its retries.
    first.agent.signal("TERM");
    assert!(first.agent.end().success());
    let stopped = first.backlog().len();
    assert!(
        stopped >= 3,
        "the sample that was not sent yet is there too: {stopped}"
    );
    let mut second = Luna::start_in(&first.state, &api.root(), &key, &[]);
    second.waits_for_backlog(stopped as u64 + 2);
    second.agent.child.kill().unwrap();
    second.agent.end();
    let killed = second.backlog().len();
    assert!(killed >= stopped + 2, "{killed}");
    api.lab.interrupt_luna(None);
    let third = Luna::start_in(&first.state, &api.root(), &key, &["--backfill", "all"]);
    wait_for("the backlog to be sent", || {
        Some(third.push()).filter(|push| {
            push["backlog"]["samples"] == 0 && push["backfilled"].as_u64() >= Some(killed as u64)
        })
    });
    assert!(api.lab.machine_metrics(id, 1000).unwrap().len() > killed);
}

/// A server that answers each request in turn, the last answer for ever, and tells which keys it saw.
fn turns(answers: &'static [(&'static str, &'static str, &'static str)]) -> (Played, String) {
    let turn = AtomicU32::new(0);
    let server = Played::start(move |_| {
        let at = turn.fetch_add(1, Ordering::Relaxed) as usize;
        let (status, headers, body) = answers[at.min(answers.len() - 1)];
        Some(http(status, headers, body))
    });
    let url = format!("http://127.0.0.1:{}", server.port);
    (server, url)
}

#[test]
fn every_answer_is_taken_for_what_it_is() {
    for (answer, words, kept) in [
        (
            ("500 Internal Server Error", "", "Failed to record metrics"),
            "500 Failed to record metrics",
            true,
        ),
        (
            ("502 Bad Gateway", "content-type: text/html\r\n", "<html>"),
            "502",
            true,
        ),
        (
            ("429 Too Many Requests", "retry-after: 2\r\n", ""),
            "429",
            true,
        ),
        (
            ("403 Forbidden", "", ""),
            "the server refuses the key",
            true,
        ),
        (
            ("401 Unauthorized", "", "Unauthorized: invalid API key"),
            "the server refuses the key",
            true,
        ),
        (
            ("404 Not Found", "", "nothing"),
            "check the server's URL",
            true,
        ),
        (
            (
                "200 OK",
                "content-type: text/plain\r\n",
                "LunaSentri API - Coming Soon",
            ),
            "check the server's URL",
            true,
        ),
        (
            (
                "301 Moved Permanently",
                "location: https://elsewhere.example/\r\n",
                "",
            ),
            "elsewhere.example",
            true,
        ),
        (
            ("400 Bad Request", "", "Invalid request body"),
            "the sample is given up",
            false,
        ),
    ] {
        let (_server, url) = turns(Box::leak(Box::new([answer])));
        let luna = Luna::start(&url, KEY, &["--max-retries", "0"]);
        let task = wait_for(&format!("{words:?} for {answer:?}"), || {
            Some(luna.agent.task("push")).filter(|task| task["state"] == "failing")
        });
        let message = task["last_error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{answer:?}: {message}");
        assert!(!message.contains(KEY));
        if kept {
            luna.waits_for_backlog(1);
        } else {
            wait_for("the refusal to count", || {
                (luna.push()["refused"].as_u64() > Some(0)).then_some(())
            });
            assert_eq!(luna.push()["backlog"]["samples"], 0);
        }
    }
    for answer in [
        ("202 Accepted", "", ""),
        ("204 No Content", "", ""),
        (
            "200 OK",
            "content-type: application/json\r\n",
            "{\"status\":\"accepted\"}",
        ),
    ] {
        let (_server, url) = turns(Box::leak(Box::new([answer])));
        let luna = Luna::start(&url, KEY, &[]);
        luna.agent.logged("Metrics sent successfully");
    }
}

#[test]
fn a_rotated_key_is_found_in_its_file_and_then_as_the_next_one() {
    let taken: Arc<Mutex<String>> = Arc::new(Mutex::new(KEY.to_owned()));
    let wanted = Arc::clone(&taken);
    let server = Played::start(move |request| {
        let key = format!(
            "authorization: bearer {}\r\n",
            wanted.lock().unwrap().to_lowercase()
        );
        Some(if request.to_lowercase().contains(&key) {
            http("202 Accepted", "", "")
        } else {
            http("401 Unauthorized", "", "Unauthorized: invalid API key")
        })
    });
    let url = format!("http://127.0.0.1:{}", server.port);
    let file = folder("keys").join("key");
    std::fs::write(&file, KEY).unwrap();
    let luna = Luna::start(
        &url,
        KEY,
        &["--api-key-file", file.to_str().unwrap(), "--next-key", NEXT],
    );
    luna.agent.logged("Metrics sent successfully");
    // The server forgets the first key: the next one is in the configuration already.
    NEXT.clone_into(&mut taken.lock().unwrap());
    let tried = luna.agent.logged("trying another one");
    assert_eq!(tried["refused_key_hash"], "905f28de");
    wait_for("a sample with the next key", || {
        let hash = tried["api_key_hash"].clone();
        luna.agent
            .log()
            .into_iter()
            .find(|line| line["msg"] == "Metrics sent successfully" && line["api_key_hash"] == hash)
    });
    // And later a third one, written into the file.
    "third-key".clone_into(&mut taken.lock().unwrap());
    std::fs::write(&file, "third-key\n").unwrap();
    wait_for("a sample with the key of the file", || {
        let requests = server.requests.lock().unwrap().clone();
        requests
            .iter()
            .any(|request| request.contains("Bearer third-key"))
            .then_some(())
    });
}

#[test]
fn the_newest_is_sent_within_two_intervals_of_the_end_of_a_long_silence() {
    // A server that accepts and says nothing: each try takes its whole time limit.
    let (api, key, id) = serve();
    let silent = Played::start(|_| None);
    let config = folder("silent").join("agent.yaml");
    let write = |url: &str| {
        let text = format!("server_url: {url}\napi_key: {key}\n");
        std::fs::write(&config, text).unwrap();
    };
    write(&format!("http://127.0.0.1:{}", silent.port));
    let port = free_port();
    let agent = Agent::spawn(
        &mut binary(&[
            "--role",
            "luna",
            "--config",
            config.to_str().unwrap(),
            "--interval",
            "1s",
            "--metrics-port",
            &port.to_string(),
            "--state-dir",
            folder("silent").join("state").to_str().unwrap(),
            "--log-output",
            "stderr",
        ]),
        port,
    );
    // Samples are taken meanwhile, whoever answers.
    wait_for("samples behind the silent one", || {
        (agent.status()["push"]["backlog"]["samples"].as_u64() >= Some(3)).then_some(())
    });
    write(&api.root());
    agent.signal("HUP");
    wait_for("a sample at the other server", || {
        (!api.lab.machine_metrics(id, 1).unwrap().is_empty()).then_some(())
    });
}

#[test]
fn a_disk_that_takes_nothing_is_said_once_and_memory_helps() {
    let (api, key, _) = serve();
    api.lab
        .interrupt_luna(Some(Outage::new(503).retry_after(Duration::from_secs(1))));
    // A file where the folder should be.
    let state = folder("no-disk").join("state");
    std::fs::write(&state, "in the way").unwrap();
    let luna = Luna::start_in(&state, &api.root(), &key, &["--backfill", "all"]);
    let push = luna.waits_for_backlog(3);
    assert_eq!(push["backlog"]["on_disk"], false, "{push}");
    let said = luna.agent.log();
    let said = said
        .iter()
        .filter(|line| line.to_string().contains("are kept in memory"));
    assert_eq!(said.count(), 1);
    // The disk comes back, and what memory held goes there and then to the server.
    std::fs::remove_file(&state).unwrap();
    luna.agent.logged("the disk takes samples again");
    api.lab.interrupt_luna(None);
    wait_for("the backlog to be sent", || {
        Some(luna.push()).filter(|push| {
            push["backlog"]["samples"] == 0 && push["backfilled"].as_u64() >= Some(3)
        })
    });
}

#[test]
fn log_lines_go_to_standard_output_and_into_the_file() {
    let (api, key, _) = serve();
    let log = folder("luna-log").join("agent.log");
    let state = folder("luna-log").join("state");
    let config = folder("luna-log").join("agent.yaml");
    std::fs::write(&config, "").unwrap();
    let out = std::fs::File::create(log.with_extension("out")).unwrap();
    let mut child = binary(&[
        "--config",
        config.to_str().unwrap(),
        "--server-url",
        &api.root(),
        "--state-dir",
        state.to_str().unwrap(),
        "--log-file",
        log.to_str().unwrap(),
    ])
    .env("AGENT_ROLE", "luna")
    .env("LUNASENTRI_API_KEY", &key)
    .stdout(out)
    .spawn()
    .unwrap();
    wait_for("a sample", || machine(&api.lab).latest.map(drop));
    let lines = |path: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (file, out) = (lines(&log), lines(&log.with_extension("out")));
    assert_eq!(file[0]["msg"], "LunaSentri agent starting");
    assert_eq!(file[0]["level"], "info");
    assert!(file[0]["timestamp"].is_string());
    assert_eq!(file[0], out[0]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn check_tells_what_works_and_what_does_not() {
    let (api, key, _) = serve();
    let state = folder("check").join("state");
    let run = |url: &str, more: &[&str]| {
        let mut args = vec![
            "check",
            "--config",
            "/dev/null",
            "--server-url",
            url,
            "--state-dir",
            state.to_str().unwrap(),
        ];
        args.extend(more);
        binary(&args)
            .env("AGENT_ROLE", "luna")
            .env("LUNASENTRI_API_KEY", &key)
            .output()
            .unwrap()
    };
    let well = run(&api.root(), &["--hostname", "check-host"]);
    let text = String::from_utf8(well.stdout).unwrap();
    assert!(
        text.contains("is healthy") && text.contains("nothing waits there"),
        "{text}"
    );
    assert!(!text.contains(&key) && text.contains("(hidden)"), "{text}");
    // A container is worth a look and nothing more.
    assert!(matches!(well.status.code(), Some(0 | 1)), "{text}");
    let gone = run("http://127.0.0.1:1", &["--json"]);
    assert_eq!(gone.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&gone.stdout).unwrap();
    assert_eq!(report["verdict"], "broken");
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["about"] == "server")
        .unwrap();
    assert!(
        finding["advice"]
            .as_str()
            .unwrap()
            .contains("goes on trying"),
        "{finding}"
    );
    let wrong = run("ftp://x", &["--interval", "never"]);
    let text = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{text}");
    assert!(
        text.contains("--interval: \"never\"") && text.contains("--server-url"),
        "{text}"
    );
}
