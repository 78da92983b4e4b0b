//! How the page looks: on a phone, in the dark; and the pictures of it in the docs, made on request.

use crate::browser::Browser;
use crate::holder::Holder;
use crate::hosts::scanning;
use crate::parts::{Agent, Api, folder, wait_for};
use crate::stage;

#[test]
fn a_phone_needs_no_sideways_scrolling_and_the_dark_is_dark() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let start = 10_000 + u16::try_from(std::process::id() % 15_000).unwrap();
    let _holder = Holder::start("a-name-of-15-by", start..start + 40);
    let agent = scanning();
    browser.open(agent.port);
    browser.live();
    browser.shows("#ports-sums", "available");
    for (width, height) in [
        (390, 844),
        (320, 568),
        (768, 1024),
        (1280, 800),
        (2560, 1440),
    ] {
        browser.resize(width, height, 1.0);
        wait_for("the picture in its new size", || {
            let fits = browser.get("const canvas = document.querySelector('#port-cells'); return canvas.getBoundingClientRect().right <= innerWidth");
            (fits == true).then_some(())
        });
        let wide = browser.get("return document.documentElement.scrollWidth - innerWidth");
        assert!(
            wide.as_i64().unwrap() <= 0,
            "{width} pixels are too few by {wide}"
        );
    }
    let lightness = || {
        let sum = browser.get("const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return r + g + b");
        sum.as_u64().unwrap()
    };
    browser.colours("dark");
    assert!(lightness() < 100, "{}", lightness());
    browser.colours("light");
    assert!(lightness() > 650, "{}", lightness());
    assert_eq!(browser.log(), Vec::<String>::new());
}

/// `PAGE_SCREENSHOTS=1 cargo test --test page pictures` makes those in docs/images anew.
#[test]
fn pictures_for_the_docs_are_made_on_request() {
    if std::env::var_os("PAGE_SCREENSHOTS").is_none() {
        return;
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let _cast = stage::cast();
    let api = Api::start();
    let key = folder("key").join("key");
    std::fs::write(&key, api.key(sigma_lab::Role::Agent)).unwrap();
    let options = [
        "--port-scan",
        "--hostname",
        "web-3",
        "--api-key-file",
        key.to_str().unwrap(),
    ];
    let agent = Agent::start(&api.url(), &options);
    api.registered();
    wait_for("the first scan", || {
        (agent.task("scan")["runs"].as_u64()? > 0).then_some(())
    });
    browser.open(stage::front(agent.port));
    browser.live();
    browser.shows("#servers", "registered as web-3");
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images");
    std::fs::create_dir_all(images).unwrap();
    for (name, width, height, scale, colours, from, span) in [
        ("page-light", 1280, 800, 1.0, "light", "body", "3600"),
        ("page-dark", 1280, 800, 1.0, "dark", "#ports", "300"),
        ("phone-light", 390, 844, 2.0, "light", "body", "900"),
        ("phone-dark", 390, 844, 2.0, "dark", "#ports", "900"),
    ] {
        browser.resize(width, height, scale);
        browser.colours(colours);
        browser.get(&format!(
            "document.querySelector('input[value=\"{span}\"]').click(); document.activeElement.blur(); \
             scrollTo(0, Math.max(0, document.querySelector('{from}').getBoundingClientRect().top + scrollY - 14)); \
             return new Promise((done) => setTimeout(done, 400))"
        ));
        let shot = browser.devtools(
            "Page.captureScreenshot",
            &serde_json::json!({ "format": "png" }),
        );
        let bytes = base64(shot["data"].as_str().unwrap());
        assert!(bytes.len() < 150_000, "{name}: {} bytes", bytes.len());
        std::fs::write(format!("{images}/{name}.png"), bytes).unwrap();
    }
    assert_eq!(browser.log(), Vec::<String>::new());
}

/// The bytes behind base64, which is how WebDriver sends pictures.
fn base64(text: &str) -> Vec<u8> {
    let six = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let group = |four: &[u8]| {
        let bits = four
            .iter()
            .fold(0_u32, |bits, letter| bits << 6 | u32::from(six(*letter)));
        let bits = bits << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    letters.chunks(4).flat_map(group).collect()
}
