//! What is refused before anything is sent, and that the key shows nowhere.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use std::fmt::Debug;
use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use byte_server::{KEY, Server, answer, captured, captured_answer};
use serde_json::Value;
use sigma_client::{ApiKey, Call, Client, ConfigError, Error, Heartbeat, SystemInfo, VpsFilter};

fn beat() -> Heartbeat {
    Heartbeat {
        hostname: "h".to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo::default(),
    }
}

#[test]
fn base_urls_that_cannot_work_are_refused_without_being_repeated() {
    let scheme = "the API URL must begin with http:// or https://";
    let table = [
        ("", "the API URL is empty"),
        (" \n", "the API URL is empty"),
        ("ftp://sigma.example/api", scheme),
        ("sigma.example:3000/api", scheme),
        ("unix:/run/sigma", scheme),
        ("http://", "the API URL has no valid host or port"),
        ("http://:3000/api", "the API URL has no valid host or port"),
        (
            "http://sigma.example:99999/api",
            "the API URL has no valid host or port",
        ),
        (
            "http://user:hunter2@sigma.example/api",
            "the API URL must not hold a user name or password; use the API key",
        ),
        (
            "http://hunter2@sigma.example/api",
            "the API URL must not hold a user name or password; use the API key",
        ),
        (
            "http://user:hunter2@sigma.example:99999",
            "the API URL has no valid host or port",
        ),
        (
            "http://sigma.example/api?key=hunter2",
            "the API URL must not have a part after ? or #",
        ),
        (
            "http://sigma.example/api#hunter2",
            "the API URL must not have a part after ? or #",
        ),
    ];
    for (url, wanted) in table {
        let error = Client::builder(url).build().unwrap_err();
        assert_eq!(error.to_string(), wanted, "{url}");
        assert!(!format!("{error:?} {:?}", Client::builder(url)).contains("hunter2"));
    }
}

#[test]
fn a_user_agent_that_fits_no_header_is_refused() {
    let error = Client::builder("http://sigma.example")
        .user_agent("a\nb")
        .build()
        .unwrap_err();
    assert!(matches!(error, ConfigError::Http(_)), "{error:?}");
}

#[tokio::test]
async fn the_user_agent_can_be_set() {
    let server = Server::one(captured_answer(&captured("api-hb-200")));
    let client = Client::builder(&server.url())
        .user_agent("sigma-agent/4.0")
        .build()
        .unwrap();
    client.heartbeat(&beat()).await.unwrap();
    assert_eq!(server.seen().header("user-agent"), Some("sigma-agent/4.0"));
}

/// A listener that tells where its first connection came from, without answering.
fn peer_of_first_connection() -> (String, std::thread::JoinHandle<IpAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (
        url,
        std::thread::spawn(move || listener.accept().unwrap().1.ip()),
    )
}

#[tokio::test]
async fn connections_come_from_the_chosen_address() {
    let chosen: IpAddr = "127.0.0.2".parse().unwrap();
    let (url, peer) = peer_of_first_connection();
    let client = Client::builder(&url).local_address(chosen).build().unwrap();
    client.heartbeat(&beat()).await.unwrap_err();
    assert_eq!(peer.join().unwrap(), chosen);
}

#[tokio::test]
async fn the_bare_http_client_has_the_settings_but_not_the_key() {
    let server = Server::one(answer("302 x", &["location: http://127.0.0.1:9/"], ""));
    let builder = Client::builder(&server.url()).api_key(ApiKey::parse(KEY).unwrap());
    let http = builder.user_agent("me/1").build_http().unwrap();
    assert_eq!(http.get(server.url()).send().await.unwrap().status(), 302);
    let seen = server.seen();
    assert_eq!(
        (seen.header("user-agent"), seen.header("x-api-key")),
        (Some("me/1"), None)
    );
    assert!(Client::builder("ftp://a").build_http().is_err());
}

#[test]
fn a_key_is_trimmed_and_an_empty_one_is_none() {
    let trimmed = ApiKey::parse("\t sk_1 \r\n").unwrap();
    assert!(trimmed.is_some());
    assert_eq!(trimmed, ApiKey::parse("sk_1").unwrap());
    assert_eq!(ApiKey::parse(" \t\r\n").unwrap(), None);
}

