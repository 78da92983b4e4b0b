//! What section names say: the kind of a program, and often where it is attached.

use crate::{ProgramKind, Target};

/// What a section name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SectionMeaning {
    pub(crate) kind: ProgramKind,
    /// `BPF_*` attach type of the link, where the kind alone does not decide it.
    pub(crate) attach_type: u32,
    /// The target, if the name holds one.
    pub(crate) target: Option<Target>,
    /// The loader knows the kind only under this other name.
    pub(crate) loader_name: Option<&'static str>,
}

pub(crate) const TCX_INGRESS: u32 = 46;
pub(crate) const TCX_EGRESS: u32 = 47;

/// Reads a section name. `Err` says why the kind is not for this crate.
pub(crate) fn meaning(section: &str) -> Result<SectionMeaning, &'static str> {
    let (head, rest) = section.split_once('/').unwrap_or((section, ""));
    let plain = |kind, attach_type| {
        Ok(SectionMeaning {
            kind,
            attach_type,
            target: None,
            loader_name: None,
        })
    };
    let aimed = |kind, attach_type, target| {
        Ok(SectionMeaning {
            kind,
            attach_type,
            target,
            loader_name: None,
        })
    };
    match head {
        "xdp" | "xdp.frags" if rest.is_empty() => plain(ProgramKind::Xdp, 37),
        "xdp" | "xdp.frags" => {
            Err("XDP programs for device and cpu maps are not attached by themselves")
        }
        "classifier" => plain(ProgramKind::Tc, 0),
        "tc" | "tcx" | "action" => Ok(SectionMeaning {
            kind: ProgramKind::Tc,
            attach_type: 0,
            target: None,
            loader_name: Some("classifier"),
        }),
        "cgroup_skb" => match rest {
            "ingress" => plain(ProgramKind::CgroupSkb, 0),
            "egress" => plain(ProgramKind::CgroupSkb, 1),
            _ => Err("say cgroup_skb/ingress or cgroup_skb/egress"),
        },
        "cgroup" => cgroup(rest),
        "tracepoint" | "tp" => aimed(ProgramKind::Tracepoint, 41, tracepoint(rest)),
        "raw_tp" | "raw_tracepoint" => aimed(
            ProgramKind::RawTracepoint,
            0,
            named(rest, |name| Target::RawTracepoint { name }),
        ),
        "tp_btf" => aimed(
            ProgramKind::BtfTracepoint,
            23,
            named(rest, |name| Target::RawTracepoint { name }),
        ),
        "kprobe" => aimed(ProgramKind::Kprobe, 41, kprobe(rest)),
        "kretprobe" => aimed(ProgramKind::Kretprobe, 41, kprobe(rest)),
        "uprobe" | "uprobe.s" => aimed(ProgramKind::Uprobe, 41, uprobe(rest)),
        "uretprobe" | "uretprobe.s" => aimed(ProgramKind::Uretprobe, 41, uprobe(rest)),
        "fentry" | "fentry.s" => aimed(
            ProgramKind::Fentry,
            24,
            named(rest, |name| Target::Function { name }),
        ),
        "fexit" | "fexit.s" => aimed(
            ProgramKind::Fexit,
            25,
            named(rest, |name| Target::Function { name }),
        ),
        "lsm" | "lsm.s" => aimed(
            ProgramKind::Lsm,
            27,
            named(rest, |hook| Target::Lsm { hook }),
        ),
        "perf_event" => plain(ProgramKind::PerfEvent, 41),
        "kprobe.multi" | "kretprobe.multi" | "kprobe.session" => {
            Err("kprobes on many symbols at once are not supported; write one kprobe per symbol")
        }
        "uprobe.multi" | "uretprobe.multi" | "uprobe.session" => {
            Err("uprobes on many symbols at once are not supported; write one uprobe per symbol")
        }
        "ksyscall" | "kretsyscall" => Err(
            "ksyscall needs kernel configuration variables; write a tracepoint/syscalls program",
        ),
        "usdt" => Err("USDT probes are not supported; write a uprobe"),
        "fmod_ret" | "fmod_ret.s" => Err("programs that modify return values are not supported"),
        "freplace" => Err("programs that replace functions of other programs are not supported"),
        "lsm_cgroup" => Err("LSM programs per cgroup are not supported; write an lsm program"),
        "struct_ops" | "struct_ops.s" => {
            Err("struct_ops replace parts of the kernel and are not supported")
        }
        "netfilter" => {
            Err("netfilter programs are not supported; write a tc or cgroup_skb program")
        }
        "netkit" => Err("netkit programs are not supported; write a tc program"),
        "iter" | "iter.s" => Err("iterators are read, not attached, and are not supported"),
        "syscall" => Err("syscall programs are not attached to anything"),
        "sockops" | "sk_msg" | "sk_skb" | "sk_lookup" | "sk_reuseport" | "socket"
        | "flow_dissector" => Err("programs of sockets are not supported"),
        "lwt_in" | "lwt_out" | "lwt_xmit" | "lwt_seg6local" => {
            Err("lightweight tunnel programs are not supported")
        }
        "lirc_mode2" => Err("infrared programs are not supported"),
        _ => Err("no program type has this section name"),
    }
}

fn cgroup(rest: &str) -> Result<SectionMeaning, &'static str> {
    let attach_type = match rest {
        "bind4" => 8,
        "bind6" => 9,
        "connect4" => 10,
        "connect6" => 11,
        "sendmsg4" => 14,
        "sendmsg6" => 15,
        "recvmsg4" => 19,
        "recvmsg6" => 20,
        "getpeername4" => 29,
        "getpeername6" => 30,
        "getsockname4" => 31,
        "getsockname6" => 32,
        "skb" => return Err("a direction is missing: say cgroup_skb/ingress or cgroup_skb/egress"),
        _ => {
            return Err(
                "of the cgroup kinds only cgroup_skb and the address hooks (connect4, sendmsg6, ..) are supported",
            );
        }
    };
    Ok(SectionMeaning {
        kind: ProgramKind::CgroupSockAddr,
        attach_type,
        target: None,
        loader_name: None,
    })
}

fn named(rest: &str, make: impl FnOnce(String) -> Target) -> Option<Target> {
    (!rest.is_empty()).then(|| make(rest.to_owned()))
}

fn tracepoint(rest: &str) -> Option<Target> {
    let (category, name) = rest.split_once('/')?;
    Some(Target::Tracepoint {
        category: category.to_owned(),
        name: name.to_owned(),
    })
}

fn kprobe(rest: &str) -> Option<Target> {
    let (symbol, offset) = split_offset(rest);
    named(symbol, |symbol| Target::Kprobe { symbol, offset })
}

/// `/usr/lib/libc.so.6:malloc+4`, with or without the leading slash of the path.
fn uprobe(rest: &str) -> Option<Target> {
    let (path, place) = rest.rsplit_once(':')?;
    let binary = if path.starts_with('/') {
        path.into()
    } else {
        format!("/{path}").into()
    };
    let (symbol, offset) = split_offset(place);
    Some(Target::Uprobe {
        binary,
        symbol: Some(symbol.to_owned()),
        offset,
    })
}

fn split_offset(place: &str) -> (&str, u64) {
    let parsed = place.split_once('+').and_then(|(symbol, offset)| {
        let offset = offset.strip_prefix("0x").map_or_else(
            || offset.parse().ok(),
            |hex| u64::from_str_radix(hex, 16).ok(),
        );
        Some((symbol, offset?))
    });
    parsed.unwrap_or((place, 0))
}
