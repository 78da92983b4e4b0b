//! The ports as a picture: what it is drawn from, what is drawn, and how one walks through it.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::json;

use crate::browser::Browser;
use crate::hosts::scanning;
use crate::parts::wait_for;

/// WebDriver's code points of keys.
const PAGE_DOWN: &str = "\u{e00f}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";
const HOME: &str = "\u{e011}";
const TAB: &str = "\u{e004}";

/// A port of the range that nobody has, and its listener. Each test has a stretch of its own: what it gives back nobody else takes.
fn take(stretch: u16) -> (u16, TcpListener) {
    let start = 10_000 + u16::try_from(std::process::id() % 15_000).unwrap() + stretch * 1_000;
    (start..start + 1_000)
        .find_map(|port| Some((port, TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?)))
        .expect("a free port")
}

/// State and colour of a port: by the model, and by the pixel in the middle of its cell.
fn cell(browser: &Browser, port: u16) -> (String, String) {
    let state = browser.module(
        "ports",
        &format!("it.describe(it.positionOf({port})).slice(1).join(' ')"),
    );
    let pixel = browser.module(
        "ports",
        &format!(
            "(() => {{ const {{ x, y, cell }} = it.cellAt(it.positionOf({port})); \
             const pen = document.querySelector('#port-cells').getContext('2d'); \
             return [...pen.getImageData(x + Math.floor(cell / 2) - 1, y + Math.floor(cell / 2) - 1, 1, 1).data].slice(0, 3).join() }})()"
        ),
    );
    (
        state.as_str().unwrap().to_owned(),
        pixel.as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_port_that_is_taken_shows_in_model_pixel_and_table_until_it_is_free() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let agent = scanning();
    browser.open(agent.port);
    browser.live();
    browser.shows("#ports-sums", "of 20,001 available");
    let (port, listener) = take(1);
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let taken = wait_for("the port to be ours", || {
        let (words, pixel) = cell(&browser, port);
        let ours = words.contains(own.trim()) && words.contains(&std::process::id().to_string());
        (ours && words.starts_with("listening")).then_some(pixel)
    });

    let script = format!(
        "const field = document.querySelector('#listeners-filter'); field.value = '{port}'; field.dispatchEvent(new Event('input'))"
    );
    browser.get(&script);
    let row = browser.shows("#listeners tbody", &port.to_string());
    assert!(
        row.contains(own.trim()) && row.contains("all IPv4"),
        "{row}"
    );

    // Under the pointer stands what the model says.
    let middle = browser.module(
        "ports",
        &format!(
            "(() => {{ const canvas = document.querySelector('#port-cells'); canvas.scrollIntoView({{ block: 'center' }}); const box = canvas.getBoundingClientRect(); \
             const {{ x, y, cell }} = it.cellAt(it.positionOf({port})); return [box.left + (x + cell / 2) * box.width / canvas.width, box.top + (y + cell / 2) * box.height / canvas.height] }})()"
        ),
    );
    browser.point(middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
    let here = browser.shows("#port-here", &port.to_string());
    assert!(
        here.contains("listening") && here.contains(own.trim()),
        "{here}"
    );

    drop(listener);
    wait_for("the port to be free", || {
        (cell(&browser, port).0 == "free").then_some(())
    });
    let (_, free) = cell(&browser, port);
    assert_ne!(taken, free, "the pixel did not change");
    let told: serde_json::Value =
        serde_json::from_str(&agent.get(&format!("/ports?port={port}")).body).unwrap();
    assert_eq!(told["ports"][0]["verdict"], "free");
    assert_eq!(browser.log(), Vec::<String>::new());
}

#[test]
fn the_keyboard_reaches_everything_and_walks_through_the_ports() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let agent = scanning();
    let (port, _listener) = take(2);
    browser.open(agent.port);
    browser.live();
    wait_for("the port to be listened on", || {
        cell(&browser, port)
            .0
            .starts_with("listening")
            .then_some(())
    });
    let mut walked = Vec::new();
    for _ in 0..60 {
        browser.press(TAB);
        let focus = browser.get(
            "const it = document.activeElement; const shown = it.matches('input[type=radio]') ? it.nextElementSibling : it; const style = getComputedStyle(shown); \
             return [it.id || it.name || it.textContent.slice(0, 20), style.outlineStyle, style.outlineWidth]",
        );
        if focus[0] == "HTML" || walked.last().is_some_and(|last: &String| *last == focus[0]) {
            break;
        }
        assert!(
            focus[1] != "none" && focus[2] != "0px",
            "the focus is invisible on {focus}"
        );
        walked.push(focus[0].as_str().unwrap().to_owned());
        if focus[0] == "listeners-filter" {
            break;
        }
    }
    for stop in [
        "Skip to the figures",
        "span",
        "port-cells",
        "listeners-filter",
    ] {
        assert!(
            walked.iter().any(|one| one == stop),
            "{stop} is not among {walked:?}"
        );
    }

    browser.get("document.querySelector('#port-cells').focus()");
    let now = || {
        browser.get(
            "return Number(document.querySelector('#port-cells').getAttribute('aria-valuenow'))",
        )
    };
    browser.press(HOME);
    assert_eq!(now(), json!(10_000));
    browser.press(RIGHT);
    assert_eq!(now(), json!(10_001));
    browser.press(DOWN);
    let columns = browser
        .module("ports", "it.model.columns")
        .as_u64()
        .unwrap();
    assert_eq!(now(), json!(10_001 + columns));
    // The picture goes on living meanwhile, and other tests take ports.
    let first = wait_for("the next port that is not free", || {
        browser.press(HOME);
        let first = browser.module("ports", "[...Array(20001).keys()].map((at) => at + 10000).find((port) => port > 10000 && it.describe(port - 10000)[1] !== 'free')");
        browser.press(PAGE_DOWN);
        Some(now()).filter(|now| *now == first)
    });
    let words =
        browser.get("return document.querySelector('#port-cells').getAttribute('aria-valuetext')");
    assert!(
        words.as_str().unwrap().starts_with(&first.to_string()),
        "{words}"
    );
}
