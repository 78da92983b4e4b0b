//! Records, pages and the address to dial, from captured answers and from hostile ones.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use byte_server::{Act, Server, answer, captured, captured_answer};
use serde_json::{Value, json};
use sigma_client::{Allocation, Vps, VpsFilter, VpsPage, VpsStatus};

fn record(fields: &Value) -> Vps {
    let mut all = json!({ "id": "i", "hostname": "h", "status": "active" });
    all.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn captured_record(name: &str) -> Vps {
    serde_json::from_value(captured(name)["response"]["body"].clone()).unwrap()
}

#[test]
fn a_captured_record_is_read_field_by_field() {
    let vps = captured_record("api-reg-200-full");
    assert_eq!(vps.status, VpsStatus::Active);
    assert_eq!(
        (vps.alias.as_deref(), vps.provider_id.as_deref()),
        (Some("al.example"), None)
    );
    let addresses: Vec<_> = vps
        .ip_addresses
        .iter()
        .map(|a| (a.ip.as_str(), a.label.as_str()))
        .collect();
    assert_eq!(addresses, [("203.0.113.9", ""), ("10.0.0.5", "internal")]);
    assert_eq!(
        (vps.ssh_port, vps.node_exporter_port, vps.monitoring_enabled),
        (Some(2222), Some(9100), Some(true))
    );
    assert_eq!(
        vps.last_heartbeat(),
        Some("2026-11-20T11:08:39.007724970+00:00")
    );
    assert_eq!(
        vps.stored_system_info().unwrap()["foo"],
        json!({ "own": "key" })
    );
    assert_eq!(
        vps.created_at.as_deref(),
        Some("2026-11-20T11:08:39.008008Z")
    );
}

#[test]
fn decimals_are_text_whether_they_came_as_text_or_number() {
    let vps = captured_record("api-vps-create-decimals");
    assert_eq!(
        (vps.cost_monthly.as_deref(), vps.bandwidth_tb.as_deref()),
        (Some("5.50"), Some("1.25"))
    );
    assert_eq!(vps.expire_date.as_deref(), Some("2026-12-31"));
    let vps = record(&json!({ "cost_monthly": 5.5, "bandwidth_tb": 2 }));
    assert_eq!(
        (vps.cost_monthly.as_deref(), vps.bandwidth_tb.as_deref()),
        (Some("5.5"), Some("2"))
    );
}

#[test]
fn id_hostname_and_status_are_enough_and_each_is_needed() {
    let vps = record(&json!({}));
    assert_eq!(
        (vps.ssh_port, vps.extra, vps.ip_addresses.len()),
        (None, None, 0)
    );
    for missing in ["id", "hostname", "status"] {
        let mut fields = json!({ "id": "i", "hostname": "h", "status": "active" });
        fields.as_object_mut().unwrap().remove(missing);
        let error = serde_json::from_value::<Vps>(fields)
            .unwrap_err()
            .to_string();
        assert_eq!(error, format!("a record without `{missing}`"));
    }
}

#[test]
fn unknown_fields_and_known_ones_of_a_strange_type_are_kept() {
    let strange = json!({ "rack": 7, "ssh_port": "22", "node_exporter_port": 70000, "alias": 5, "tags": "x" });
    let vps = record(&strange);
    assert_eq!(Value::Object(vps.other), strange);
    assert_eq!(
        (vps.ssh_port, vps.node_exporter_port, vps.alias),
        (None, None, None)
    );
    assert_eq!(
        record(&json!({ "status": "on-loan" })).status,
        VpsStatus::Other("on-loan".to_owned())
    );
}

#[test]
fn stored_addresses_may_have_blanks_or_be_none() {
    let vps = captured_record("api-reg-200-blank-in-ip");
    let parsed: Vec<_> = vps
        .ip_addresses
        .iter()
        .map(sigma_client::StoredAddress::parsed)
        .collect();
    let trimmed: Vec<_> = vps
        .ip_addresses
        .iter()
        .map(|address| address.ip.trim().parse().ok())
        .collect();
    assert!(
        vps.ip_addresses
            .iter()
            .any(|address| address.ip != address.ip.trim())
    );
    assert_eq!(parsed, trimmed);
    let vps = record(
        &json!({ "ip_addresses": [{ "ip": "x" }, { "label": "l" }, 5, { "ip": "::1", "label": null }] }),
    );
    assert_eq!(vps.ip_addresses.len(), 2);
    assert_eq!(vps.ip_addresses[0].parsed(), None);
}

#[test]
fn a_success_that_stored_nothing_shows() {
    assert_eq!(
        captured_record("api-reg-200-extra-null").stored_system_info(),
        None
    );
    assert_eq!(
        captured_record("api-hb-200-nosysinfo").stored_system_info(),
        None
    );
    assert!(captured_record("api-hb-200").stored_system_info().is_some());
}

/// Each row is a record of the captured allocations; the wanted host and port stand in the API's answer to it.
#[test]
fn the_api_dials_what_dial_address_says() {
    let v6_only = json!([{ "ip": "2001:db8::7", "label": "" }]);
    let table = [
        (
            "api-alloc-502-v6only-no-publicip",
            json!({}),
            v6_only,
            "http://2001:db8::7:9102/",
        ),
        (
            "api-alloc-502-publicip-v6-bare",
            json!({ "public_ip": "::1", "metrics_port": 39102 }),
            json!([]),
            "http://::1:39102/",
        ),
        (
            "api-alloc-502-publicip-v6-brackets-refused",
            json!({ "public_ip": "[::1]", "metrics_port": 39102 }),
            json!([]),
            "http://[::1]:39102/",
        ),
        (
            "api-alloc-502-publicip-nonsense",
            json!({ "public_ip": "nonsense host", "metrics_port": 39102 }),
            json!([]),
            "http://nonsense host:39102/",
        ),
        (
            "api-alloc-502-metricsport-string",
            json!({ "public_ip": "127.0.0.1", "metrics_port": "39102" }),
            json!([]),
            "http://127.0.0.1:9102/",
        ),
        (
            "api-alloc-502-metricsport-closed",
            json!({ "public_ip": "127.0.0.1", "metrics_port": 39109 }),
            json!([]),
            "http://127.0.0.1:39109/",
        ),
    ];
    for (case, info, addresses, wanted) in table {
        let said = captured(case)["response"]["body"]["error"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(said.contains(wanted), "{case}: {said}");
        let vps = record(&json!({ "ip_addresses": addresses, "extra": { "system_info": info } }));
        let dialled = format!(
            "http://{}:{}/",
            vps.dial_address().unwrap(),
            vps.dial_port(9102).unwrap()
        );
        assert_eq!(dialled, wanted, "{case}");
    }
}

#[test]
fn the_address_to_dial_follows_the_apis_order() {
    let addresses =
        json!([{ "ip": "10.0.0.5", "label": "internal" }, { "ip": " 203.0.113.9", "label": "x" }]);
    let internal = json!([{ "ip": "10.0.0.5", "label": "internal" }]);
    let with = |extra: Value, alias: &str, addresses: &Value| {
        record(&json!({ "extra": extra, "alias": alias, "ip_addresses": addresses }))
    };
    let reported = json!({ "system_info": { "public_ip": "192.0.2.4" } });
    let host = |vps: Vps| vps.dial_address().map(str::to_owned);
    assert_eq!(
        host(with(reported, "al.example", &addresses)).as_deref(),
        Some("192.0.2.4")
    );
    assert_eq!(
        host(with(Value::Null, "al.example", &addresses)).as_deref(),
        Some("al.example")
    );
    assert_eq!(
        host(with(Value::Null, "", &addresses)).as_deref(),
        Some("203.0.113.9")
    );
    assert_eq!(
        host(with(Value::Null, "", &internal)).as_deref(),
        Some("10.0.0.5")
    );
    assert_eq!(host(with(Value::Null, "", &json!([]))), None);
    let empty = json!({ "system_info": { "public_ip": "" } });
    assert_eq!(host(with(empty, "al.example", &addresses)), None);
}

#[test]
fn the_port_to_dial_is_cut_or_defaulted_as_the_api_does() {
    let port = |port: Value| {
        record(&json!({ "extra": { "system_info": { "metrics_port": port } } })).dial_port(9102)
    };
    assert_eq!(port(json!(39102)), Some(39102));
    assert_eq!(port(json!(104_638)), Some(39102));
    assert_eq!(port(json!(0)), None);
    for other in [json!("39102"), json!(39102.0), json!(null), json!(-1)] {
        assert_eq!(port(other), Some(9102));
    }
    assert_eq!(record(&json!({})).dial_port(9102), Some(9102));
}

#[test]
fn a_merged_record_answers_to_both_names() {
    let vps: Vps = serde_json::from_value(
        captured("api-merge-3-merge")["response"]["body"]["merged_vps"].clone(),
    )
    .unwrap();
    assert!(vps.answers_to("m-target") && vps.answers_to("m-source"));
    assert!(!vps.answers_to("M-target"));
}

#[test]
fn one_unreadable_record_does_not_hide_the_others() {
    let mut body = captured("api-vps-list")["response"]["body"].clone();
    body["data"]
        .as_array_mut()
        .unwrap()
        .extend([json!({ "id": "x" }), json!(null)]);
    let page: VpsPage = serde_json::from_value(body).unwrap();
    assert_eq!(
        (page.data.len(), page.unreadable, page.total),
        (2, 2, Some(7))
    );
}

fn page_of(hostnames: &[&str], total: u64) -> Act {
    let data: Vec<Value> = hostnames
        .iter()
        .map(|name| json!({ "id": name, "hostname": name, "status": "active" }))
        .collect();
    Act::Say(answer(
        "200 OK",
        &[],
        &json!({ "data": data, "total": total }).to_string(),
    ))
}

#[tokio::test]
async fn all_pages_are_read_in_order_and_no_further() {
    let server = Server::start(vec![vec![page_of(&["a", "b"], 3), page_of(&["c"], 3)]]);
    let mut pages = server.client().vps_pages(VpsFilter::active());
    let mut names = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        names.extend(page.data.into_iter().map(|vps| vps.hostname));
    }
    assert!(pages.next_page().await.unwrap().is_none());
    assert_eq!(names, ["a", "b", "c"]);
    drop(pages);
    let lines: Vec<String> = server
        .all_seen()
        .into_iter()
        .map(|seen| seen.line)
        .collect();
    let wanted =
        [1, 2].map(|page| format!("GET /api/vps?status=active&page={page}&per_page=100 HTTP/1.1"));
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn an_empty_page_ends_the_walk_whatever_the_total_says() {
    let server = Server::start(vec![vec![page_of(&["a"], 50), page_of(&[], 50)]]);
    let mut pages = server.client().vps_pages(VpsFilter::default());
    assert!(pages.next_page().await.unwrap().is_some());
    assert!(pages.next_page().await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_that_failed_can_be_asked_for_again() {
    let limited = Act::Say(captured_answer(&captured("api-rate-429")));
    let server = Server::start(vec![vec![page_of(&["a"], 2), limited, page_of(&["b"], 2)]]);
    let mut pages = server.client().vps_pages(VpsFilter::default());
    pages.next_page().await.unwrap();
    assert!(pages.next_page().await.unwrap_err().is_transient());
    assert_eq!(
        pages.next_page().await.unwrap().unwrap().data[0].hostname,
        "b"
    );
}

#[tokio::test]
async fn a_record_is_found_by_name_on_any_page_and_its_own_name_beats_a_merged_one() {
    let merged = json!({ "id": "m", "hostname": "x", "status": "active", "extra": { "merged_hostnames": ["b"] } });
    let first = || {
        Act::Say(answer(
            "200 OK",
            &[],
            &json!({ "data": [merged], "total": 2 }).to_string(),
        ))
    };
    for (second, wanted) in [("b", Some("b")), ("c", Some("m"))] {
        let server = Server::start(vec![vec![first(), page_of(&[second], 2)]]);
        let found = server.client().vps_by_hostname("b").await.unwrap();
        assert_eq!(found.map(|vps| vps.id).as_deref(), wanted);
    }
    let server = Server::start(vec![vec![page_of(&["a"], 1)]]);
    assert_eq!(server.client().vps_by_hostname("b").await.unwrap(), None);
}

#[tokio::test]
async fn every_filter_becomes_a_query_pair() {
    let filter = VpsFilter {
        status: Some(VpsStatus::Retired),
        country: Some("DE".to_owned()),
        provider_id: Some("p".to_owned()),
        purpose: Some("a b&c".to_owned()),
        tag: Some("t".to_owned()),
        source: Some("agent".to_owned()),
        expiring_within_days: Some(30),
    };
    let server = Server::start(vec![vec![page_of(&[], 0)]]);
    server.client().vps_page(&filter, 2, 5).await.unwrap();
    let wanted = "GET /api/vps?status=retired&country=DE&provider_id=p&purpose=a+b%26c&tag=t\
                  &expiring_within_days=30&source=agent&page=2&per_page=5 HTTP/1.1";
    assert_eq!(server.seen().line, wanted);
}

#[test]
fn an_allocation_keeps_what_else_the_agent_said_and_refuses_nonsense() {
    let read = |body: Value| serde_json::from_value::<Allocation>(body);
    let allocation = read(json!({ "lease_seconds": 30, "ports": [5, 65535] })).unwrap();
    assert_eq!(
        (allocation.ports, allocation.other["lease_seconds"].clone()),
        (vec![5, 65535], json!(30))
    );
    for ports in [
        json!(null),
        json!([65536]),
        json!([-1]),
        json!(["5"]),
        json!([0]),
    ] {
        assert!(read(json!({ "ports": ports })).is_err());
    }
    assert!(read(json!({})).is_err());
}

type Read = fn(&[u8]);

fn read_record(bytes: &[u8]) {
    if let Ok(vps) = serde_json::from_slice::<Vps>(bytes) {
        let _ = (
            vps.dial_address(),
            vps.dial_port(1),
            vps.last_heartbeat(),
            vps.answers_to("x"),
        );
    }
}

fn read_page(bytes: &[u8]) {
    let _ = serde_json::from_slice::<VpsPage>(bytes);
}

fn read_allocation(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Allocation>(bytes);
}

#[test]
fn every_prefix_and_every_changed_byte_of_captured_bodies_can_be_read() {
    let table: [(&str, Read); 3] = [
        ("api-reg-200-full", read_record),
        ("api-vps-list", read_page),
        ("api-alloc-200", read_allocation),
    ];
    for (name, read) in table {
        let capture = captured(name);
        let body = capture["response"]["body_raw"].as_str().unwrap().as_bytes();
        for at in 0..body.len() {
            read(&body[..at]);
            for byte in *b"\0\"0{}[],:\\n-\xff" {
                let mut changed = body.to_vec();
                changed[at] = byte;
                read(&changed);
            }
        }
    }
}
