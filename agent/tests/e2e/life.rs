//! Starting, stopping, being watched: what the process does to the host it runs on.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::parts::{Agent, Api, PATIENCE, binary, connect, folder, free_port, wait_for};
use sigma_lab::Role;

#[test]
fn mistakes_end_with_64_and_nothing_started() {
    let output = binary(&[
        "--config",
        "/dev/null",
        "--interval",
        "0",
        "--api-url",
        "nonsense",
        "--port-scan-range",
        "9-1",
    ])
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("sigma-agent: 3 mistakes in the configuration\n"),
        "{text}"
    );
    let unknown = binary(&["--intervall", "5"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(64));
    let help = binary(&["--help"]).output().unwrap();
    assert!(help.status.success() && help.stderr.is_empty());
}

#[test]
fn both_signals_end_it_well_while_it_waits_and_while_it_serves() {
    for signal in ["TERM", "INT"] {
        let mut agent = Agent::start("http://127.0.0.1:1/api", &[]);
        let mut half_open = connect(agent.port);
        half_open.write_all(b"GET /status HTTP/1.1\r\n").unwrap();
        agent.heartbeat_fails("");
        agent.signal(signal);
        assert_eq!(agent.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn the_service_manager_hears_of_everything() {
    let path = folder("notify").join("socket");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = free_port();
    let mut command = binary(&[
        "--config",
        "/dev/null",
        "--api-url",
        "http://127.0.0.1:1/api",
        "--hostname",
        "e2e-host",
        "--public-ip-lookup",
        "off",
        "--metrics-port",
        &port.to_string(),
    ]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let mut agent = Agent::spawn(&mut command, port);
    let hear = |wanted: &str| {
        wait_for(wanted, || {
            let mut buffer = [0; 512];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length])
                .contains(wanted)
                .then_some(())
        });
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    agent.signal("HUP");
    hear("RELOADING=1\nMONOTONIC_USEC=");
    hear("READY=1");
    agent.signal("TERM");
    hear("STOPPING=1");
    assert!(agent.end().success());
    assert!(
        agent.log().iter().all(serde_json::Value::is_object),
        "under a service manager every line is JSON: {:?}",
        agent.log()
    );
}

#[test]
fn a_taken_port_is_reported_as_no_server_until_it_is_free() {
    let api = Api::start();
    let squatter = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = squatter.local_addr().unwrap().port();
    let agent = Agent::start_on(port, &api.url(), &["--api-key", &api.key(Role::Agent)]);
    let record = api.registered();
    assert_eq!(record["extra"]["system_info"]["metrics_port"], 0);
    agent.logged("or set --metrics-port");
    drop(squatter);
    agent.signal("HUP");
    let told = || {
        api.record()
            .filter(|record| record["extra"]["system_info"]["metrics_port"] == port)
    };
    wait_for("the port to be opened and told", told);
    assert_eq!(agent.get("/healthz").status, 200);
}

#[test]
fn host_files_that_hang_stop_neither_heartbeats_nor_the_end() {
    let root = folder("hung");
    std::fs::create_dir_all(root.join("proc")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    for file in ["proc/meminfo", "etc/machine-id"] {
        let mode = rustix::fs::Mode::from(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join(file),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
    }
    let api = Api::start();
    let mut agent = Agent::start(
        &api.url(),
        &[
            "--api-key",
            &api.key(Role::Agent),
            "--host-root",
            root.to_str().unwrap(),
        ],
    );
    let record = api.registered();
    api.beat_after(&record);
    agent.signal("TERM");
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn a_server_that_is_off_is_reported_as_port_0() {
    let api = Api::start();
    let mut command = binary(&[
        "--config",
        "/dev/null",
        "--api-url",
        &api.url(),
        "--api-key",
        &api.key(Role::Agent),
        "--hostname",
        "e2e-host",
        "--public-ip-lookup",
        "off",
        "--metrics-port",
        "0",
    ]);
    let _agent = Agent::spawn(&mut command, 0);
    assert_eq!(api.registered()["extra"]["system_info"]["metrics_port"], 0);
}

/// What the running agent does, as the kernel sees it.
#[test]
fn it_starts_no_process_writes_no_file_and_listens_on_one_port() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace is not installed");
        return;
    }
    let api = Api::start();
    let trace = folder("trace").join("calls");
    let port = free_port();
    let mut command = Command::new("strace");
    // With -D the agent itself is our child, and strace looks on from beside it.
    command.args(["-D", "-f", "-o", trace.to_str().unwrap(), "-e", "trace=execve,execveat,fork,vfork,clone,clone3,open,openat,creat,mkdir,unlink,rename,listen,bind"]);
    command.arg(env!("CARGO_BIN_EXE_sigma-agent"));
    command.args([
        "--config",
        "/dev/null",
        "--api-url",
        &api.url(),
        "--api-key",
        &api.key(Role::Agent),
        "--hostname",
        "e2e-host",
        "--public-ip-lookup",
        "off",
        "--interval",
        "1",
        "--metrics-port",
        &port.to_string(),
    ]);
    let mut agent = Agent::spawn(&mut command, port);
    let record = api.registered();
    api.beat_after(&record);
    assert_eq!(agent.get("/status").status, 200);
    agent.signal("TERM");
    assert!(agent.end().success());
    let calls = wait_for("the end of the trace", || {
        std::fs::read_to_string(&trace)
            .ok()
            .filter(|calls| calls.contains("+++ exited with 0 +++"))
    });
    let count = |part: &str| calls.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("execve"), 1, "only its own start:\n{calls}");
    assert_eq!(count("fork("), 0, "{calls}");
    let processes: Vec<&str> = calls
        .lines()
        .filter(|line| {
            (line.contains("clone(") || line.contains("clone3(")) && !line.contains("CLONE_THREAD")
        })
        .collect();
    assert!(processes.is_empty(), "threads only: {processes:?}");
    assert_eq!(count("listen("), 1, "{calls}");
    let written: Vec<&str> = calls
        .lines()
        .filter(|line| {
            [
                "O_WRONLY", "O_RDWR", "O_CREAT", "creat(", "mkdir(", "unlink(", "rename(",
            ]
            .iter()
            .any(|flag| line.contains(flag))
                && !line.contains("/dev/null")
        })
        .collect();
    assert!(written.is_empty(), "nothing is written: {written:?}");
}
