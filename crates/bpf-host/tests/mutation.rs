//! Objects with one byte changed go through the loader and the kernel: some load, none does harm.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeMap;

use bpf_host::{Artifact, Target};

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, artifact, object};

/// Every 401st byte by default; `BPF_HOST_TEST_MUTATION_STEP=1` changes each of them.
#[test]
fn changed_objects_never_stop_the_process() {
    let Some(ground) = Ground::without_network() else {
        return;
    };
    let host = ground.host();
    let step =
        std::env::var("BPF_HOST_TEST_MUTATION_STEP").map_or(401, |step| step.parse().unwrap());
    let (mut loaded, mut refused) = (0, 0);
    let lo = || "lo".to_owned();
    for name in ["guard", "typed", "burn"] {
        let whole = object(name);
        let targets: BTreeMap<_, _> = [(
            name.to_owned(),
            vec![Target::Xdp {
                interface: lo(),
                mode: bpf_host::XdpMode::Any,
            }],
        )]
        .into();
        for at in (0..whole.len()).step_by(step) {
            let mut changed = whole.clone();
            changed[at] ^= [0x01, 0x80, 0xff][at % 3];
            match host.rehearse(&Artifact {
                targets: targets.clone(),
                ..artifact("x", "v1", &changed)
            }) {
                Ok(()) => loaded += 1,
                Err(_) => refused += 1,
            }
        }
    }
    eprintln!("{loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}
