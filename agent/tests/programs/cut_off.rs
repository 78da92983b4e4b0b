//! A program that cuts off the agent's own registry is undone by the agent.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use bpf_artifact::{Attach, Direction, Target};
use serde_json::json;

use crate::ground::Ground;
use crate::parts::{Agent, wait_for};
use crate::stand_ins::{
    Registry, Signer, agent, agent_command, archive, becomes, goes, manifest, on_here, page,
};

const CGROUPS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// A group of processes of its own, and a program in the registry that forbids them to connect to this machine.
struct Trap {
    ground: Ground,
    cgroup: PathBuf,
    registry: Registry,
    signer: Signer,
}

impl Trap {
    /// `None` (said loudly) where there is no ground for it.
    fn new(name: &str) -> Option<Self> {
        let ground = Ground::new()?;
        let root = CGROUPS
            .iter()
            .map(Path::new)
            .find(|root| root.join("cgroup.controllers").exists());
        let Some(root) = root else {
            eprintln!("skipped: there is no cgroup2 here");
            return None;
        };
        let cgroup = root.join(format!("sigma-cut-off-{}-{name}", std::process::id()));
        std::fs::create_dir(&cgroup).unwrap();
        Some(Self {
            ground,
            cgroup,
            registry: Registry::start(),
            signer: Signer::new(),
        })
    }

    /// An agent that is in the group before it does anything.
    fn agent(&self, registry: &str) -> Agent {
        let more = ["--public-key", &self.signer.public()];
        let (mut command, port) = agent_command(&self.ground, registry, &more);
        let group = File::options()
            .write(true)
            .open(self.cgroup.join("cgroup.procs"))
            .unwrap();
        // SAFETY: it makes one write to an open file; 0 stands for the process that writes.
        unsafe { command.pre_exec(move || (&group).write_all(b"0")) };
        Agent::spawn(&mut command, port)
    }

    fn set(&self) {
        let archive = archive("family");
        let mut manifest = manifest(&archive, "family", 1);
        let name = self.cgroup.file_name().unwrap().to_str().unwrap();
        let in_cgroup = |program: &str| Attach {
            program: program.to_owned(),
            to: Target::Cgroup {
                path: name.to_owned(),
            },
        };
        let on_wire = |program: &str, direction| Attach {
            program: program.to_owned(),
            to: Target::Interface {
                name: "here".to_owned(),
                direction: Some(direction),
                mode: None,
            },
        };
        manifest.attach = vec![
            on_here("at_arrival"),
            on_wire("coming", Direction::Ingress),
            on_wire("going", Direction::Egress),
            on_wire("either", Direction::Ingress),
            in_cgroup("leaving"),
            in_cgroup("connecting"),
            in_cgroup("sending"),
        ];
        manifest.parameters = json!({ "forbidden_address": "127.0.0.1" })
            .as_object()
            .cloned();
        let signed = self.signer.sign(&manifest);
        self.registry.put("cutter", &archive, Some(&signed));
    }

    /// Sets the trap for an agent that is outside of it and keeps it in its cache.
    fn set_in_cache(&self) {
        self.set();
        let more = ["--public-key", &self.signer.public()];
        let outside = agent(&self.ground, &self.registry.url(), &more);
        becomes(&outside, "cutter", "running");
        self.registry.polled(2);
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        wait_for("the end of the cgroup", || {
            std::fs::remove_dir(&self.cgroup).ok()
        });
    }
}

#[test]
fn a_program_that_cuts_off_the_registry_is_undone() {
    let Some(trap) = Trap::new("listed") else {
        return;
    };
    let agent = trap.agent(&trap.registry.url());
    trap.registry.polled(2);
    trap.set();
    agent.logged("program loaded");
    let why = agent.logged("has cut off the agent");
    println!("{why}");
    goes(&agent, "cutter");
    // Back again.
    trap.registry.polled(2);
    let history = page(&agent, "/rollbacks")["rollbacks"].to_string();
    assert!(history.contains("connectivity guard"), "{history}");
    let page = agent.get("/metrics?format=prometheus").body;
    assert!(
        page.contains("sigma_programs_cut_offs_total{")
            && !page.contains("sigma_programs_running{hostname=\"x\"} 1")
    );
}

#[test]
fn one_that_comes_from_the_cache_at_a_start_is_undone_too() {
    let Some(trap) = Trap::new("cached") else {
        return;
    };
    trap.set_in_cache();
    let agent = trap.agent(&trap.registry.url());
    agent.logged("program loaded");
    let why = agent.logged("has cut off the agent");
    assert!(why.to_string().contains(&trap.registry.url()), "{why}");
    goes(&agent, "cutter");
    trap.registry.polled(2);
}

#[test]
fn without_a_registry_the_agents_own_port_tells_that_it_is_cut_off() {
    let Some(trap) = Trap::new("alone") else {
        return;
    };
    trap.set_in_cache();
    // Nobody listens there.
    let agent = trap.agent("http://127.0.0.1:1");
    agent.logged("program loaded");
    let why = agent.logged("has cut off the agent");
    assert!(why.to_string().contains("own port"), "{why}");
    goes(&agent, "cutter");
}
