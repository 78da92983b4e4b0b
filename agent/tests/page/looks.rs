//! How the page looks: on a phone, in the dark; and the pictures of it in the docs, made on request.

use crate::browser::Browser;
use crate::holder::Holder;
use crate::parts::{Agent, wait_for};

#[test]
fn a_phone_needs_no_sideways_scrolling_and_the_dark_is_dark() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let start = 10_000 + u16::try_from(std::process::id() % 15_000).unwrap();
    let _holder = Holder::start("a-name-of-15-by", start..start + 40);
    let scan = [
        "--port-scan",
        "--port-scan-interval",
        "1",
        "--interval",
        "60",
    ];
    let agent = Agent::start("http://127.0.0.1:1/api", &scan);
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
