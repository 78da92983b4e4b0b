//! Whether signed programs could be had, trusted, kept and run here.

use std::path::Path;
use std::time::SystemTime;

use bpf_artifact::Policy;
use bpf_artifact::http::Listed;

use super::Finding;
use crate::cli::{Programs, Vault};
use crate::place::Place;
use crate::programs;

const REGISTRY: &str = "registry";
const TRUST: &str = "trust";
const FOLDER: &str = "folder";
const KERNEL: &str = "kernel";

pub(super) async fn look(config: &Programs) -> Vec<Finding> {
    let mut findings = vec![registry(config).await];
    if config.policy == Policy::InsecureAccept {
        return findings;
    }
    if !config.public_keys.is_empty() {
        let count = config.public_keys.len();
        findings.push(Finding::well(TRUST, format!("{count} keys are given")));
    }
    match &config.vault {
        Some(vault) => findings.extend(keys(vault, config.plain_http).await),
        None if config.public_keys.is_empty() => findings.push(Finding::broken(
            TRUST,
            "no key is trusted, so nothing will be loaded",
            "give --public-key, or name keys of Vault by --vault-key or --vault-kv-path",
        )),
        None => {}
    }
    findings
}

async fn registry(config: &Programs) -> Finding {
    const ADVICE: &str =
        "check the registry's URL, the network and the registry itself; the agent goes on trying";
    let registry = match programs::registry(config) {
        Ok(registry) => registry,
        Err(why) => return Finding::broken(REGISTRY, why, "mend the file, or name another one"),
    };
    if let Err(error) = registry.health().await {
        return Finding::broken(REGISTRY, error.to_string(), ADVICE);
    }
    match registry.list(&config.host_id, None).await {
        Ok(Listed::Now { listing, .. }) if listing.is_empty() => Finding::look(
            REGISTRY,
            format!("answers, and assigns nothing to {}", config.host_id),
            "if that is not right, check --host-id",
        ),
        Ok(Listed::Now { listing, .. }) => Finding::well(
            REGISTRY,
            format!(
                "assigns {} artifacts to {}",
                listing.artifacts.len(),
                config.host_id
            ),
        ),
        Ok(_) => Finding::well(REGISTRY, "answers"),
        Err(error) => Finding::broken(REGISTRY, error.to_string(), ADVICE),
    }
}

async fn keys(vault: &Vault, plain_http: bool) -> Vec<Finding> {
    const ADVICE: &str =
        "check Vault's URL, the token and its policy: `read` on the key or secret is enough";
    let server = match programs::vault(vault, plain_http) {
        Ok(server) => server,
        Err(why) => return vec![Finding::broken(TRUST, why, ADVICE)],
    };
    let mut findings = Vec::new();
    for place in &vault.keys {
        findings.push(match server.keys(place, SystemTime::now()).await {
            Ok(keys) => {
                let count = keys.versions.len() + keys.unversioned.len();
                Finding::well(
                    TRUST,
                    format!("Vault has {count} keys in {place} that count"),
                )
            }
            Err(error) => Finding::broken(TRUST, format!("{place}: {error}"), ADVICE),
        });
    }
    findings
}

/// What of this host programs need. Blocks.
pub(super) fn look_here(config: &Programs, place: &Place) -> Vec<Finding> {
    let mut findings: Vec<Finding> = [&config.state, &config.cache]
        .into_iter()
        .map(|folder| usable(folder))
        .collect();
    findings.push(kernel(place));
    findings
}

/// One that is not there yet is not made: it would belong to whoever runs this check.
fn usable(folder: &Path) -> Finding {
    if !folder.exists() {
        return Finding::well(FOLDER, format!("{} will be made", folder.display()));
    }
    match programs::try_folder(folder) {
        Ok(()) => Finding::well(FOLDER, format!("{} can be used", folder.display())),
        Err(why) => Finding::broken(
            FOLDER,
            why,
            "it has to be a folder of the agent's user alone",
        ),
    }
}

fn kernel(place: &Place) -> Finding {
    let kinds = match programs::kinds_here(place.proc(), place.sys()) {
        Ok(kinds) => kinds,
        Err(why) => return Finding::broken(KERNEL, why, "eBPF programs need a Linux with sysfs"),
    };
    let named = |works: bool| -> Vec<&str> {
        let of = kinds
            .iter()
            .filter(|(_, verdict, _)| (*verdict == "works") == works);
        of.map(|(kind, ..)| *kind).collect()
    };
    let (works, refused) = (named(true), named(false));
    let why = kinds.iter().find_map(|(_, _, reason)| reason.clone());
    match (works.is_empty(), refused.is_empty()) {
        (true, _) => Finding::broken(
            KERNEL,
            format!("takes no program: {}", why.unwrap_or_default()),
            "run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
        ),
        (false, true) => Finding::well(KERNEL, "takes programs of every kind"),
        (false, false) => Finding::look(
            KERNEL,
            format!("takes {}; not {}", works.join(", "), refused.join(", ")),
            "`programs doctor` says why, kind by kind",
        ),
    }
}
