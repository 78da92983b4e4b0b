//! One behaviour per test, on the smallest text that shows it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use ss_parse::{Address, ErrorKind, Parsed, Port, Protocol, Socket, State, parse};

const TCP_22: &str = "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=812,fd=3))\n";

fn one(text: &[u8]) -> Socket {
    let mut parsed = parse(text);
    assert_eq!(
        (parsed.errors.len(), parsed.sockets.len()),
        (0, 1),
        "{parsed:?}"
    );
    parsed.sockets.remove(0)
}

fn errors(parsed: &Parsed) -> Vec<(usize, ErrorKind)> {
    parsed
        .errors
        .iter()
        .map(|error| (error.line, error.kind))
        .collect()
}

fn owners(socket: &Socket) -> Vec<(&[u8], u32, u32)> {
    socket
        .processes
        .iter()
        .map(|p| (p.name.as_slice(), p.pid, p.fd))
        .collect()
}

/// Parses `row` with the given list of owners.
fn with_owners(list: &[u8]) -> Parsed {
    parse(&[b"tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* ", list, b"\n"].concat())
}

#[test]
fn nothing_comes_of_nothing() {
    assert_eq!(parse(b""), Parsed::default());
    assert_eq!(parse(b"\n  \r\n\t\n"), Parsed::default());
}

#[test]
fn udp_is_unconn_and_no_less_a_socket() {
    let socket = one(b"udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* users:((\"dns\",pid=7,fd=5))\n");
    assert_eq!(
        (socket.protocol, socket.state),
        (Some(Protocol::Udp), Some(State::Unconnected))
    );
    assert_eq!(socket.local.to_string(), "127.0.0.53%lo:53");
    assert_eq!(owners(&socket), [(&b"dns"[..], 7, 5)]);
}

#[test]
fn headers_are_known_in_any_order_and_glued() {
    for header in [
        "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess",
        "NetidState Recv-Q Send-Q Local Address:Port Peer Address:Port",
        "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process",
        "Recv-Q Send-Q Local Address:Port Peer Address:Port \r",
        "Recv-QSend-Q State Netid Peer Address:Port Local Address:Port",
        "ProcessPeer Address:PortLocal Address:PortState",
        "  Local Address:Port Peer Address:Port",
    ] {
        assert_eq!(
            parse(format!("{header}\n").as_bytes()),
            Parsed::default(),
            "{header}"
        );
    }
    assert_eq!(
        errors(&parse(b"State of the Peer\n")),
        [(1, ErrorKind::Row)]
    );
}

#[test]
fn a_process_named_like_a_header_is_a_process() {
    let socket = one(b"LISTEN 0 0 *:80 *:* users:((\"Address:Port\",pid=9,fd=1))");
    assert_eq!(owners(&socket), [(&b"Address:Port"[..], 9, 1)]);
}

#[test]
fn columns_that_were_not_asked_for_are_none() {
    let socket = one(b"LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n");
    assert_eq!(
        (socket.protocol, socket.recv_q, socket.send_q),
        (None, Some(0), Some(128))
    );
    let socket = one(b"tcp LISTEN 0.0.0.0:22 0.0.0.0:*\n");
    assert_eq!((socket.recv_q, socket.send_q), (None, None));
    let socket = one(b"          0.0.0.0:22 0.0.0.0:*\n");
    assert_eq!(
        (socket.protocol, socket.state, socket.ambiguous),
        (None, None, false)
    );
}

