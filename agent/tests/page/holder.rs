//! Processes of any name that hold ports: this test binary, started once more.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

/// Set for the process that is to hold ports: `tcp` or `udp`, the ports, and its name, each on a line.
const WISH: &str = "PAGE_TEST_HOLD";

/// A process of this name that listens on ports until it is dropped.
pub(crate) struct Holder {
    child: Child,
    pub(crate) ports: Vec<u16>,
}

impl Holder {
    /// `ports` are tried in turn; those that others have are left out.
    pub(crate) fn start(name: &str, ports: impl IntoIterator<Item = u16>) -> Self {
        Self::over("tcp", name, ports)
    }

    pub(crate) fn over(protocol: &str, name: &str, ports: impl IntoIterator<Item = u16>) -> Self {
        let list: Vec<String> = ports.into_iter().map(|port| port.to_string()).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "holder::holds_ports_for_another_test",
                "--nocapture",
            ])
            .env(WISH, format!("{protocol}\n{}\n{name}", list.join(",")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let held = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("holding ")?.1.to_owned()))
            .expect("the process says what it holds");
        let ports = held
            .split(',')
            .filter_map(|port| port.parse().ok())
            .collect();
        Self { child, ports }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does nothing, unless it is started by [`Holder`].
#[test]
fn holds_ports_for_another_test() {
    let Ok(wish) = std::env::var(WISH) else {
        return;
    };
    let [protocol, ports, name] = wish.splitn(3, '\n').collect::<Vec<_>>()[..] else {
        panic!("{wish:?} is no wish");
    };
    // The name of the first thread is that of the process.
    std::fs::write(format!("/proc/{}/comm", std::process::id()), name).unwrap();
    let wanted = ports.split(',').filter_map(|port| port.parse::<u16>().ok());
    let (mut listening, mut bound, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for port in wanted {
        let place = (Ipv4Addr::UNSPECIFIED, port);
        let held = match protocol {
            "udp" => UdpSocket::bind(place).map(|socket| bound.push(socket)),
            _ => TcpListener::bind(place).map(|socket| listening.push(socket)),
        };
        list.extend(held.map(|()| port.to_string()));
    }
    println!("holding {}", list.join(","));
    // Ends with the test that started it, whatever becomes of that.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
