//! A program that cuts off the agent's own registry is undone by the agent.

use std::path::Path;

use bpf_artifact::{Attach, Direction, Target};
use serde_json::json;

use crate::ground::Ground;
use crate::parts::wait_for;
use crate::stand_ins::{Registry, Signer, agent, archive, goes, manifest, on_here, page};

const CGROUPS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

#[test]
fn a_program_that_cuts_off_the_registry_is_undone() {
    let Some(ground) = Ground::new() else { return };
    let root = CGROUPS
        .iter()
        .map(Path::new)
        .find(|root| root.join("cgroup.controllers").exists());
    let Some(root) = root else {
        return eprintln!("skipped: there is no cgroup2 here");
    };
    let name = format!("sigma-cut-off-{}", std::process::id());
    let cgroup = root.join(&name);
    std::fs::create_dir(&cgroup).unwrap();
    let (registry, signer) = (Registry::start(), Signer::new());
    let agent = agent(
        &ground,
        &registry.url(),
        &["--public-key", &signer.public()],
    );
    std::fs::write(cgroup.join("cgroup.procs"), agent.child.id().to_string()).unwrap();
    registry.polled(2);

    let archive = archive("family");
    let mut manifest = manifest(&archive, "family", 1);
    let in_cgroup = |program: &str| Attach {
        program: program.to_owned(),
        to: Target::Cgroup { path: name.clone() },
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
    registry.put("cutter", &archive, Some(&signer.sign(&manifest)));
    agent.logged("program loaded");
    let why = agent.logged("has cut off the agent");
    println!("{why}");
    goes(&agent, "cutter");
    // Back again.
    registry.polled(2);
    let history = page(&agent, "/rollbacks")["rollbacks"].to_string();
    assert!(history.contains("connectivity guard"), "{history}");
    let page = agent.get("/metrics?format=prometheus").body;
    assert!(
        page.contains("sigma_programs_cut_offs_total{")
            && !page.contains("sigma_programs_running{hostname=\"x\"} 1")
    );
    drop(agent);
    wait_for("the end of the cgroup", || {
        std::fs::remove_dir(&cgroup).ok()
    });
}
