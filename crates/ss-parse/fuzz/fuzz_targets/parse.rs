//! Any bytes: no panic, no pid whose digits are not in the text, no more rows and errors than lines.
//!
//! `cargo fuzz run parse ../tests/captures` starts from the captured files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|output: &[u8]| {
    let parsed = ss_parse::parse(output);
    for process in parsed.sockets.iter().flat_map(|socket| &socket.processes) {
        let digits = process.pid.to_string().into_bytes();
        assert!(process.pid != 0 && output.windows(digits.len()).any(|window| window == digits));
    }
    let lines = output.split(|byte| *byte == b'\n').count();
    assert!(parsed.sockets.len() + parsed.skipped <= lines);
    assert!(
        parsed
            .errors
            .iter()
            .all(|error| (1..=lines).contains(&error.line))
    );
    // The same bytes behind a row that was read must not change that row's owners.
    let row = b"tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=812,fd=3))\n";
    let behind = ss_parse::parse(&[&row[..], output].concat());
    assert!(
        behind
            .sockets
            .first()
            .is_some_and(|socket| socket.processes.len() == 1)
    );
    assert_eq!(behind.sockets.len(), parsed.sockets.len() + 1);
});
