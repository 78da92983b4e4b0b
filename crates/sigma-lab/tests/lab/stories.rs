//! What happens to records over time, as the contract tells it, and who may do what.

use std::time::Duration;

use serde_json::{Value, json};
use sigma_lab::{Address, Options, Role};

use crate::server::{ROLES, Reply, Server};

fn lab() -> Server {
    Server::start(Options::default())
}

/// A call as operator that must succeed.
fn ok(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let reply = server.call(Role::Operator, method, path, body);
    assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
    reply.json()
}

fn register(server: &Server, body: &Value) -> Value {
    ok(server, "POST", "/api/agent/register", body)
}

fn heartbeat(server: &Server, body: &Value) -> Value {
    ok(server, "POST", "/api/agent/heartbeat", body)
}

fn record_path(record: &Value) -> String {
    format!("/api/vps/{}", record["id"].as_str().unwrap())
}

fn error(reply: &Reply) -> (u16, String) {
    (
        reply.status,
        reply.json()["error"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_label_of_the_operator_outlives_agents_that_say_otherwise() {
    let server = lab();
    let sent =
        json!({"hostname": "h", "ip_addresses": [{"ip": "203.0.113.9"}, {"ip": "10.0.0.5"}]});
    let path = record_path(&register(&server, &sent));
    let labels = json!([{"ip": "203.0.113.9", "label": "anycast"}, {"ip": "10.0.0.5"}]);
    ok(&server, "PUT", &path, &json!({"ip_addresses": labels}));

    let sent = json!({"hostname": "h", "ip_addresses": [
        {"ip": "10.0.0.5", "label": "internal"}, {"ip": "203.0.113.9", "label": "overseas"}]});
    let kept = json!([
        {"ip": "10.0.0.5", "label": "internal"}, {"ip": "203.0.113.9", "label": "anycast"}]);
    assert_eq!(heartbeat(&server, &sent)["ip_addresses"], kept);
    assert_eq!(register(&server, &sent)["ip_addresses"], kept);
}

#[test]
fn an_empty_list_is_kept_by_a_heartbeat_and_wiped_by_a_registration() {
    let server = lab();
    let addresses = json!([{"ip": "203.0.113.9", "label": ""}]);
    let record = register(
        &server,
        &json!({"hostname": "h", "ip_addresses": addresses}),
    );
    let empty = json!({"hostname": "h", "ip_addresses": []});
    assert_eq!(heartbeat(&server, &empty)["ip_addresses"], addresses);
    assert_eq!(register(&server, &empty)["ip_addresses"], json!([]));
    let history = ok(
        &server,
        "GET",
        &(record_path(&record) + "/ip-history"),
        &Value::Null,
    );
    assert_eq!(history["data"][0]["action"], "removed");
    assert_eq!(history["total"], 2);
}

#[test]
fn what_is_suspended_is_revived_by_a_registration_but_not_by_a_heartbeat() {
    let server = lab();
    let path = record_path(&register(&server, &json!({"hostname": "h"})));
    ok(&server, "PUT", &path, &json!({"status": "suspended"}));
    assert_eq!(
        heartbeat(&server, &json!({"hostname": "h"}))["status"],
        "suspended"
    );
    assert_eq!(
        register(&server, &json!({"hostname": "h"}))["status"],
        "active"
    );
}

#[test]
fn a_deleted_record_is_found_by_id_and_by_status_only_and_comes_back_retired() {
    let server = lab();
    let record = register(&server, &json!({"hostname": "h"}));
    let path = record_path(&record);
    assert_eq!(
        ok(&server, "DELETE", &path, &Value::Null),
        json!({"deleted": true})
    );
    assert_eq!(ok(&server, "GET", "/api/vps", &Value::Null)["total"], 0);
    assert_eq!(
        ok(&server, "GET", "/api/vps?status=deleted", &Value::Null)["total"],
        1
    );
    assert_eq!(ok(&server, "GET", &path, &Value::Null)["status"], "deleted");

    let new = register(&server, &json!({"hostname": "h"}));
    assert_ne!(new["id"], record["id"]);
    let restored = ok(&server, "POST", &(path.clone() + "/restore"), &Value::Null);
    assert_eq!(restored["status"], "retired");
    let again = server.call(Role::Operator, "POST", &(path + "/restore"), &Value::Null);
    assert_eq!(
        error(&again),
        (400, "Bad request: VPS is not deleted".to_owned())
    );
}

#[test]
fn a_record_without_extra_stores_nothing_until_an_operator_gives_it_one() {
    let server = lab();
    let path = record_path(&ok(&server, "POST", "/api/vps", &json!({"hostname": "h"})));
    let sent = json!({"hostname": "h", "system_info": {"cpu_cores": 4}});
    assert_eq!(register(&server, &sent)["extra"], Value::Null);
    assert_eq!(
        ok(&server, "POST", &(path.clone() + "/retire"), &Value::Null)["extra"],
        Value::Null
    );
    ok(&server, "PUT", &path, &json!({"extra": {}}));
    assert_eq!(
        heartbeat(&server, &sent)["extra"]["system_info"]["cpu_cores"],
        4
    );
}

#[test]
fn alias_and_port_are_of_the_registration_and_an_empty_alias_clears_nothing() {
    let server = lab();
    register(
        &server,
        &json!({"hostname": "h", "alias": "a.example", "ssh_port": 2222}),
    );
    for alias in [json!(null), json!("")] {
        let record = register(
            &server,
            &json!({"hostname": "h", "alias": alias, "ssh_port": 23}),
        );
        assert_eq!(
            (&record["alias"], &record["ssh_port"]),
            (&json!("a.example"), &json!(23))
        );
    }
    let record = heartbeat(
        &server,
        &json!({"hostname": "h", "alias": "b", "ssh_port": 9}),
    );
    assert_eq!(
        (&record["alias"], &record["ssh_port"]),
        (&json!("a.example"), &json!(23))
    );
}

#[test]
fn fifty_first_registrations_at_once_make_one_record() {
    let server = lab();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| register(&server, &json!({"hostname": "h"})));
        }
    });
    assert_eq!(server.lab.vps().unwrap().len(), 1);
}