#[test]
fn a_key_with_control_or_foreign_characters_is_refused_without_being_repeated() {
    for bad in [
        "sk\nhunter2",
        "sk\u{0}hunter2",
        "sk\thunter2",
        "schlüssel-hunter2",
        "sk\u{7f}hunter2",
    ] {
        let error = ApiKey::parse(bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the API key has a control or non-ASCII character inside"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

fn assert_hidden(what: &impl Debug) {
    let text = format!("{what:?} {what:#?}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[tokio::test]
async fn the_key_shows_in_no_debug_text() {
    let key = ApiKey::parse(KEY).unwrap();
    let builder = Client::builder("http://127.0.0.1/api").api_key(key.clone());
    assert_hidden(&builder);
    let client = builder.build().unwrap();
    assert_hidden(&key);
    assert_hidden(&client);
    assert_hidden(&client.with_api_key(ApiKey::parse(KEY).unwrap()));
    assert_hidden(&client.vps_pages(VpsFilter::default()));
    assert_hidden(&Call::<Value>::get("stats"));
    assert_hidden(&Call::heartbeat(&beat()));
    assert_hidden(&ApiKey::parse(&format!("{KEY}\n{KEY}")).unwrap_err());

    let server = Server::one(captured_answer(&captured("api-hb-200")));
    assert_hidden(
        &server
            .client()
            .send(&Call::heartbeat(&beat()))
            .await
            .unwrap(),
    );
    for bytes in [
        captured_answer(&captured("api-reg-401-badkey")),
        b"nonsense".to_vec(),
        answer("200 x", &[], "ok"),
    ] {
        let error = Server::one(bytes)
            .client()
            .heartbeat(&beat())
            .await
            .unwrap_err();
        assert_hidden(&error);
        assert!(!error.to_string().contains(KEY));
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_private_key_shows_in_no_debug_text() {
    let builder =
        Client::builder("http://a").client_identity_pem(b"cert 0123456789abcdef", KEY.as_bytes());
    assert_hidden(&builder);
    assert_hidden(&builder.build().unwrap_err());
}

#[tokio::test]
async fn a_server_that_repeats_the_key_does_not_bring_it_into_the_log() {
    let padding = "x".repeat(190);
    let texts = [
        format!(r#"{{"error":"unknown key {KEY}"}}"#),
        format!("x-api-key: {KEY}"),
        format!("{padding} {KEY}"),
    ];
    for text in texts {
        let error = Server::one(answer("401 x", &[], &text))
            .client()
            .heartbeat(&beat())
            .await
            .unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("sk_sigma"),
            "{error}"
        );
        assert!(error.to_string().contains("[key]"), "{error}");
    }
    let body = format!(r#"{{"ports":["{KEY}"]}}"#);
    let server = Server::one(answer("200 x", &[], &body));
    let error = server.client().allocate_ports("i", 1).await.unwrap_err();
    assert!(error.to_string().contains("[key]"), "{error}");
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used_unasked() {
    // Only this process would see a proxy; a fresh one is started with the variable set.
    if std::env::var_os("SIGMA_CLIENT_TEST_CHILD").is_some() {
        let server = Server::one(captured_answer(&captured("api-hb-200")));
        server.client().heartbeat(&beat()).await.unwrap();
        let asked = Client::builder(&server.url()).proxies_from_environment(true);
        let asked = asked.timeout(Duration::from_secs(5)).build().unwrap();
        let error = asked.heartbeat(&beat()).await.unwrap_err();
        assert!(
            matches!(error, Error::Status { code: 407, .. }),
            "{error:?}"
        );
        return;
    }
    let proxy = Server::one(answer("407 x", &[], ""));
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "proxies_of_the_environment_are_not_used_unasked"])
        .env("SIGMA_CLIENT_TEST_CHILD", "1")
        .env("HTTP_PROXY", format!("http://{}", proxy.addr))
        .env("http_proxy", format!("http://{}", proxy.addr))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .status()
        .unwrap();
    assert!(status.success());
    assert!(proxy.seen().line.starts_with("POST http://127.0.0.1:"));
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_says_so() {
    let error = Client::builder("https://sigma.example")
        .build()
        .unwrap_err();
    let wanted = "the API URL begins with https://, but this program was built without TLS";
    assert_eq!(error.to_string(), wanted);
}

#[cfg(feature = "pure-dns")]
#[tokio::test]
async fn an_address_in_the_url_needs_no_names() {
    let server = Server::one(captured_answer(&captured("api-hb-200")));
    let nowhere = "/nonexistent/sigma-client";
    let client = Client::builder(&server.url())
        .name_files(nowhere, nowhere)
        .build()
        .unwrap();
    client.heartbeat(&beat()).await.unwrap();
}

#[cfg(feature = "pure-dns")]
#[tokio::test]
async fn a_name_is_looked_up_in_the_given_files_and_nowhere_else() {
    let server = Server::one(captured_answer(&captured("api-hb-200")));
    let hosts = std::env::temp_dir().join(format!("sigma-client-hosts-{}", std::process::id()));
    std::fs::write(&hosts, "127.0.0.1 sigma-api\n").unwrap();
    let url = |name: &str| format!("http://{name}:{}/api", server.addr.port());
    let client = |name: &str| {
        let builder = Client::builder(&url(name)).name_files("/nonexistent/sigma-client", &hosts);
        builder.build().unwrap()
    };
    client("sigma-api").heartbeat(&beat()).await.unwrap();
    let host = format!("sigma-api:{}", server.addr.port());
    assert_eq!(server.seen().header("host"), Some(host.as_str()));
    let error = client("other").heartbeat(&beat()).await.unwrap_err();
    std::fs::remove_file(&hosts).unwrap();
    assert!(error.is_transient());
    assert!(
        error
            .to_string()
            .contains("no name server: /nonexistent/sigma-client: "),
        "{error}"
    );
}
