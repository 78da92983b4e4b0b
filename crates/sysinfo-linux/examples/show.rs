//! Prints all that the crate knows of a host: `cargo run --example show -- /host`.

#![allow(clippy::print_stdout, reason = "that is what the example is for")]

use std::time::Duration;

use sysinfo_linux::{Host, Root};

fn main() {
    let rootfs = std::env::args().nth(1).unwrap_or_else(|| "/".to_owned());
    let mut host = Host::new(Root::below(rootfs));
    println!("hostname        {:?}", host.hostname());
    println!("os              {:?}", host.os());
    println!("kernel          {:?}", host.kernel());
    println!("architecture    {:?}", host.architecture());
    println!("machine id      {:?}", host.machine_id());
    println!("virtualization  {}", host.virtualization().as_str());
    println!("cpu             {:#?}", host.cpu());
    println!("cpu count       {:?}", host.cpu_count());
    println!("cpu limit       {:?}", host.cpu_limit());
    println!("memory          {:#?}", host.memory());
    println!("memory limit    {:?}", host.memory_limit());
    println!("load            {:?}", host.load());
    println!("uptime          {:?}", host.uptime());
    println!("init age        {:?}", host.init_age());
    println!("boot time       {:?}", host.boot_time());
    println!("root disk       {:?}", host.root_disk());
    println!(
        "disks           {:#?}",
        host.disks_within(Duration::from_secs(1))
    );
    println!("disk i/o        {:#?}", host.disk_io());
    println!("networks        {:#?}", host.networks());
    println!("processes       {:?}", host.processes());
    println!("pressure        {:#?}", host.pressure());
    println!("open files      {:?}", host.open_files());
    println!("vmstat          {:?}", host.vmstat());
}
