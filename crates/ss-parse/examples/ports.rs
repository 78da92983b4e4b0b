//! Lists port, protocol and owners: `ss -tulnpH | cargo run --example ports`.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut output = Vec::new();
    io::stdin().take(64 << 20).read_to_end(&mut output)?;
    let parsed = ss_parse::parse(&output);
    let mut out = io::stdout().lock();
    for socket in &parsed.sockets {
        let Some(port) = socket.local.port_number() else {
            continue;
        };
        let protocol = socket.protocol.map_or("?", ss_parse::Protocol::as_str);
        let owners = socket.processes.iter();
        let owners: Vec<String> = owners
            .map(|p| format!("{}={}", p.pid, p.name.escape_ascii()))
            .collect();
        let doubt = if socket.ambiguous { " (ambiguous)" } else { "" };
        writeln!(out, "{port}\t{protocol}\t{}{doubt}", owners.join(" "))?;
    }
    for error in &parsed.errors {
        writeln!(io::stderr(), "{error}")?;
    }
    Ok(())
}