#[test]
fn every_notation_of_an_address_is_understood() {
    for (word, address, interface, port) in [
        ("0.0.0.0:22", "0.0.0.0", None, 22),
        ("127.0.0.53%lo:53", "127.0.0.53", Some("lo"), 53),
        ("[::]:80", "::", None, 80),
        ("[::]%eth0:8083", "::", Some("eth0"), 8083),
        ("[fe80::1]%eth0:546", "fe80::1", Some("eth0"), 546),
        ("[::ffff:127.0.0.1]:8084", "::ffff:127.0.0.1", None, 8084),
        (":::80", "::", None, 80),
        ("::%eth0:8082", "::", Some("eth0"), 8082),
        ("fe80::1%eth0.5:546", "fe80::1", Some("eth0.5"), 546),
        ("2001:db8::1:2:8444", "2001:db8::1:2", None, 8444),
        ("::ffff:127.0.0.1:8084", "::ffff:127.0.0.1", None, 8084),
    ] {
        let local = one(format!("LISTEN 0 0 {word} [::]:*").as_bytes()).local;
        assert_eq!(
            local.address,
            Address::Ip(address.parse().unwrap()),
            "{word}"
        );
        assert_eq!(
            local.interface.as_deref(),
            interface.map(str::as_bytes),
            "{word}"
        );
        assert_eq!(local.port, Port::Number(port), "{word}");
    }
    let local = one(b"LISTEN 0 0 *%eth0:8082 *:*").local;
    assert_eq!(
        (local.address, local.interface, local.port),
        (Address::Any, Some(b"eth0".to_vec()), Port::Number(8082))
    );
}

#[test]
fn what_is_no_address_is_an_error_and_never_port_0() {
    for word in [
        "0.0.0.0:0",
        "0.0.0.0:65536",
        "0.0.0.0:",
        "0.0.0.0:022",
        "0.0.0.0",
        ":22",
        "256.0.0.1:22",
        "[::1:22",
        "::1]:22",
        "[::1]lo:22",
        "0.0.0.0%:22",
        "0.0.0.0:-1",
        "0.0.0.0:12*",
        "[127.0.0.1]:22",
        "localhost:22",
        "%lo:22",
    ] {
        let parsed = parse(format!("tcp LISTEN 0 0 {word} 0.0.0.0:*\n{TCP_22}").as_bytes());
        assert_eq!(
            (errors(&parsed), parsed.sockets.len()),
            (vec![(1, ErrorKind::Row)], 1),
            "{word}"
        );
    }
}

#[test]
fn a_service_is_a_name_and_not_a_number() {
    assert_eq!(
        one(b"LISTEN 0 0 0.0.0.0:http-alt 0.0.0.0:*").local.port,
        Port::Name("http-alt".to_owned())
    );
}

#[test]
fn an_interface_may_hold_any_bytes() {
    let socket = one(b"LISTEN 0 0 0.0.0.0%\xff\"(\x1b:22 0.0.0.0:*");
    assert_eq!(socket.local.interface.as_deref(), Some(&b"\xff\"(\x1b"[..]));
}

#[test]
fn a_name_may_hold_any_bytes_but_its_end_is_found() {
    let names: [&[u8]; 14] = [
        b"\xff\xfe\x80nm",
        b"a\"b",
        b"\"",
        b"\"),(\"x\"",
        b"\",pid=1,fd=3",
        b"a\",pid=1,fd=3",
        b"a\",1,3",
        b"users:((\"x\"",
        b"\n",
        b"a\n*:1 *:* b",
        b"\r\n",
        b"\",pid=1,fd=3)x",
        b"))",
        b"a))b),(\"c\"",
    ];
    for name in names {
        let parsed = with_owners(&[b"users:((\"", name, b"\",pid=77,fd=4))"].concat());
        assert_eq!(errors(&parsed), []);
        assert_eq!(
            owners(&parsed.sockets[0]),
            [(name, 77, 4)],
            "{}",
            name.escape_ascii()
        );
        assert!(!parsed.sockets[0].ambiguous);
    }
}

#[test]
fn a_forged_owner_in_a_name_of_the_old_form_is_a_name() {
    let parsed = parse(b"LISTEN 0 0 *:22 *:* users:((\"a\",1,3\",77,4),(\"b\",78,5))\n");
    assert_eq!(
        owners(&parsed.sockets[0]),
        [(&b"a\",1,3"[..], 77, 4), (&b"b"[..], 78, 5)]
    );
}

#[test]
fn an_end_of_the_list_within_a_name_is_read_from_the_right_and_marked() {
    let parsed = with_owners(b"users:((\"\",pid=1,fd=3)) \",pid=77,fd=4))");
    assert_eq!(
        owners(&parsed.sockets[0]),
        [(&b"\",pid=1,fd=3)) "[..], 77, 4)]
    );
    assert!(parsed.sockets[0].ambiguous);
}

