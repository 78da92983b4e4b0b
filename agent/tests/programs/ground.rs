//! Ground to test on: a network, mounts and a peer of their own, gone with the thread that made them.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{fs, thread};

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

use crate::parts::folder;

pub(crate) const HERE: &str = "10.77.0.1";
pub(crate) const THERE: &str = "10.77.0.2";

/// A ready object of those that the loader is tested with.
pub(crate) fn object(name: &str) -> Vec<u8> {
    let objects =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/bpf-host/tests/bpf/objects");
    fs::read(objects.join(format!("{name}.o"))).unwrap()
}

/// A folder with a bpffs, the thread's own network, and a peer in another one. `None` (said loudly) without root and a willing kernel.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    peer: Peer,
}

/// A thread in another network, at the other end of a cable.
struct Peer {
    /// Connecting to it comes back when all that was sent before has arrived.
    fence: TcpListener,
    work: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

fn leave(flags: UnshareFlags) {
    // SAFETY: only namespaces and the file system context of this thread change; descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

impl Ground {
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            eprintln!("skipped: needs the command ip (Debian: iproute2)");
            return None;
        }
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            eprintln!("skipped: this kernel tells no types (BTF)");
            return None;
        }
        leave(UnshareFlags::FS | UnshareFlags::NEWNS);
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let folder = folder("programs");
        let bpffs = folder.join("bpf");
        fs::create_dir(&bpffs).unwrap();
        rustix::mount::mount("bpf", &bpffs, "bpf", MountFlags::empty(), None).unwrap();
        // Where it is mounted already, this one hides it from this thread alone.
        let tracing = rustix::mount::mount(
            "tracefs",
            "/sys/kernel/tracing",
            "tracefs",
            MountFlags::empty(),
            None,
        );
        if let Err(why) = tracing {
            eprintln!("skipped: no tracepoints: {why}");
        }
        leave(UnshareFlags::NEWNET);
        let peer = Peer::new();
        Some(Self { folder, peer })
    }

    /// What stands in the folder of pins.
    pub(crate) fn pins(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join("bpf/pins")) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Whether an XDP program is on the interface of this side.
    pub(crate) fn has_xdp(&self) -> bool {
        let output = Command::new("ip")
            .args(["-d", "link", "show", "dev", "here"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).contains("prog/xdp")
    }

    /// Sends so many datagrams to a port here, and waits until they have arrived.
    pub(crate) fn send(&self, port: u16, count: usize) {
        let fence = self.peer.fence.local_addr().unwrap();
        self.peer.run(move || {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            for number in 0..count {
                socket.send_to(&number.to_ne_bytes(), (HERE, port)).unwrap();
            }
            TcpStream::connect(fence).unwrap();
        });
        self.peer.fence.accept().unwrap();
    }

    /// Sends datagrams to a port here without end, until the flood is dropped.
    pub(crate) fn flood(&self, port: u16) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = Flood(Arc::clone(&stop));
        self.beside(move || {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let _ = socket.send_to(&[0; 8], (HERE, port));
            }
        });
        flood
    }

    /// Does something in the other network, beside the test.
    pub(crate) fn beside(&self, job: impl FnOnce() + Send + 'static) {
        self.peer
            .work
            .as_ref()
            .unwrap()
            .send(Box::new(job))
            .unwrap();
    }
}

/// Datagrams that keep coming.
pub(crate) struct Flood(Arc<AtomicBool>);

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let bpffs = self.folder.join("bpf");
        let _ = rustix::mount::unmount(&bpffs, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Peer {
    fn new() -> Self {
        let (work, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            leave(UnshareFlags::NEWNET);
            ready.send(rustix::thread::gettid()).unwrap();
            for job in jobs {
                job();
            }
        });
        let tid = is_ready.recv().unwrap().as_raw_nonzero();
        ip("link set lo up");
        ip(&format!(
            "link add here type veth peer name there netns {tid}"
        ));
        ip(&format!("addr add {HERE}/24 dev here"));
        ip("link set here up");
        let peer = Self {
            fence: TcpListener::bind((HERE, 0)).unwrap(),
            work: Some(work),
            thread: Some(thread),
        };
        peer.run(|| {
            ip(&format!("addr add {THERE}/24 dev there"));
            ip("link set there up");
            ip("link set lo up");
        });
        peer
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, answer) = mpsc::channel();
        let job = Box::new(move || drop(result.send(job())));
        self.work.as_ref().unwrap().send(job).unwrap();
        answer.recv().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket here, and how many datagrams are waiting in it.
pub(crate) struct Mailbox(UdpSocket);

impl Mailbox {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Takes everything out: what was sent over a veth before is there already.
    pub(crate) fn count(&self) -> usize {
        std::iter::from_fn(|| self.0.recv_from(&mut [0; 64]).ok()).count()
    }
}
