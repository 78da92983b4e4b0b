//! The public address that only others can tell, and what a failing look-up must not do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::parts::{Agent, Api, Played, folder, http, wait_for};
use sigma_lab::Role;

/// A host behind NAT: one private address, whatever this machine has.
fn behind_nat() -> String {
    let root = folder("nat");
    let net = root.join("proc/net");
    std::fs::create_dir_all(&net).unwrap();
    // In the kernel's own format: net/ipv4/fib_trie.c and net/ipv4/fib_semantics.c print these.
    let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     +-- 10.0.0.0/24 2 0 2\n        |-- 10.0.0.0\n           /24 link UNICAST\n        |-- 10.0.0.5\n           /32 host LOCAL\n        |-- 10.0.0.255\n           /32 link BROADCAST\n";
    std::fs::write(net.join("fib_trie"), trie).unwrap();
    let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\neth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
    std::fs::write(net.join("route"), route).unwrap();
    root.to_str().unwrap().to_owned()
}

/// A service that tells `answer`, while `works`.
fn service(answer: &'static str, works: &Arc<AtomicBool>) -> Played {
    let works = Arc::clone(works);
    Played::start(move |_| {
        Some(if works.load(Ordering::Relaxed) {
            http("200 OK", "", answer)
        } else {
            http("503 Service Unavailable", "", "")
        })
    })
}

fn start(api: &Api, root: &str, services: &str) -> Agent {
    let key = api.key(Role::Agent);
    Agent::start(
        &api.url(),
        &[
            "--api-key",
            &key,
            "--host-root",
            root,
            "--public-ip-lookup",
            "auto",
            "--public-ip-services",
            services,
        ],
    )
}

