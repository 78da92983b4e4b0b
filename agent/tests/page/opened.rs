//! What a freshly opened page shows, and what it does when the agent goes and comes.

use serde_json::Value;

use crate::browser::Browser;
use crate::hosts::HostFiles;
use crate::parts::{Agent, free_port, wait_for};

fn metric(agent: &Agent, name: &str) -> f64 {
    let page = agent.get("/metrics").body;
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")))
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn figures_are_those_of_the_host_and_facts_those_of_status() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    wait_for("the first reading", || {
        (agent.task("history")["runs"].as_u64()? > 0).then_some(())
    });
    browser.open(agent.port);
    browser.live();

    let memory = browser.module("charts", "it.last().memory_used");
    let (total, available) = (
        metric(&agent, "sigma_host_memory_total_bytes"),
        metric(&agent, "sigma_host_memory_available_bytes"),
    );
    assert_eq!(memory.as_f64().unwrap(), 1.0 - available / total);
    assert!(
        browser
            .shows(".chart:nth-child(2)", "75 %")
            .contains("10 %"),
        "swap"
    );
    assert_eq!(
        browser.module("charts", "it.last().load_1"),
        metric(&agent, "sigma_host_load1")
    );
    browser.shows(".chart:nth-child(3)", "0.42");

    // A quarter of the time was busy, and 60,000 bytes came in: once, however often the host is read meanwhile.
    host.set_cpu(100, 300);
    host.set_received(60_000);
    let busy = wait_for("a busy processor", || {
        let points = browser.module(
            "charts",
            "it.series.points.map((one) => [one.at, one.cpu_busy, one.received])",
        );
        let points = points.as_array().unwrap().clone();
        let at = points
            .iter()
            .position(|point| point[1].as_f64() == Some(0.25))?;
        let seconds = (points[at][0].as_f64()? - points[at - 1][0].as_f64()?) / 1000.0;
        let came: f64 = points
            .iter()
            .skip(at - 1)
            .take(3)
            .filter_map(|point| Some(point[2].as_f64()? * seconds))
            .sum();
        Some(came)
    });
    assert!((busy - 60_000.0).abs() < 6_000.0, "received {busy} bytes");

    let status = agent.status();
    for one in status["loops"].as_array().unwrap() {
        let row = format!("#loops tbody tr:nth-child({})", position(&status, one) + 1);
        let text = browser.shows(&row, one["name"].as_str().unwrap());
        if one["name"] == "heartbeat" {
            assert!(
                text.contains("failing") && text.contains("refused"),
                "{text}"
            );
        }
    }
    let problem = browser.shows("#problems", "heartbeat is failing");
    assert!(problem.contains("cannot be reached"), "{problem}");
    browser.shows("footer", status["agent"]["version"].as_str().unwrap());
    browser.shows("h1", "e2e-host");
    browser.shows(
        "#summary",
        "Test OS 1 · Linux 6.1.0-test · 1 core · up 1 d 2 h",
    );
    browser.shows("#disks", "/srv");
    assert_eq!(browser.log(), Vec::<String>::new());
}

fn position(status: &Value, one: &Value) -> usize {
    let loops = status["loops"].as_array().unwrap();
    loops
        .iter()
        .position(|other| other["name"] == one["name"])
        .unwrap()
}

#[test]
fn an_agent_that_goes_is_missed_and_one_that_comes_back_is_shown_again() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let port = free_port();
    let first = host.agent(port);
    first.status();
    browser.open(port);
    browser.live();
    assert_eq!(browser.text("#gone"), "");
    drop(first);

    browser.shows("#link", "no answer");
    let words = browser.shows("#gone", "does not answer");
    assert!(words.contains("last heard at"), "{words}");
    assert!(
        browser.text("#charts").contains("75 %"),
        "what was known stays"
    );
    let before = browser
        .module("charts", "it.series.points.length")
        .as_u64()
        .unwrap();

    let second = host.agent(port);
    browser.live();
    assert_eq!(browser.text("#gone"), "");
    let pid = second.child.id().to_string();
    browser.shows("footer", &pid);
    wait_for("new figures behind the old ones", || {
        (browser
            .module("charts", "it.series.points.length")
            .as_u64()?
            > before)
            .then_some(())
    });
    // The browser itself says that it could not connect; nothing else went wrong.
    let log = browser.log();
    assert!(log.iter().all(|line| line.contains("net::ERR_")), "{log:?}");
}
