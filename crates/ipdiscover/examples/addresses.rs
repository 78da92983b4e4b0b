//! Prints the addresses of this host, or of the namespace whose `net` directory is named.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what the example is for"
)]

use std::path::PathBuf;

use ipdiscover::{Address, Limits, Patterns, local, reportable};

fn main() {
    let net_dir = std::env::args_os()
        .nth(1)
        .map_or_else(|| "/proc/net".into(), PathBuf::from);
    let local = local(&net_dir, &Patterns::default(), Limits::default());
    let reported = reportable(&local.addresses);
    println!(
        "{:<39} {:>6} {:<15} {:<13} remarks",
        "ADDRESS", "PREFIX", "INTERFACE", "SCOPE"
    );
    for address in &local.addresses {
        println!("{}", line(address, &reported));
    }
    for problem in &local.problems {
        eprintln!("failed to {problem}");
    }
}

fn line(address: &Address, reported: &[Address]) -> String {
    let prefix = address
        .prefix_len
        .map_or("?".to_owned(), |len| len.to_string());
    let interface = address.interface.as_deref().unwrap_or("?");
    let place = reported.iter().position(|other| other.ip == address.ip);
    let remarks = [
        place.map(|place| format!("reported #{}", place + 1)),
        (address.default_route == Some(true)).then(|| "default route".to_owned()),
        address
            .container_bridge
            .then(|| "container bridge".to_owned()),
        address.temporary.then(|| "temporary".to_owned()),
        address.deprecated.then(|| "deprecated".to_owned()),
        address.tentative.then(|| "tentative".to_owned()),
        address.duplicate.then(|| "duplicate".to_owned()),
    ];
    let remarks: Vec<_> = remarks.into_iter().flatten().collect();
    let (ip, scope) = (address.ip.to_string(), address.scope);
    format!(
        "{ip:<39} {prefix:>6} {interface:<15} {scope:<13} {}",
        remarks.join(", ")
    )
}
