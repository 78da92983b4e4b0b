//! Streams without a browser: how many there can be, what they cost others, and how they end.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::browser::Browser;
use crate::hosts::HostFiles;
use crate::parts::{Agent, connect, free_port, wait_for};

/// Asks for the stream; the first line of the answer, and the rest of it as it comes.
fn stream(agent: &Agent) -> (String, BufReader<TcpStream>) {
    let mut stream = connect(agent.port);
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (line, reader)
}

/// Reads on to the next event of this name.
fn event(reader: &mut BufReader<TcpStream>, name: &str) {
    let wanted = format!("event: {name}");
    let mut line = String::new();
    while line.trim_end() != wanted {
        line.clear();
        assert!(
            reader.read_line(&mut line).unwrap() > 0,
            "the stream ended before {name}"
        );
    }
}

#[test]
fn eight_pages_are_told_and_no_scrape_waits_for_them() {
    let host = HostFiles::new("db-2", "/srv");
    let mut agent = host.agent(free_port());
    let mut open: Vec<_> = (0..8).map(|_| stream(&agent)).collect();
    for (line, reader) in &mut open {
        assert!(line.contains(" 200 "), "{line}");
        event(reader, "host");
        event(reader, "state");
        event(reader, "figures");
    }
    let (line, ninth) = stream(&agent);
    assert!(line.contains(" 503 "), "{line}");
    drop(ninth);
    let once = agent.get("/events?once");
    assert!(
        once.status == 200 && once.body.contains("event: state"),
        "{once:?}"
    );
    for _ in 0..100 {
        assert_eq!(agent.get("/metrics").status, 200);
    }
    // A place is free again soon after its page has gone.
    open.pop();
    let (_, again) = wait_for("a free place", || {
        let (line, reader) = stream(&agent);
        line.contains(" 200 ").then_some((line, reader))
    });
    // Who looks does not keep the agent from its end.
    let start = Instant::now();
    agent.signal("TERM");
    assert!(agent.end().success());
    println!(
        "ended {:?} after the signal, with 8 streams open",
        start.elapsed()
    );
    drop((open, again));
}

#[test]
fn the_host_is_read_often_only_while_somebody_looks() {
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    let next = |agent: &Agent| agent.task("history")["next_run_in_seconds"].as_f64();
    wait_for("rest", || (next(&agent)? > 3.0).then_some(()));
    let (_, mut reader) = stream(&agent);
    for _ in 0..3 {
        event(&mut reader, "figures");
        assert!(next(&agent).is_none_or(|seconds| seconds <= 2.0));
    }
    drop(reader);
    wait_for("rest again", || (next(&agent)? > 3.0).then_some(()));
}

#[test]
fn a_page_that_finds_no_stream_asks_again_and_again() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    let open: Vec<_> = (0..8).map(|_| stream(&agent)).collect();
    browser.open(agent.port);
    browser.shows("#link", "live, every 5 s");
    browser.shows("#disks", "/srv");
    let known = || browser.module("charts", "it.series.points.length").as_u64();
    let before = known().unwrap();
    wait_for("newer figures", || (known()? > before).then_some(()));
    drop(open);
}
