//! The kernel of this machine: its own network, and one made for the test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ipdiscover::{Limits, Patterns, local, reportable};

mod ip_json;
use ip_json::check_against_ip;

fn ip_addr() -> Option<Vec<u8>> {
    let output = Command::new("ip").args(["-j", "addr"]).output().ok()?;
    (output.status.success() && output.stdout.starts_with(b"[")).then_some(output.stdout)
}

#[test]
fn this_machine_has_the_addresses_that_ip_shows() {
    let Some(before) = ip_addr() else {
        eprintln!("skipped: no iproute2 that speaks JSON");
        return;
    };
    let local = local(
        Path::new("/proc/net"),
        &Patterns::default(),
        Limits::default(),
    );
    if ip_addr().as_deref() != Some(&before) {
        eprintln!("skipped: the addresses changed meanwhile");
        return;
    }
    assert!(local.problems.is_empty(), "{:?}", local.problems);
    check_against_ip("this machine", &local.addresses, &before);
}

/// Makes a host with a card, a bridge of Docker and one of its own, says what `ip`
/// thinks of it, and stays until its input ends.
const HOST: &str = "
set -e
ip link set lo up
ip link add eth0 type veth peer name far0
ip addr add 172.20.1.9/24 dev eth0
ip -6 addr add fd00:20::9/64 dev eth0 nodad
ip link set far0 up
ip link set eth0 up
ip route add default via 172.20.1.1
for bridge in docker0:172.17.0.1 br-0123456789ab:172.18.0.1 br0:192.168.7.1; do
    ip link add ${bridge%%:*} type bridge
    ip addr add ${bridge#*:}/16 dev ${bridge%%:*}
    ip link set ${bridge%%:*} up
done
while ip -6 addr show scope link tentative up | grep -q eth0; do sleep 0.1; done
ip -j addr | tr -d '\\n'
echo
cat
";

struct Namespace(Child);

impl Namespace {
    /// A user and network namespace of its own, with what `ip` says of it.
    fn start() -> Result<(Self, Vec<u8>), String> {
        let child = Command::new("unshare")
            .args(["-rn", "timeout", "60", "sh", "-c", HOST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut namespace = Self(child.map_err(|error| format!("unshare: {error}"))?);
        let mut said = Vec::new();
        let stdout = namespace.0.stdout.take().unwrap();
        BufReader::new(stdout).read_until(b'\n', &mut said).unwrap();
        if said.ends_with(b"\n") {
            return Ok((namespace, said));
        }
        let mut why = String::new();
        namespace
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut why)
            .unwrap();
        Err(format!("no network namespace can be made: {}", why.trim()))
    }

    fn net_dir(&self) -> PathBuf {
        format!("/proc/{}/net", self.0.id()).into()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(
            self.0
                .stdin
                .take()
                .map(|mut input| input.write_all(b"end\n")),
        );
        let _ = self.0.wait();
    }
}

#[test]
fn another_namespace_is_read_through_a_process_inside() {
    let (namespace, shown) = match Namespace::start() {
        Ok(started) => started,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let local = local(
        &namespace.net_dir(),
        &Patterns::default(),
        Limits::default(),
    );
    assert!(local.problems.is_empty(), "{:?}", local.problems);
    check_against_ip("namespace", &local.addresses, &shown);
    let reported: Vec<_> = reportable(&local.addresses)
        .into_iter()
        .map(|address| format!("{} {}", address.ip, address.interface.unwrap_or_default()))
        .collect();
    assert_eq!(
        reported,
        ["172.20.1.9 eth0", "192.168.7.1 br0", "fd00:20::9 eth0"]
    );
}
