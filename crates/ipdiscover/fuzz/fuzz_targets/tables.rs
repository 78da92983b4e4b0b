//! Four tables, parted by NUL: `fib_trie`, `route`, `if_inet6`, `ipv6_route`.
//!
//! Seeds from the captured hosts:
//! `for h in ../tests/fixtures/*/; do (cd $h; for t in fib_trie route if_inet6 ipv6_route; do
//! cat $t; printf '\0'; done) > corpus/tables/$(basename $h); done`

#![no_main]

use ipdiscover::{Patterns, Tables, parse, reportable};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let tables = Tables {
        fib_trie: next(),
        route: next(),
        if_inet6: next(),
        ipv6_route: next(),
    };
    let local = parse(tables, &Patterns::default());
    let reported = reportable(&local.addresses);
    assert!(reported.len() <= local.addresses.len());
    assert!(local.problems.len() <= 4);
    for problem in &local.problems {
        assert!(problem.to_string().len() < 1000);
    }
});
