//! Names can be anything: they are shown as they are, and do nothing.

use crate::browser::Browser;
use crate::holder::Holder;
use crate::hosts::{HostFiles, scanning};
use crate::parts::{free_port, wait_for};

const NASTY: &str = "<img src=x onerror=alert(1)>";

/// What a process may be called: the kernel cuts names to 15 bytes.
const NASTY_PROCESS: &str = "<img src=x oner";

/// Nothing became an element, nothing was asked of the agent or of others, nothing ran.
fn harmless(browser: &Browser) {
    assert_eq!(
        browser.get("return document.querySelectorAll('main img, main script, [onerror]').length"),
        0
    );
    let asked = browser.get("return performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname).filter((path) => !path.startsWith('/page/') && path !== '/events')");
    let asked: Vec<&str> = asked
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|path| path.as_str())
        .filter(|path| !path.starts_with("image/"))
        .collect();
    assert_eq!(asked, Vec::<&str>::new());
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn a_host_and_a_mount_called_like_markup_are_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new(NASTY, &format!("/{NASTY}"));
    let agent = host.agent(free_port());
    browser.open(agent.port);
    browser.live();
    browser.shows("#disks", &format!("/{NASTY}"));
    browser.shows("#facts", NASTY);
    harmless(&browser);
}

#[test]
fn a_process_called_like_markup_is_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let start = 10_000 + u16::try_from(std::process::id() % 15_000).unwrap();
    let holder = Holder::start(NASTY_PROCESS, start + 5_000..start + 5_010);
    let port = *holder.ports.first().expect("a free port");
    let agent = scanning();
    browser.open(agent.port);
    browser.live();
    wait_for("the process in the picture", || {
        let words = browser.module(
            "ports",
            &format!("it.model.size ? it.describe(it.positionOf({port})).join(' ') : ''"),
        );
        words.as_str()?.contains(NASTY_PROCESS).then_some(())
    });
    browser.get("const field = document.querySelector('#listeners-filter'); field.value = 'img'; field.dispatchEvent(new Event('input'))");
    browser.shows("#listeners tbody", NASTY_PROCESS);
    harmless(&browser);
}