#[test]
fn odd_hostnames_are_found_again() {
    let server = lab();
    for hostname in [
        "a\u{0}b",
        "a",
        "it's",
        "\"",
        "%_",
        "сервер",
        " h ",
        "\\",
        "$.id",
    ] {
        let record = register(&server, &json!({"hostname": hostname}));
        let found = heartbeat(&server, &json!({"hostname": hostname}));
        assert_eq!(
            (&found["id"], &found["hostname"]),
            (&record["id"], &json!(hostname))
        );
    }
    assert_eq!(server.lab.vps().unwrap().len(), 9);
}

#[test]
fn merging_twice_or_into_nothing_is_refused_in_the_contracts_shapes() {
    let server = lab();
    let (a, b) = (
        register(&server, &json!({"hostname": "a"})),
        register(&server, &json!({"hostname": "b"})),
    );
    let merge = |target: &Value, source: &Value| {
        let body = json!({"target_id": target, "source_id": source});
        server.call(Role::Operator, "POST", "/api/vps/merge", &body)
    };
    assert_eq!(merge(&a["id"], &a["id"]).status, 400);
    let nobody = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!(
        error(&merge(&a["id"], &nobody)),
        (404, "Not found".to_owned())
    );
    assert_eq!(merge(&a["id"], &json!("b")).status, 422);
    for _ in 0..2 {
        let merged = merge(&a["id"], &b["id"]).json();
        assert_eq!(
            merged["merged_vps"]["extra"]["merged_hostnames"],
            json!(["b"])
        );
        assert_eq!(merged["deleted_id"], b["id"]);
    }
}

#[test]
fn lists_are_filtered_and_paged() {
    let server = lab();
    for (hostname, country, tag, expires) in [
        ("a", "DE", "edge", "2020-01-01"),
        ("b", "DE", "core", "2999-12-31"),
        ("c", "FR", "edge", "2999-12-31"),
    ] {
        let body = json!({"hostname": hostname, "country": country, "tags": [tag],
            "expire_date": expires, "purpose": "p q"});
        ok(&server, "POST", "/api/vps", &body);
    }
    register(&server, &json!({"hostname": "d"}));
    for (query, hostnames) in [
        ("", "abcd"),
        ("?country=DE", "ab"),
        ("?country=DE&tag=edge", "a"),
        ("?purpose=p+q", "abc"),
        ("?purpose=p%20q&per_page=2", "ab"),
        ("?per_page=2&page=2", "cd"),
        ("?page=3&per_page=3", ""),
        ("?source=agent", "d"),
        ("?status=active", "d"),
        ("?status=nonsense", ""),
        ("?expiring_within_days=30", "a"),
        ("?provider_id=935b5c77-d27b-4395-918e-655158f083c4", ""),
        ("?unknown=1", "abcd"),
    ] {
        let listed = ok(&server, "GET", &format!("/api/vps{query}"), &Value::Null);
        let names = listed["data"].as_array().unwrap().iter();
        let names: String = names.map(|vps| vps["hostname"].as_str().unwrap()).collect();
        assert_eq!(names, hostnames, "{query}");
    }
    let reply = server.call(Role::Readonly, "GET", "/api/vps?page=x", &Value::Null);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (400, Some("text/plain; charset=utf-8"))
    );
}

