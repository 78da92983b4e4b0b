//! Private network namespaces and raw sockets for the live tests.

#![allow(dead_code, reason = "each test binary uses another part")]
#![allow(unreachable_pub, reason = "a module of test binaries")]

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use portscan::{Config, PortRanges, Scanner};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, socket_with,
};

pub const PROC: &str = "/proc";

/// Runs `test` in a fresh network namespace with loopback up; says so where that is not allowed.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = std::thread::spawn(move || {
        if let Err(reason) = enter_namespace() {
            println!("skipped: needs a private network namespace: {reason}");
            return;
        }
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Moves the calling thread into a fresh network namespace.
#[allow(unsafe_code, reason = "rustix marks unshare unsafe for other flags")]
pub fn enter_namespace() -> Result<(), String> {
    // SAFETY: a new network namespace takes nothing away from memory or open files.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    loopback_up().map_err(|error| format!("loopback: {error}"))
}

/// `ip link set lo up`, as a message: RTM_NEWLINK (16) for interface 1 with IFF_UP set and changed.
fn loopback_up() -> std::io::Result<()> {
    let fd = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let link = [
        [0, 0, 0, 0],
        1i32.to_ne_bytes(),
        1u32.to_ne_bytes(),
        1u32.to_ne_bytes(),
    ]
    .concat();
    let head = [
        32u32.to_ne_bytes().to_vec(),
        16u16.to_ne_bytes().to_vec(),
        5u16.to_ne_bytes().to_vec(),
    ]
    .concat();
    let message = [head, vec![0; 8], link].concat();
    rustix::net::send(&fd, &message, SendFlags::empty())?;
    let mut answer = [0; 64];
    rustix::net::recv(&fd, &mut answer[..], RecvFlags::empty())?;
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(-error)),
    }
}

pub fn ranges(text: &str) -> PortRanges {
    text.parse().unwrap()
}

pub fn scanner(change: impl FnOnce(&mut Config)) -> Scanner {
    let mut config = Config::new(PROC);
    change(&mut config);
    Scanner::new(config)
}

/// Waits for a condition; a wrong condition fails here and not later.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs as another user, without any capability, in a thread of its own.
pub fn as_user<T: Send + 'static>(uid: u32, run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        change_user(uid).unwrap();
        run()
    });
    thread.join().unwrap()
}

#[allow(unsafe_code, reason = "the wrapper of libc would change all threads")]
fn change_user(uid: u32) -> std::io::Result<()> {
    // SAFETY: the raw call changes the user of this thread only, and touches no memory.
    match unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

pub fn set_sysctl(name: &str, value: &str) {
    std::fs::write(Path::new("/proc/sys/net").join(name), value).unwrap();
}

/// Options that a socket gets before it is bound.
#[derive(Clone, Copy)]
pub enum With {
    ReuseAddr,
    ReusePort,
    V6Only,
    Dual,
    BindAddressNoPort,
    Device(&'static str),
}

impl With {
    fn set(self, fd: &OwnedFd) {
        match self {
            Self::ReuseAddr => set_option(
                fd,
                libc::SOL_SOCKET,
                libc::SO_REUSEADDR,
                &1i32.to_ne_bytes(),
            ),
            Self::ReusePort => set_option(
                fd,
                libc::SOL_SOCKET,
                libc::SO_REUSEPORT,
                &1i32.to_ne_bytes(),
            ),
            Self::V6Only => set_option(
                fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_V6ONLY,
                &1i32.to_ne_bytes(),
            ),
            Self::Dual => set_option(
                fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_V6ONLY,
                &0i32.to_ne_bytes(),
            ),
            Self::BindAddressNoPort => set_option(
                fd,
                libc::IPPROTO_IP,
                libc::IP_BIND_ADDRESS_NO_PORT,
                &1i32.to_ne_bytes(),
            ),
            Self::Device(name) => {
                set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes());
            }
        }
    }
}

#[allow(unsafe_code, reason = "rustix lacks some of these options")]
fn set_option(fd: &OwnedFd, level: i32, name: i32, value: &[u8]) {
    let length = u32::try_from(value.len()).unwrap();
    // SAFETY: the pointer and the length are those of one live slice, which the kernel only reads.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    assert_eq!(
        result,
        0,
        "option {name}: {}",
        std::io::Error::last_os_error()
    );
}

/// Which table of ports a socket belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Mptcp,
    Udp,
    UdpLite,
}

pub fn socket(kind: Kind, v6: bool, with: &[With]) -> OwnedFd {
    try_socket(kind, v6, with).unwrap()
}

pub fn try_socket(kind: Kind, v6: bool, with: &[With]) -> std::io::Result<OwnedFd> {
    let family = if v6 {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let (kind, protocol) = match kind {
        Kind::Tcp => (SocketType::STREAM, ipproto::TCP),
        Kind::Mptcp => (
            SocketType::STREAM,
            Protocol::from_raw(262.try_into().unwrap()),
        ),
        Kind::Udp => (SocketType::DGRAM, ipproto::UDP),
        Kind::UdpLite => (
            SocketType::DGRAM,
            Protocol::from_raw(136.try_into().unwrap()),
        ),
    };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    with.iter().for_each(|option| option.set(&fd));
    Ok(fd)
}

pub fn bound(kind: Kind, ip: &str, port: u16, with: &[With]) -> OwnedFd {
    try_bound(kind, ip, port, with).unwrap_or_else(|error| panic!("bind {ip}:{port}: {error}"))
}

pub fn try_bound(kind: Kind, ip: &str, port: u16, with: &[With]) -> std::io::Result<OwnedFd> {
    let ip: IpAddr = ip.parse().unwrap();
    let fd = try_socket(kind, ip.is_ipv6(), with)?;
    rustix::net::bind(&fd, &SocketAddr::new(ip, port))?;
    Ok(fd)
}

pub fn listening(kind: Kind, ip: &str, port: u16, with: &[With]) -> OwnedFd {
    let fd = bound(kind, ip, port, with);
    rustix::net::listen(&fd, 16).unwrap();
    fd
}

pub fn connect(fd: &OwnedFd, ip: &str, port: u16) {
    rustix::net::connect(fd, &SocketAddr::new(ip.parse().unwrap(), port)).unwrap();
}

pub fn accept(fd: &OwnedFd) -> OwnedFd {
    rustix::net::acceptfrom(fd).unwrap().0
}

pub fn port_of(fd: &OwnedFd) -> u16 {
    SocketAddr::try_from(rustix::net::getsockname(fd).unwrap())
        .unwrap()
        .port()
}

/// Waits for the other end to hang up.
pub fn wait_for_end(fd: &OwnedFd) {
    let (read, _) = rustix::net::recv(fd, &mut [0; 8][..], RecvFlags::empty()).unwrap();
    assert_eq!(read, 0);
}