#[test]
fn a_cgroup_that_looks_like_owners_is_no_owner() {
    let parsed = with_owners(b"users:((\"sshd\",pid=812,fd=3)) ino:5 sk:1f cgroup:/a\",pid=1,fd=3)) users:((\"x\",pid=1,fd=1)) <->");
    let socket = &parsed.sockets[0];
    assert_eq!(
        (owners(socket), socket.ambiguous, parsed.errors.len()),
        (vec![(&b"sshd"[..], 812, 3)], false, 0)
    );
    assert_eq!((socket.inode, socket.cookie), (Some(5), Some(0x1f)));
    assert_eq!(socket.cgroup.as_deref(), Some(&b"/a\",pid=1,fd=3))"[..]));
}

#[test]
fn security_contexts_are_passed_over() {
    let context = "system_u:system_r:container_t:s0:c12,c34";
    let list = format!(
        "users:((\"a\",pid=5,tid=6,proc_ctx={context},fd=3,sock_ctx={context}),(\"b\",pid=7,proc_ctx={context},fd=4))"
    );
    let parsed = with_owners(list.as_bytes());
    assert_eq!(
        owners(&parsed.sockets[0]),
        [(&b"a"[..], 5, 3), (&b"b"[..], 7, 4)]
    );
    assert_eq!(parsed.sockets[0].processes[0].tid, Some(6));
}

#[test]
fn a_list_that_cannot_be_read_is_reported_and_names_nobody() {
    let lists: [&[u8]; 22] = [
        b"users:((\"a\",pid=1,fd=3",
        b"users:((\"a\",pid=1,fd=3)",
        b"users:((\"a\",pid=1,fd=3\",pidX77,fd=4))",
        b"users:((\"a\",pid=1,fd=3X,pid=77,fd=4))",
        b"users:((\"a\",pid=1,fd=3),pid=77,fd=4))",
        b"users:((\"a\",pid=0,fd=3))",
        b"users:((\"a\",pid=01,fd=3))",
        b"users:((\"a\",pid=,fd=3))",
        b"users:((\"a\",pid=-1,fd=3))",
        b"users:((\"a\",pid=4294967296,fd=3))",
        b"users:((\"a\",pid=1,fd=))",
        b"users:((\"a\",fd=3,pid=1))",
        b"users:((\"a\",1,2,3))",
        b"users:((\"a\",pid=1,fd=3))x",
        b"users:((\"a\",pid=1,fd=3)x(\"b\",pid=2,fd=3))",
        b"users:((\"sixteen\"letters!\",pid=1,fd=3))",
        b"users:((\"a\",pid=1,fd=3),)",
        b"users:((a\",pid=1,fd=3))",
        b"users:((",
        b"users:(\"a\",pid=1,fd=3))",
        b"uXers:((\"a\",pid=1,fd=3))",
        b"users:X(\"a\",pid=1,fd=3))",
    ];
    for list in lists {
        let mut parsed = with_owners(list);
        assert_eq!(
            errors(&parsed),
            [(1, ErrorKind::Processes)],
            "{}",
            list.escape_ascii()
        );
        let socket = parsed.sockets.remove(0);
        assert_eq!(
            (owners(&socket), socket.ambiguous),
            (vec![], true),
            "{}",
            list.escape_ascii()
        );
        assert_eq!(socket.local.port_number(), Some(22));
    }
}