#[test]
fn what_operators_send_is_checked() {
    let server = lab();
    let path = record_path(&register(&server, &json!({"hostname": "h"})));
    for (body, status) in [
        (json!({"status": "bogus"}), 422),
        (json!({"expire_date": "2026-02-30"}), 422),
        (json!({"provider_id": "x"}), 422),
        (json!({"extra": []}), 422),
        (json!({"hostname": " "}), 400),
        (json!({"ip_addresses": [{"ip": "1.2.3"}]}), 400),
        (
            json!({"ip_addresses": [{"ip": "1.2.3.4", "label": null}]}),
            422,
        ),
        (json!({"alias": null, "unknown": 1}), 200),
    ] {
        let reply = server.call(Role::Operator, "PUT", &path, &body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    assert_eq!(
        server
            .call(Role::Operator, "POST", "/api/vps", &json!({"alias": "a"}))
            .status,
        422
    );
    assert_eq!(ok(&server, "GET", &path, &Value::Null)["hostname"], "h");
}

/// What is stored can be read again, or it is not stored: the answers nest deeper than the request.
#[test]
fn system_info_may_be_deep_but_not_too_deep_to_be_read_back() {
    let server = lab();
    for (depth, status) in [(90, 200), (100, 400), (120, 400), (200, 400)] {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        let body = format!(r#"{{"hostname":"h","system_info":{nested}}}"#);
        let headers = [
            ("x-api-key", server.key(Role::Agent)),
            ("content-type", "application/json"),
        ];
        let reply = server.send("POST", "/api/agent/register", &headers, body.as_bytes());
        assert_eq!(reply.status, status, "{depth}: {reply:?}");
    }
    ok(&server, "GET", "/api/vps", &Value::Null);
}

#[test]
fn a_record_that_would_be_too_large_is_refused_and_the_old_one_kept() {
    let server = lab();
    register(
        &server,
        &json!({"hostname": "h", "system_info": {"cpu_cores": 2}}),
    );
    let large = json!({"hostname": "h", "system_info": {"notes": "x".repeat(300_000)}});
    assert_eq!(
        server
            .call(Role::Agent, "POST", "/api/agent/heartbeat", &large)
            .status,
        400
    );
    let kept = ok(&server, "GET", "/api/vps", &Value::Null);
    assert_eq!(
        kept["data"][0]["extra"]["system_info"],
        json!({"cpu_cores": 2})
    );
}

#[test]
fn a_list_of_more_addresses_than_any_host_has_is_refused() {
    let server = lab();
    let list =
        |length| json!({"hostname": "h", "ip_addresses": vec![json!({"ip": "::1"}); length]});
    assert_eq!(
        server
            .call(Role::Agent, "POST", "/api/agent/register", &list(1025))
            .status,
        400
    );
    assert_eq!(
        register(&server, &list(1024))["ip_addresses"]
            .as_array()
            .unwrap()
            .len(),
        1024
    );
}

/// The table of the contract, section 2.1, over every call.
#[test]
fn roles_may_do_what_the_contract_says() {
    let server = lab();
    let id = record_path(&register(&server, &json!({"hostname": "h"})));
    let (all, agents, operators, admins) = (
        "admin, operator, agent, readonly",
        "admin, operator, agent",
        "admin, operator",
        "admin",
    );
    let calls = [
        ("POST", "/api/agent/register".to_owned(), agents),
        ("POST", "/api/agent/heartbeat".to_owned(), agents),
        ("GET", "/api/vps".to_owned(), all),
        ("POST", "/api/vps".to_owned(), operators),
        ("POST", "/api/vps/merge".to_owned(), operators),
        ("GET", id.clone(), all),
        ("PUT", id.clone(), operators),
        ("DELETE", id.clone(), operators),
        ("POST", id.clone() + "/retire", operators),
        ("POST", id.clone() + "/restore", operators),
        ("GET", id.clone() + "/ip-history", all),
        ("POST", id.clone() + "/allocate-ports", operators),
        ("GET", "/api/ip-checks".to_owned(), all),
        ("POST", "/api/ip-checks".to_owned(), operators),
        ("GET", "/api/prometheus/targets".to_owned(), all),
        ("GET", "/api/api-keys".to_owned(), admins),
        ("POST", "/api/api-keys".to_owned(), admins),
    ];
    for (method, path, required) in &calls {
        for role in ROLES {
            let reply = server.call(role, method, path, &json!({"hostname": "h"}));
            let name = role.as_str();
            if required.split(", ").any(|allowed| allowed == name) {
                assert!(
                    ![401, 403, 404, 405, 500].contains(&reply.status),
                    "{name} {method} {path}: {reply:?}"
                );
            } else {
                let why = format!("Forbidden: Role '{name}' is not allowed. Required: {required}");
                assert_eq!(error(&reply), (403, why), "{method} {path}");
            }
        }
    }
}

#[test]
fn without_required_keys_nobody_is_admin_but_a_wrong_key_is_still_wrong() {
    let server = Server::start(Options::default().require_keys(false));
    let get = |headers: &[(&str, &str)]| server.send("GET", "/api/api-keys", headers, b"").status;
    assert_eq!(get(&[]), 200);
    assert_eq!(get(&[("x-api-key", "")]), 401);
    assert_eq!(get(&[("x-api-key", "wrong")]), 401);
    assert_eq!(get(&[("x-api-key", server.key(Role::Agent))]), 403);
}

#[test]
fn the_chosen_admin_key_is_an_admins_and_an_empty_one_is_none() {
    let server = Server::start(Options::default().admin_key(" chosen\n"));
    let get = |key| {
        server
            .send("GET", "/api/api-keys", &[("x-api-key", key)], b"")
            .status
    };
    assert_eq!((get("chosen"), get("Chosen"), get("")), (200, 401, 401));
    let server = Server::start(Options::default().admin_key(""));
    assert_eq!(
        server
            .send("GET", "/api/vps", &[("x-api-key", "")], b"")
            .status,
        401
    );
}

/// The keys that the API's own description demands of answers that were not recorded.
fn has_keys_of(schema: &str, answer: &Value) {
    let text = include_str!("../captures/openapi.json");
    let openapi: Value = serde_json::from_str(text).unwrap();
    let schema = &openapi["components"]["schemas"][schema];
    let answer = answer.as_object().unwrap();
    for key in schema["required"].as_array().unwrap() {
        assert!(
            answer.contains_key(key.as_str().unwrap()),
            "{key} is missing in {answer:?}"
        );
    }
    for key in answer.keys() {
        assert!(schema["properties"].get(key).is_some(), "{key} is unknown");
    }
}

#[test]
fn a_key_made_over_the_wire_works_and_is_shown_once() {
    let server = lab();
    let wanted = json!({"name": "probe", "role": "operator"});
    let made = server
        .call(Role::Admin, "POST", "/api/api-keys", &wanted)
        .json();
    has_keys_of("ApiKeyCreatedResponse", &made);
    let key = made["key"].as_str().unwrap();
    assert!(key.len() == 49 && key.starts_with("sk_sigma_"), "{key}");
    let body = br#"{"hostname":"h"}"#;
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    assert_eq!(server.send("POST", "/api/vps", &headers, body).status, 200);

    let listed = server.call(Role::Admin, "GET", "/api/api-keys", &Value::Null);
    assert!(!listed.body.contains(key), "{listed:?}");
    has_keys_of("PaginatedApiKeyResponse", &listed.json());
    let last = listed.json()["data"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    has_keys_of("ApiKeyResponse", &last);
    assert_eq!(last["name"], "probe");

    let least = server
        .call(Role::Admin, "POST", "/api/api-keys", &json!({"name": "n"}))
        .json();
    assert_eq!(least["role"], "readonly");
    for (wanted, status) in [
        (json!({"name": " "}), 400),
        (json!({"name": "n", "role": "root"}), 422),
    ] {
        assert_eq!(
            server
                .call(Role::Admin, "POST", "/api/api-keys", &wanted)
                .status,
            status
        );
    }
}

#[test]
fn reports_of_probes_are_listed_newest_first_and_filtered() {
    let server = lab();
    let record = register(&server, &json!({"hostname": "h"}));
    for (ip, success) in [("203.0.113.1", true), ("203.0.113.2", false)] {
        let report =
            json!({"vps_id": record["id"], "ip": ip, "success": success, "source": "cn-1"});
        ok(&server, "POST", "/api/ip-checks", &report);
    }
    let ips = |query: &str| -> Vec<Value> {
        let listed = ok(
            &server,
            "GET",
            &format!("/api/ip-checks{query}"),
            &Value::Null,
        );
        has_keys_of("PaginatedIpCheckResponse", &listed);
        listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["ip"].clone())
            .collect()
    };
    assert_eq!(ips(""), ["203.0.113.2", "203.0.113.1"]);
    assert_eq!(ips("?success=true"), ["203.0.113.1"]);
    assert_eq!(ips("?success=false&source=cn-1"), ["203.0.113.2"]);
    assert_eq!(ips("?ip=203.0.113.9"), [""; 0]);
    let unknown =
        json!({"vps_id": "00000000-0000-0000-0000-000000000000", "ip": "::1", "success": true});
    let reply = server.call(Role::Operator, "POST", "/api/ip-checks", &unknown);
    assert_eq!(error(&reply), (404, "Not found".to_owned()));
}

#[test]
fn the_limit_is_per_address_counts_refused_requests_and_not_unknown_keys() {
    let server = Server::start(Options::default().rate_limit(2, Duration::from_secs(3600)));
    let key = server.key(Role::Readonly);
    let send = |key, from| {
        server.send(
            "GET",
            "/api/vps",
            &[("x-api-key", key), ("x-forwarded-for", from)],
            b"",
        )
    };
    assert_eq!(send("wrong", "203.0.113.1").status, 401);
    assert_eq!(
        send(key, "203.0.113.1").header("x-ratelimit-remaining"),
        Some("1")
    );
    assert_eq!(
        send(key, "203.0.113.1, 10.0.0.1").header("x-ratelimit-remaining"),
        Some("0")
    );
    assert_eq!(send(key, "203.0.113.1").status, 429);
    assert_eq!(send("wrong", "203.0.113.1").status, 401);
    assert_eq!(send(key, "203.0.113.2").status, 200);
    // No address there: the peer counts.
    assert_eq!(send(key, "nonsense").status, 200);
    assert_eq!(send(key, "").status, 200);
    assert_eq!(send(key, "more nonsense").status, 429);
    assert_eq!(server.send("GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn without_a_limit_there_are_no_headers_of_one() {
    let reply = lab().send("GET", "/healthz", &[], b"");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    let server = lab();
    let reply = server.call(Role::Readonly, "GET", "/api/vps", &Value::Null);
    assert_eq!(
        (reply.status, reply.header("x-ratelimit-limit")),
        (200, None)
    );
}

#[test]
fn unknown_paths_are_empty_404s_and_wrong_methods_say_which_are_right() {
    let server = lab();
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/vps/",
        "/api/vps//retire",
        "/api/vps/duplicates",
        "/api/stats",
        "/health",
        "/api/agent/register/",
        "/API/vps",
        "/api/vps/a/b/c/d",
        "/healthz/",
    ] {
        let reply = server.call(Role::Admin, "GET", path, &Value::Null);
        assert_eq!((reply.status, reply.body.as_str()), (404, ""), "{path}");
    }
    for (method, path, allow) in [
        ("PATCH", "/api/vps", "GET,HEAD,POST"),
        ("POST", "/healthz", "GET,HEAD"),
        (
            "OPTIONS",
            "/api/vps/935b5c77-d27b-4395-918e-655158f083c4",
            "GET,HEAD,PUT,DELETE",
        ),
    ] {
        let reply = server.call(Role::Admin, method, path, &Value::Null);
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
    }
    let head = server.call(Role::Readonly, "HEAD", "/api/vps", &Value::Null);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_demo_sees_what_the_api_lists() {
    let server = lab();
    register(
        &server,
        &json!({"hostname": "b", "alias": "b.example", "ip_addresses": [{"ip": "::1", "label": "x"}]}),
    );
    ok(&server, "POST", "/api/vps", &json!({"hostname": "a"}));
    let shown = server.lab.vps().unwrap();
    let seen: Vec<_> = shown
        .iter()
        .map(|v| (v.hostname.as_str(), v.alias.as_str(), v.status.as_str()))
        .collect();
    assert_eq!(
        seen,
        [("a", "", "provisioning"), ("b", "b.example", "active")]
    );
    assert_eq!(
        shown[1].addresses,
        [Address {
            ip: "::1".to_owned(),
            label: "x".to_owned()
        }]
    );
    assert!(shown[0].last_heartbeat.is_none() && shown[1].last_heartbeat.is_some());
}
