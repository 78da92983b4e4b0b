//! Streams: how many there can be, what they cost others, how they end, and what a page does that has none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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

#[test]
fn a_page_that_nobody_sees_lets_the_agent_rest() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    let next = || agent.task("history")["next_run_in_seconds"].as_f64();
    browser.open(agent.port);
    browser.live();
    let page = browser.window();
    wait_for("readings for the page", || {
        next().is_none_or(|seconds| seconds <= 2.0).then_some(())
    });
    browser.another_tab();
    wait_for("rest", || (next()? > 3.0).then_some(()));
    browser.switch(&page);
    browser.live();
    let known = || browser.module("charts", "it.series.points.length").as_u64();
    let before = known().unwrap();
    wait_for("newer figures", || (known()? > before).then_some(()));
    assert_eq!(browser.log(), Vec::<String>::new());
}

/// Something between browser and agent that hands an answer on when it is whole, as some proxies do: a stream never is.
fn hold_back(agent: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut client = BufReader::new(client);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if client.read_line(&mut head).unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = head.replace("onnection: keep-alive", "onnection: close");
                let mut server = connect(agent);
                let mut answer = Vec::new();
                let whole = server
                    .write_all(head.as_bytes())
                    .and_then(|()| server.read_to_end(&mut answer));
                // Whoever has given up waiting is told nothing.
                let _ = whole.and_then(|_| client.get_mut().write_all(&answer));
            });
        }
    });
    port
}

#[test]
fn a_page_behind_something_that_holds_streams_back_asks_instead() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let host = HostFiles::new("db-2", "/srv");
    let agent = host.agent(free_port());
    browser.open(hold_back(agent.port));
    browser.shows("#link", "live, every 5 s");
    browser.shows("#disks", "/srv");
}
