//! Looking up names against files and name servers made for the test.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;

/// A folder with the two files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "sigma-client-names-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    fn names(&self, port: u16) -> Inner {
        let files = NameFiles {
            resolv_conf: self.0.join("resolv.conf"),
            hosts: self.0.join("hosts"),
        };
        Inner {
            files,
            port: Some(port),
            current: Mutex::new(None),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name server that knows one name and tells what it was asked.
fn name_server(socket: UdpSocket, known: &'static str, ip: [u8; 4], asked: Sender<String>) {
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let (name, end) = question(&packet[..length]);
            let is_a = packet[end + 1] == 1;
            let _ = asked.send(format!("{name} {}", if is_a { "A" } else { "AAAA" }));
            let found = name.eq_ignore_ascii_case(known);
            let mut answer = packet[..2].to_vec();
            // Recursion available; NXDOMAIN for all other names; one question, perhaps one answer.
            answer.extend([
                0x81,
                if found { 0x80 } else { 0x83 },
                0,
                1,
                0,
                u8::from(found && is_a),
                0,
                0,
                0,
                0,
            ]);
            answer.extend(&packet[12..end + 4]);
            if found && is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(ip);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// The name asked for, and where its type and class begin.
fn question(packet: &[u8]) -> (String, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        name += std::str::from_utf8(&packet[at + 1..=at + length]).unwrap();
        name += ".";
        at += length + 1;
    }
    (name.to_lowercase(), at + 1)
}

/// Name servers on two loopback addresses and the port they share.
fn two_servers(known: &'static str) -> (u16, Receiver<String>, Receiver<String>) {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let Ok(second) = UdpSocket::bind(("127.0.0.2", port)) else {
            continue;
        };
        let (to_first, asked_first) = channel();
        let (to_second, asked_second) = channel();
        name_server(first, known, [192, 0, 2, 1], to_first);
        name_server(second, known, [192, 0, 2, 2], to_second);
        return (port, asked_first, asked_second);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_hosts_file_is_read_as_the_system_reads_it() {
    let hosts = "127.0.0.1 localhost\n192.0.2.7\tapi.example API # not-this\n::5 api\nnonsense api\n\n#8.8.8.8 api";
    assert_eq!(listed(hosts, "api"), [ip("192.0.2.7"), ip("::5")]);
    assert_eq!(listed(hosts, "Api.Example."), [ip("192.0.2.7")]);
    assert_eq!(listed(hosts, "not-this"), [] as [IpAddr; 0]);
}

#[test]
fn any_hosts_file_can_be_read() {
    let good = "192.0.2.7\tapi.example api # c\n::5 api\n";
    for end in 0..good.len() {
        listed(&String::from_utf8_lossy(&good.as_bytes()[..end]), "api");
        for byte in 0..=255 {
            let mut bytes = good.as_bytes().to_vec();
            bytes[end] = byte;
            listed(&String::from_utf8_lossy(&bytes), "api");
        }
    }
}

#[tokio::test]
async fn localhost_needs_no_file_and_no_server() {
    let folder = Folder::new();
    for name in ["localhost", "LOCALHOST.", "api.localhost"] {
        assert_eq!(
            folder.names(1).look_up(name).await.unwrap(),
            [ip("127.0.0.1"), ip("::1")]
        );
    }
    folder.write("hosts", "127.0.0.9 localhost");
    assert_eq!(
        folder.names(1).look_up("localhost").await.unwrap(),
        [ip("127.0.0.9")]
    );
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_changes_count() {
    let folder = Folder::new();
    let names = folder.names(1);
    folder.write("hosts", "192.0.2.8 api.example");
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.8")]
    );
    folder.write("hosts", "192.0.2.9 api.example");
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.9")]
    );
}

#[tokio::test]
async fn without_name_servers_nobody_is_asked() {
    let folder = Folder::new();
    let path = folder.0.join("resolv.conf");
    let missing = folder
        .names(1)
        .look_up("api.example")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with(&format!("no name server: {}: No such file", path.display())),
        "{missing}"
    );
    folder.write("resolv.conf", "# generated\nsearch example\n");
    let empty = folder
        .names(1)
        .look_up("api.example")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        empty.starts_with(&format!("no name server: {}: ", path.display())),
        "{empty}"
    );
}

#[tokio::test]
async fn a_single_label_is_looked_up_in_the_search_domains() {
    let (port, asked, _) = two_servers("api.corp.example.");
    let folder = Folder::new();
    folder.write(
        "resolv.conf",
        "search other.example corp.example\nnameserver 127.0.0.1\n",
    );
    assert_eq!(
        folder.names(port).look_up("api").await.unwrap(),
        [ip("192.0.2.1")]
    );
    let asked: Vec<String> = asked.try_iter().collect();
    assert!(
        asked.contains(&"api.other.example. A".to_owned()),
        "{asked:?}"
    );
    assert!(
        asked.contains(&"api.corp.example. A".to_owned()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time() {
    let (port, asked, _) = two_servers("api.example.");
    let folder = Folder::new();
    folder.write("resolv.conf", "nameserver 127.0.0.1\n");
    let names = folder.names(port);
    for _ in 0..3 {
        assert_eq!(
            names.look_up("api.example").await.unwrap(),
            [ip("192.0.2.1")]
        );
    }
    assert_eq!(
        asked
            .try_iter()
            .filter(|question| question == "api.example. A")
            .count(),
        1
    );
}

#[tokio::test]
async fn an_unknown_name_is_called_unknown() {
    let (port, _, _) = two_servers("api.example.");
    let folder = Folder::new();
    folder.write("resolv.conf", "nameserver 127.0.0.1\n");
    let error = folder
        .names(port)
        .look_up("nobody.example")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "name not found: nobody.example");
}

#[tokio::test]
async fn a_rewritten_resolv_conf_counts_at_once_and_a_missing_one_changes_nothing() {
    let (port, _, _) = two_servers("api.example.");
    let folder = Folder::new();
    let names = folder.names(port);
    folder.write("resolv.conf", "nameserver 127.0.0.1\n");
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.1")]
    );
    folder.write("resolv.conf", "nameserver 127.0.0.2\n");
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.2")]
    );
    fs::remove_file(folder.0.join("resolv.conf")).unwrap();
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.2")]
    );
    folder.write("resolv.conf", "");
    assert_eq!(
        names.look_up("api.example").await.unwrap(),
        [ip("192.0.2.2")]
    );
}