#[test]
fn a_row_cut_off_in_a_name_leaves_the_next_one_alone() {
    let parsed = parse(format!("tcp LISTEN 0 0 *:80 *:* users:((\"ngi\n{TCP_22}").as_bytes());
    assert_eq!(errors(&parsed), [(1, ErrorKind::Processes)]);
    assert_eq!(
        parsed
            .sockets
            .iter()
            .map(|s| s.processes.len())
            .collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn a_bad_line_hides_no_other() {
    let parsed = parse(
        format!("{TCP_22}ss: something went wrong\n{TCP_22}tcp LISTEN 0\n{TCP_22}").as_bytes(),
    );
    assert_eq!(errors(&parsed), [(2, ErrorKind::Row), (4, ErrorKind::Row)]);
    assert_eq!(parsed.sockets.len(), 3);
}

#[test]
fn lines_are_counted_through_names_that_span_several() {
    let row = "udp UNCONN 0 0 *:1 *:* users:((\"a\nb\nc\",pid=5,fd=1))\n";
    let skipped = "nl UNCONN 0 0 0:5 * users:((\"a\nb\",pid=5,fd=1))\n";
    let parsed = parse(format!("{row}?\n{skipped}?\n").as_bytes());
    assert_eq!(errors(&parsed), [(4, ErrorKind::Row), (7, ErrorKind::Row)]);
    assert_eq!((parsed.sockets.len(), parsed.skipped), (1, 1));
}

#[test]
fn a_terminals_line_ends_leave_no_trace_in_names() {
    let socket =
        one(b"tcp LISTEN 0 0 0.0.0.0:9 0.0.0.0:* users:((\"two\r\nlines\",pid=5,fd=1))  \r\n");
    assert_eq!(socket.processes[0].name, b"two\nlines");
    let socket =
        one(b"tcp LISTEN 0 0 0.0.0.0:9 0.0.0.0:* users:((\"two\r\nlines\",pid=5,fd=1))  \n");
    assert_eq!(socket.processes[0].name, b"two\r\nlines");
}

#[test]
fn two_rows_on_one_line_are_reported() {
    let parsed = parse(TCP_22.replace('\n', " ").repeat(2).as_bytes());
    assert_eq!(
        (errors(&parsed), parsed.sockets[0].ambiguous),
        (vec![(1, ErrorKind::Trailing)], true)
    );
    assert_eq!(owners(&parsed.sockets[0]), [(&b"sshd"[..], 812, 3)]);
    let parsed = parse(b"LISTEN 0 1 *:1 *:* LISTEN 0 1 *:2 *:*\n");
    assert_eq!(errors(&parsed), [(1, ErrorKind::Trailing)]);
}

#[test]
fn lines_of_details_are_passed_over_but_no_row_behind_a_tab() {
    let details = "\t skmem:(r0,rb131072,t0) bbr cwnd:10 rto:204 bytes_sent:5\n";
    assert_eq!(
        parse(format!("{TCP_22}{details}{TCP_22}").as_bytes()).errors,
        []
    );
    assert_eq!(
        errors(&parse(format!("\t{TCP_22}").as_bytes())),
        [(1, ErrorKind::Row)]
    );
}

#[test]
fn timers_marks_and_details_on_the_same_line_are_passed_over() {
    let socket = one(b"tcp ESTAB 0 0 10.0.0.1:22 10.0.0.2:50000 users:((\"sshd\",pid=8,fd=4)) timer:(keepalive,119min,0) \
        uid:1000 ino:77 sk:a01 fwmark:0x10 cgroup:/user.slice <-> ts sack cubic wscale:7,7 rto:204 rtt:3.1/2 send 1.2Mbps\n");
    assert_eq!(
        (socket.uid, socket.inode, socket.cookie),
        (Some(1000), Some(77), Some(0xa01))
    );
    assert_eq!(socket.cgroup.as_deref(), Some(&b"/user.slice"[..]));
}

#[test]
fn what_is_unknown_of_the_details_is_none() {
    let socket = one(b"tcp TIME-WAIT 0 0 10.0.0.1:22 10.0.0.2:50000 timer:(timewait,59sec,0) ino:0 sk:5 cgroup:unreachable:1a <->\n");
    assert_eq!(
        (socket.uid, socket.inode, socket.cgroup),
        (None, None, None)
    );
}

#[test]
fn a_damaged_user_is_not_root() {
    for (details, uid) in [
        ("ino:5", Some(0)),
        ("timer:(keepalive,1min,0) ino:5", Some(0)),
        ("uid:1000 ino:5", Some(1000)),
        ("uid:10X0 ino:5", None),
        ("uXd:1000 ino:5", None),
    ] {
        let socket = one(format!("tcp LISTEN 0 0 *:1 *:* {details} sk:1 <->").as_bytes());
        assert_eq!(socket.uid, uid, "{details}");
    }
}

#[test]
fn queues_beyond_31_bits_are_printed_as_negative_numbers() {
    assert_eq!(
        one(b"tcp ESTAB -1 -2147483647 10.0.0.1:2 10.0.0.2:5").recv_q,
        Some(u32::MAX)
    );
    assert_eq!(
        one(b"tcp ESTAB 4294967295 0 10.0.0.1:2 10.0.0.2:5").recv_q,
        Some(u32::MAX)
    );
}

#[test]
fn other_protocols_of_the_ip_family_are_kept() {
    for (row, protocol) in [
        ("raw UNCONN 0 0 0.0.0.0:icmp 0.0.0.0:*", Protocol::Raw),
        ("icmp6 UNCONN 0 0 *:ipv6-icmp *:*", Protocol::Icmp6),
        ("icmp6UNCONN 0 0 *:58 *:*", Protocol::Icmp6),
        ("sctp LISTEN 0 5 10.0.0.1:99 *:*", Protocol::Sctp),
        (
            "     `- SHUTDOWN_SENT 0 0 10.0.0.1:99 10.0.0.2:98",
            Protocol::Sctp,
        ),
        ("dccp LISTEN 0 5 10.0.0.1:99 *:*", Protocol::Dccp),
        ("mptcp LISTEN 0 5 10.0.0.1:99 *:*", Protocol::Mptcp),
    ] {
        assert_eq!(one(row.as_bytes()).protocol, Some(protocol), "{row}");
    }
}

#[test]
fn other_families_are_counted_and_no_errors() {
    let rows = "nl UNCONN 0 0 rtnl:systemd/1 *\nu_str LISTEN 0 128 /run/x y z 123 * 0\nu_strESTAB 0 0 * 1 * 2\n\
        p_raw UNCONN 0 0 *:eth0 *\nv_str LISTEN 0 0 *:1024 *:*\nxdp UNCONN 0 0 eth0:q0 *\nti_st LISTEN 0 0 1:2 -\n";
    let parsed = parse(rows.as_bytes());
    assert_eq!(
        (parsed.errors.len(), parsed.sockets.len(), parsed.skipped),
        (0, 0, 7)
    );
}

#[test]
fn rows_behind_a_unix_socket_may_be_made_up_by_its_name() {
    let forged =
        format!("{TCP_22}u_str LISTEN 0 0 @a\n{TCP_22}\t 1234 * 0 users:((\"x\",pid=9,fd=9))\n");
    let parsed = parse(forged.as_bytes());
    assert_eq!(
        parsed
            .sockets
            .iter()
            .map(|s| s.ambiguous)
            .collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn a_row_that_lacks_the_columns_of_the_others_is_marked() {
    let parsed = parse(format!("{TCP_22}*:80 *:* \n").as_bytes());
    assert_eq!(
        parsed
            .sockets
            .iter()
            .map(|s| s.ambiguous)
            .collect::<Vec<_>>(),
        [false, true]
    );
    let parsed = parse(b"nl UNCONN 0 0 rtnl:x * \n*:80 *:*\n");
    assert!(parsed.sockets[0].ambiguous);
}

#[test]
fn the_wildcard_of_old_releases_is_that_of_ipv4() {
    let parsed = parse(b"udp UNCONN 0 0 *:68 *:*\ntcp LISTEN 0 0 :::80 :::*\n");
    assert_eq!(parsed.sockets[0].local.to_string(), "0.0.0.0:68");
    let parsed = parse(b"udp UNCONN 0 0 *:68 *:*\ntcp LISTEN 0 0 [::]:80 [::]:*\n");
    assert_eq!(parsed.sockets[0].local.address, Address::Any);
    assert_eq!(one(b"udp UNCONN 0 0 *:68 *:*").local.address, Address::Any);
}

#[test]
fn a_help_text_is_one_error_and_hides_no_row() {
    let parsed =
        parse(format!("Usage: ss [ OPTIONS ]\n   -h, --help\tthis message\n{TCP_22}").as_bytes());
    assert_eq!(
        (errors(&parsed), parsed.sockets.len()),
        (vec![(1, ErrorKind::Usage)], 1)
    );
}

#[test]
fn errors_read_well_behind_failed_to_read() {
    let parsed = parse(b"\nnonsense\n");
    assert_eq!(
        parsed.errors[0].to_string(),
        "line 2: not a socket that can be read"
    );
}
