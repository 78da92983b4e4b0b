//! What comes from a URL: over https alone, within limits, checked.

use std::fs;
use std::process::Command;

use crate::clean_root::checksum;
use crate::machine::{Ended, Machine, ended, install_from_outside};
use crate::parts::Played;
use crate::tls_front::{Authority, Front};

struct Release {
    machine: Machine,
    front: Front,
    _server: Played,
}

impl Release {
    /// Serves the program and what vouches for it, and paths that lead elsewhere.
    fn start() -> Option<Self> {
        let machine = Machine::at_rest()?;
        if Command::new("curl").arg("--version").output().is_err() {
            println!("skipped: needs curl");
            return None;
        }
        let agent = fs::read(machine.root.join("root/agent")).unwrap();
        let sum = checksum(&machine.root.join("root/agent"));
        let server = Played::start(move |request| {
            let path = request.split(' ').nth(1)?;
            Some(match path {
                "/agent" => answer("200 OK", &agent),
                "/agent.sha256" | "/plain.sha256" => answer("200 OK", sum.as_bytes()),
                "/moved" => leads_to("agent"),
                "/moved.sha256" => leads_to("agent.sha256"),
                "/plain" => leads_to("http://127.0.0.1:9/agent"),
                "/long" => answer("200 OK", &agent),
                "/long.sha256" => answer("200 OK", &[b'a'; 100_000]),
                _ => answer("404 Not Found", b"no"),
            })
        });
        let authority = Authority::new("a release");
        let front = Front::start(&authority, None, server.port);
        fs::write(machine.root.join("root/ca.pem"), authority.pem()).unwrap();
        Some(Self {
            machine,
            front,
            _server: server,
        })
    }

    fn install(&self, path: &str, more: &[&str]) -> Ended {
        let root = self.machine.root.to_str().unwrap();
        let url = format!("https://127.0.0.1:{}{path}", self.front.port);
        let mut words = vec!["--root", root, "--init", "systemd", "--url", &url];
        words.extend(more);
        let mut command = install_from_outside(&words);
        ended(command.env("CURL_CA_BUNDLE", self.machine.root.join("root/ca.pem")))
    }
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn leads_to(place: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn a_release_is_downloaded_over_https_alone_within_limits() {
    let Some(release) = Release::start() else {
        return;
    };
    let before = release.machine.listing();
    for (path, more, why) in [
        ("/agent", &[][..], "no key to check the signature with"),
        ("/agent", &["--key", "RWx"], "/agent.minisig"),
        (
            "/nowhere",
            &["--insecure-skip-signature"],
            "could not download",
        ),
        (
            "/plain",
            &["--insecure-skip-signature"],
            "could not download",
        ),
        ("/long", &["--insecure-skip-signature"], "/long.sha256"),
    ] {
        release.install(path, more).refused(1, why);
        assert_eq!(release.machine.listing(), before, "after {path} {more:?}");
    }
    let said = release
        .install("/moved", &["--insecure-skip-signature"])
        .well();
    assert!(
        said.contains("the signature is not checked, as asked"),
        "{said}"
    );
    assert!(release.machine.has("/usr/local/bin/sigma-agent"));
}
