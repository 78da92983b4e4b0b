//! A page behind a token: nothing of the host without it.

use crate::browser::Browser;
use crate::hosts::HostFiles;
use crate::parts::{Agent, connect, folder};

const TOKEN: &str = "open-sesame-4711";
const ENTER: &str = "\u{e007}";

#[test]
fn the_page_asks_for_the_token_and_shows_nothing_without_it() {
    let host = HostFiles::new("db-2", "/srv");
    let folder = folder("token");
    let file = folder.join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let agent = Agent::start(
        "http://127.0.0.1:1/api",
        &[
            "--host-root",
            host.path(),
            "--interval",
            "60",
            "--http-token-file",
            file.to_str().unwrap(),
        ],
    );
    connect(agent.port);
    for path in ["/events", "/events?once", "/status", "/metrics"] {
        assert_eq!(agent.get(path).status, 401, "{path}");
    }
    let page = agent.get("/");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("db-2"));

    if let Some(browser) = Browser::start() {
        browser.open(agent.port);
        browser.shows("#ask", "wants a token");
        assert_eq!(browser.text("#content"), "");
        for (text, then) in [("wrong", "That is not the token."), (TOKEN, "")] {
            browser.get("document.querySelector('#token').focus()");
            browser.press(&format!("{text}{ENTER}"));
            if then.is_empty() {
                browser.live();
            } else {
                browser.shows("#refused", then);
            }
        }
        browser.shows("#disks", "/srv");
        assert_eq!(browser.text("#ask"), "");
        // It is known for as long as the tab is, and stands in no address and no cookie.
        browser.get("location.reload()");
        browser.live();
        assert_eq!(
            browser.get("return document.cookie + location.href"),
            format!("http://127.0.0.1:{}/", agent.port)
        );
    }
    let log = format!("{:?}", agent.log());
    assert!(!log.contains(TOKEN), "{log}");
    let _ = std::fs::remove_dir_all(folder);
}