fn addresses(record: &Value) -> Vec<String> {
    record["ip_addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["ip"].as_str().unwrap(),
                one["label"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn the_first_good_answer_counts_and_bad_ones_are_passed_over() {
    let works = Arc::new(AtomicBool::new(true));
    let portal = service("<html>Sign in</html>", &works);
    let private = service("192.168.1.1\n", &works);
    let good = service("9.9.9.9\n", &works);
    let never = service("8.8.8.8\n", &works);
    let services: Vec<String> = [&portal, &private, &good, &never]
        .iter()
        .map(|service| format!("http://127.0.0.1:{}/", service.port))
        .collect();
    let api = Api::start();
    let agent = start(&api, &behind_nat(), &services.join(","));
    let record = wait_for("the public address on the record", || {
        api.record().filter(|record| addresses(record).len() == 2)
    });
    assert_eq!(addresses(&record), ["9.9.9.9 ", "10.0.0.5 internal"]);
    wait_for("the public address in the facts", || {
        api.record()
            .filter(|record| record["extra"]["system_info"]["public_ip"] == "9.9.9.9")
    });
    assert_eq!(never.requests.lock().unwrap().len(), 0);
    let asked = portal.requests.lock().unwrap().first().cloned().unwrap();
    assert!(
        !asked.to_ascii_lowercase().contains("x-api-key"),
        "the key is for the API alone: {asked}"
    );
    assert_eq!(agent.status()["host"]["public_ip"], "9.9.9.9");
}

#[test]
fn a_look_up_that_fails_after_a_restart_takes_nothing_off_the_record() {
    let works = Arc::new(AtomicBool::new(true));
    let told = service("9.9.9.9\n", &works);
    let services = format!("http://127.0.0.1:{}/", told.port);
    let api = Api::start();
    let root = behind_nat();
    let id = {
        let _agent = start(&api, &root, &services);
        let record = wait_for("the public address on the record", || {
            api.record().filter(|record| addresses(record).len() == 2)
        });
        record["id"].as_str().unwrap().to_owned()
    };
    // The operator names the address; then the service dies and the agent restarts.
    api.call("PUT", &format!("/vps/{id}"), r#"{"ip_addresses":[{"ip":"9.9.9.9","label":"overseas"},{"ip":"10.0.0.5","label":"internal"}]}"#);
    assert_eq!(
        addresses(&api.record().unwrap()),
        ["9.9.9.9 overseas", "10.0.0.5 internal"]
    );
    works.store(false, Ordering::Relaxed);
    let agent = start(&api, &root, &services);
    agent.logged("no service told the public address");
    let before = api.record().unwrap();
    let after = api.beat_after(&before);
    assert_eq!(addresses(&after), ["9.9.9.9 overseas", "10.0.0.5 internal"]);
    // When the service is back, the host is registered as before, label and all.
    works.store(true, Ordering::Relaxed);
    agent.signal("HUP");
    agent.logged("registered");
    assert_eq!(
        addresses(&api.record().unwrap()),
        ["9.9.9.9 overseas", "10.0.0.5 internal"]
    );
}

#[test]
fn a_new_host_whose_look_up_fails_is_registered_with_what_it_has() {
    let works = Arc::new(AtomicBool::new(false));
    let told = service("9.9.9.9\n", &works);
    let api = Api::start();
    let _agent = start(
        &api,
        &behind_nat(),
        &format!("http://127.0.0.1:{}/", told.port),
    );
    assert_eq!(addresses(&api.registered()), ["10.0.0.5 internal"]);
}

#[test]
fn a_silent_service_delays_neither_registration_nor_heartbeats() {
    let silent = Played::start(|_| None);
    let api = Api::start();
    let agent = start(
        &api,
        &behind_nat(),
        &format!("http://127.0.0.1:{}/", silent.port),
    );
    let record = api.registered();
    api.beat_after(&record);
    assert_eq!(
        agent.task("public-ip")["running"],
        true,
        "the look-up still waits while heartbeats arrive"
    );
}

#[test]
fn nobody_is_asked_where_it_is_switched_off_or_an_address_is_public() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let service = Played::start(move |request| {
        sink.lock().unwrap().push(request.to_owned());
        Some(http("200 OK", "", "9.9.9.9"))
    });
    let services = format!("http://127.0.0.1:{}/", service.port);
    let api = Api::start();
    let key = api.key(Role::Agent);
    let root = behind_nat();
    let common = [
        "--api-key",
        &key,
        "--host-root",
        &root,
        "--public-ip-services",
        &services,
    ];
    let off = Agent::start(
        &api.url(),
        &[&common[..], &["--public-ip-lookup", "off"]].concat(),
    );
    wait_for("a success", || {
        Some(off.task("public-ip")).filter(|task| task["state"] == "ok")
    });
    drop(off);
    let fixed = Agent::start(
        &api.url(),
        &[&common[..], &["--public-ip", "203.0.113.9"]].concat(),
    );
    wait_for("a success", || {
        Some(fixed.task("public-ip")).filter(|task| task["state"] == "ok")
    });
    assert!(seen.lock().unwrap().is_empty());
}

/// An address that is gone in one reading and back in the next must not cost the operator's label.
#[test]
fn a_flapping_interface_keeps_its_label() {
    let api = Api::start();
    let root = behind_nat();
    let table = std::path::Path::new(&root).join("proc/net/fib_trie");
    let private = std::fs::read_to_string(&table).unwrap();
    let public = "     +-- 9.9.9.0/24 2 0 2\n        |-- 9.9.9.0\n           /24 link UNICAST\n        |-- 9.9.9.9\n           /32 host LOCAL\n";
    std::fs::write(&table, format!("{private}{public}")).unwrap();
    let silent = Played::start(|_| None);
    let agent = start(&api, &root, &format!("http://127.0.0.1:{}/", silent.port));
    let record = wait_for("both addresses", || {
        api.record().filter(|record| addresses(record).len() == 2)
    });
    let id = record["id"].as_str().unwrap();
    api.call("PUT", &format!("/vps/{id}"), r#"{"ip_addresses":[{"ip":"9.9.9.9","label":"overseas"},{"ip":"10.0.0.5","label":"internal"}]}"#);
    std::fs::write(&table, &private).unwrap();
    wait_for("somebody to be asked", || {
        silent.requests.lock().unwrap().first().cloned()
    });
    let before = api.record().unwrap();
    api.beat_after(&before);
    std::fs::write(&table, format!("{private}{public}")).unwrap();
    let back = || {
        Some(agent.status()).filter(|status| {
            status["host"]["addresses"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        })
    };
    wait_for("the address to be back", back);
    let before = api.record().unwrap();
    let after = api.beat_after(&before);
    assert_eq!(addresses(&after), ["9.9.9.9 overseas", "10.0.0.5 internal"]);
}
