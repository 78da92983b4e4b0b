//! Keys and server URLs: what is taken, what is refused, and that neither shows a secret.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

use metricpush::{ApiKey, ServerUrl};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Hashes from `printf %s KEY | sha256sum`, the first also from the contract.
#[test]
fn the_hash_is_the_beginning_of_the_keys_sha_256() {
    let long = "k".repeat(512);
    let known = [
        (KEY, "905f28de"),
        ("a", "ca978112"),
        ("lunasentri", "9a08d54f"),
        (long.as_str(), "789a49fc"),
    ];
    for (key, hash) in known {
        assert_eq!(ApiKey::parse(key).unwrap().hash(), hash);
    }
}

#[test]
fn a_key_is_trimmed_and_otherwise_taken_as_it_is() {
    for text in [
        KEY.to_owned(),
        format!(" {KEY}\r\n"),
        format!("\t{KEY}\n\n"),
    ] {
        assert_eq!(ApiKey::parse(&text).unwrap().reveal(), KEY);
    }
    assert_eq!(ApiKey::parse("!~").unwrap().reveal(), "!~");
}

#[test]
fn a_key_that_cannot_travel_is_refused_without_being_shown() {
    let table = [
        ("", "is empty"),
        (" \r\n\t", "is empty"),
        (
            "secret\u{7f}",
            "has a control or non-ASCII character inside",
        ),
        (
            "secret\u{0}x",
            "has a control or non-ASCII character inside",
        ),
        ("sécret", "has a control or non-ASCII character inside"),
        (
            "Bearer secret",
            "has a blank or a line end inside: only the key itself is wanted",
        ),
        (
            "secret\nsecret",
            "has a blank or a line end inside: only the key itself is wanted",
        ),
        (
            &"secret".repeat(86),
            "is longer than 512 characters: is it the right file?",
        ),
    ];
    for (text, why) in table {
        let error = ApiKey::parse(text).unwrap_err().to_string();
        assert_eq!(error, format!("the API key {why}"), "{text:?}");
    }
}

#[test]
fn debug_shows_the_hash_of_a_key_alone() {
    let key = ApiKey::parse(KEY).unwrap();
    assert_eq!(format!("{key:?} {:#?}", Some(&key)).matches(KEY).count(), 0);
    assert_eq!(format!("{key:?}"), "ApiKey(905f28de)");
    assert_ne!(key, ApiKey::parse("other").unwrap());
}

#[test]
fn a_server_url_is_trimmed_and_loses_its_last_slashes() {
    let table = [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        (" HTTPS://api.example:8443//\n", "https://api.example:8443"),
        ("https://Api.Example./base/", "https://Api.Example./base"),
        ("http://[::1]:80/a/b", "http://[::1]:80/a/b"),
        ("https://a_b-c.example", "https://a_b-c.example"),
    ];
    for (text, wanted) in table {
        let server: ServerUrl = text.parse().unwrap();
        assert_eq!(server.as_str(), wanted);
        assert_eq!(server.to_string(), wanted);
    }
}

