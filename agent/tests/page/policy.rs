//! What the browser is told to refuse, and that it does.

use crate::browser::Browser;
use crate::hosts::HostFiles;
use crate::parts::{ask, connect, free_port};

#[test]
fn the_files_come_with_the_strictest_headers_and_compressed_for_those_who_can() {
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    for path in ["/", "/page/page.css", "/page/page.js"] {
        let answer = agent.get(path);
        assert_eq!(answer.status, 200, "{path}");
        for header in [
            "content-security-policy: default-src 'none';",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "x-frame-options: deny",
        ] {
            assert!(
                answer.head.contains(header),
                "{path} lacks {header}: {}",
                answer.head
            );
        }
        assert!(!answer.head.contains("unsafe"), "{}", answer.head);
    }
    let packed = ask_bytes(
        agent.port,
        "GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n",
    );
    assert!(
        packed.len() < agent.get("/").body.len() / 2,
        "{} bytes",
        packed.len()
    );
    let refused = ask(
        agent.port,
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(refused.status, 405);
    assert_eq!(agent.get("/page/none.js").status, 404);
    assert_eq!(agent.get("/events?always").status, 400);
}

fn ask_bytes(port: u16, request: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let body = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert!(bytes[body..].starts_with(&[0x1f, 0x8b]), "not gzip");
    bytes.split_off(body)
}

#[test]
fn nothing_but_the_pages_own_files_runs_in_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    browser.open(agent.port);
    browser.live();
    assert_eq!(browser.log(), Vec::<String>::new());
    for attempt in [
        // Script as an element, as markup, as a handler, as text, from a data URL; and a way out.
        "const script = document.createElement('script'); script.append('window.ran = 1'); document.body.append(script)",
        "document.body.innerHTML += '<img src=x onerror=\"window.ran = 1\">'",
        "const image = document.createElement('img'); image.setAttribute('onerror', 'window.ran = 1'); image.src = 'data:image/png,x'; document.body.append(image)",
        "window.ran = eval('1')",
        "const script = document.createElement('script'); script.src = 'data:text/javascript,window.ran = 1'; document.body.append(script)",
        "const frame = document.createElement('iframe'); frame.src = '/'; document.body.append(frame)",
    ] {
        // What WebDriver runs itself is above the policy; a timer of the page is not.
        browser.get(&format!("setTimeout(() => {{ {attempt} }})"));
    }
    let fetched =
        browser.get("return fetch('http://127.0.0.1:1/').then(() => 'sent', (error) => 'refused')");
    assert_eq!(fetched, "refused");
    // A turn of the page's own life later, nothing has run.
    let turns = browser
        .module("charts", "it.series.points.length")
        .as_u64()
        .unwrap();
    crate::parts::wait_for("the next reading", || {
        (browser
            .module("charts", "it.series.points.length")
            .as_u64()?
            > turns)
            .then_some(())
    });
    assert_eq!(
        browser.get("return window.ran ?? null"),
        serde_json::Value::Null
    );
    let log = browser.log();
    assert!(
        log.len() >= 5
            && log
                .iter()
                .all(|line| ["Content Security Policy", "Trusted", "frame"]
                    .iter()
                    .any(|word| line.contains(word))),
        "{log:#?}"
    );
}