#[test]
fn a_server_url_that_cannot_work_is_refused_without_being_shown() {
    let scheme = "must begin with http:// or https://";
    let host = "has no valid host or port";
    let letters = "has a blank, control or non-ASCII character inside";
    let long = format!("https://{}", "a.".repeat(130));
    let table = [
        ("", "is empty"),
        (" \n", "is empty"),
        ("api.example", scheme),
        ("//api.example", scheme),
        ("ftp://api.example", scheme),
        ("https:/api.example", scheme),
        ("https:api.example", scheme),
        ("https://", host),
        ("https:///agent", host),
        ("https://:443", host),
        ("https://api.example:", host),
        ("https://api.example:0", host),
        ("https://api.example:65536", host),
        ("https://api.example:+80", host),
        ("https://api.example:8o", host),
        ("https://api..example", host),
        ("https://.example", host),
        ("https://api.ex%61mple", host),
        ("https://::1", host),
        ("https://[::1", host),
        ("https://[::1]x", host),
        ("https://[fe80::1%eth0]", host),
        ("https://[127.0.0.1]", host),
        ("https://256.0.0.1", host),
        ("https://127.1", host),
        ("https://0x7f000001", host),
        ("https://0177.0.0.1", host),
        ("https://2130706433", host),
        (&long, host),
        (
            "https://secret@api.example",
            "must not hold a user name or password; use the API key",
        ),
        (
            "https://me:secret@api.example",
            "must not hold a user name or password; use the API key",
        ),
        (
            "https://api.example?key=secret",
            "must not have a part after ? or #",
        ),
        (
            "https://api.example/#secret",
            "must not have a part after ? or #",
        ),
        ("https://api.example/a b", letters),
        ("https://api.example\t", "is fine"),
        ("https://api.exa\nmple", letters),
        ("https://münchen.example", letters),
        ("https://api.example/a\\b", "has a backslash inside"),
        ("https:\\\\api.example", scheme),
    ];
    for (text, why) in table {
        match ServerUrl::parse(text) {
            Ok(_) => assert_eq!(why, "is fine", "{text}"),
            Err(error) => assert_eq!(error.to_string(), format!("the server URL {why}"), "{text}"),
        }
    }
}

#[test]
fn plain_http_exposes_the_key_unless_it_stays_on_this_host() {
    let table = [
        ("https://api.example", false),
        ("http://api.example", true),
        ("http://10.0.0.5", true),
        ("http://[2001:db8::1]", true),
        ("http://[::]", true),
        ("http://0.0.0.0", true),
        ("http://localhost.example", true),
        ("http://127.0.0.1.example", true),
        ("http://localhost:8080", false),
        ("http://LocalHost.", false),
        ("http://api.localhost", false),
        ("http://127.0.0.1", false),
        ("http://127.255.255.254:1", false),
        ("http://[::1]", false),
        ("http://[::ffff:127.0.0.1]", false),
    ];
    for (text, exposes) in table {
        assert_eq!(
            ServerUrl::parse(text).unwrap().exposes_key(),
            exposes,
            "{text}"
        );
    }
}

/// `reqwest` reads URLs as browsers do, with all their leniency. What is taken here must mean the same there.
#[test]
fn every_prefix_and_every_changed_byte_means_the_same_to_the_http_client() {
    let good = [
        "https://api.example:8443/base/",
        "http://127.0.0.1:80",
        "http://[::ffff:7f00:1]/x",
        "http://localhost.",
    ];
    let mut taken = 0;
    for good in good {
        for at in 0..=good.len() {
            assert_same_meaning(&good[..at]);
            for letter in '\u{0}'..='\u{ff}' {
                let changed = format!(
                    "{}{letter}{}",
                    &good[..at],
                    good.get(at + 1..).unwrap_or("")
                );
                taken += usize::from(assert_same_meaning(&changed));
            }
        }
    }
    assert!(taken > 1000, "{taken} were taken");
}

fn assert_same_meaning(text: &str) -> bool {
    let Ok(server) = ServerUrl::parse(text) else {
        return false;
    };
    let url = reqwest::Url::parse(server.as_str()).unwrap_or_else(|why| panic!("{text}: {why}"));
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none());
    let host = url.host_str().unwrap();
    let inside = host.trim_matches(['[', ']']).trim_end_matches('.');
    let ip: Option<std::net::IpAddr> = inside.parse().ok();
    let is_loopback = ip.map_or_else(
        || inside.ends_with("localhost"),
        |ip| ip.to_canonical().is_loopback(),
    );
    // A name such as `xlocalhost` is none of this host's.
    let is_loopback =
        is_loopback && (ip.is_some() || inside.rsplit('.').next() == Some("localhost"));
    assert_eq!(
        server.exposes_key(),
        url.scheme() == "http" && !is_loopback,
        "{text}"
    );
    true
}
