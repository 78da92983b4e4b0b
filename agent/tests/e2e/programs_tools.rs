//! `programs …`: from an object to a signed archive and back, with the real binary; and what an ended agent has left attached.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use bpf_host::{Artifact, Host, LocalPolicy, OnExit, Places, Target};
use serde_json::Value;

use crate::parts::{binary, folder};

fn object(name: &str) -> String {
    format!(
        "{}/../crates/bpf-host/tests/bpf/objects/{name}.o",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// A folder with a key and a packed and signed program.
struct Desk {
    folder: PathBuf,
}

/// What `sign` needs at least, in the desk's folder.
const SIGN: &[&str] = &[
    "sign",
    "guard.tar.zst",
    "--key",
    "signing.key",
    "--serial",
    "7",
    "--hosts",
    "db-01,db-02",
    "--not-after",
    "30d",
    "--attach",
    "guard=interface:eth0",
];

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: folder("desk"),
        };
        let public = desk.well(&["keygen", "signing.key"]);
        std::fs::write(desk.path("signing.pub"), public).unwrap();
        desk.well(&[
            "pack",
            &object("guard"),
            "-o",
            "guard.tar.zst",
            "--name",
            "egress_guard",
            "--version",
            "2.1.0",
        ]);
        desk
    }

    fn signed() -> Self {
        let desk = Self::new();
        desk.well(SIGN);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = binary(&["programs"]);
        command.args(args).current_dir(&self.folder);
        command.output().unwrap()
    }

    /// What it prints when it ends well.
    fn well(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complains of, with this exit code.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    }

    fn verify(&self, more: &[&str]) -> Vec<String> {
        let words = ["verify", "guard.tar.zst", "--public-key", "signing.pub"];
        let words = words.iter().chain(more);
        words.map(|word| (*word).to_owned()).collect()
    }

    fn refused(&self, code: &str, more: &[&str]) {
        let words = self.verify(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = self.fails(1, &words);
        assert!(said.contains(&format!("refused ({code}): ")), "{said}");
    }

    fn trusted(&self, more: &[&str]) -> String {
        let words = self.verify(more);
        self.well(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_key_is_for_its_owner_alone_and_only_its_public_half_is_printed() {
    let desk = Desk::new();
    let mode = std::fs::metadata(desk.path("signing.key")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let private = std::fs::read_to_string(desk.path("signing.key")).unwrap();
    let secret = private.lines().nth(1).unwrap();
    let public = std::fs::read_to_string(desk.path("signing.pub")).unwrap();
    assert_eq!(public.trim().len(), 44, "base64 of 32 bytes: {public}");
    assert!(!public.contains(secret));
    for args in [
        SIGN,
        &["verify", "guard.tar.zst", "--public-key", "signing.key"],
    ] {
        let output = desk.run(args);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains(secret), "{args:?}: {said}");
    }
}

#[test]
fn openssl_takes_the_key_and_its_signature() {
    let desk = Desk::signed();
    let pkey = |args: &[&str]| {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(&desk.folder)
            .output();
        output.map(|output| output.stdout)
    };
    let Ok(der) = pkey(&["pkey", "-in", "signing.key", "-pubout", "-outform", "DER"]) else {
        println!("skipped: needs the command openssl");
        return;
    };
    let manifest: Value = read_json(&desk.path("guard.manifest.json"));
    assert_eq!(manifest["name"], "egress_guard");
    // The last 32 bytes of the DER are the key.
    let pem = pkey(&["pkey", "-in", "signing.key", "-pubout"]).unwrap();
    std::fs::write(desk.path("openssl.pem"), pem).unwrap();
    let said = desk.well(&["verify", "guard.tar.zst", "--public-key", "openssl.pem"]);
    assert!(said.contains("its manifest is signed by pinned"), "{said}");
    assert_eq!(der.len(), 44);
}

#[test]
fn what_was_signed_is_trusted_for_its_hosts_and_nobody_elses() {
    let desk = Desk::signed();
    let said = desk.trusted(&["--host", "db-02"]);
    for part in [
        "its manifest is signed by pinned (",
        " egress_guard 2.1.0\n",
        "serial      7\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let answer: Value = serde_json::from_str(&desk.trusted(&["--json"])).unwrap();
    assert_eq!(
        (
            &answer["trusted"],
            &answer["host_checked"],
            &answer["manifest"]["serial"]
        ),
        (&true.into(), &false.into(), &7.into())
    );
    desk.refused("other_host", &["--host", "db-03"]);
}

#[test]
fn every_kind_of_forgery_is_refused_by_its_name() {
    let desk = Desk::signed();
    let other = desk.well(&["keygen", "other.key"]);
    let args = ["verify", "guard.tar.zst", "--public-key", other.trim()];
    assert!(desk.fails(1, &args).contains("refused (unknown_key)"));
    let args = ["verify", "guard.tar.zst"];
    assert!(desk.fails(1, &args).contains("refused (no_keys)"));

    let change = |name: &str, index: usize| {
        let mut bytes = std::fs::read(desk.path(name)).unwrap();
        bytes[index] ^= 1;
        std::fs::write(desk.path(name), bytes).unwrap();
    };
    change("guard.tar.zst", 100);
    desk.refused("other_archive", &[]);
    change("guard.tar.zst", 100);
    change("guard.manifest.json", 20);
    desk.refused("bad_signature", &[]);
    change("guard.manifest.json", 20);
    desk.trusted(&[]);

    std::fs::write(desk.path("guard.manifest.sig"), "").unwrap();
    desk.refused("no_signature", &[]);
    std::fs::remove_file(desk.path("guard.manifest.sig")).unwrap();
    desk.refused("no_signature", &[]);
    std::fs::remove_file(desk.path("guard.manifest.json")).unwrap();
    desk.refused("no_manifest", &[]);
    desk.refused("no_signature", &["--policy", "archive"]);
    let said = desk.trusted(&["--policy", "insecure-accept"]);
    assert!(said.contains("NOT VERIFIED"), "{said}");
}

#[test]
fn the_metadata_for_a_registry_is_what_stands_in_the_files() {
    let desk = Desk::new();
    let metadata: Value = serde_json::from_str(&desk.well(SIGN)).unwrap();
    let signature = std::fs::read_to_string(desk.path("guard.manifest.sig")).unwrap();
    assert_eq!(metadata["aegis_signature"], signature.trim());
    let encoded = metadata["aegis_manifest"].as_str().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("printf %s {encoded} | base64 -d"))
        .output()
        .unwrap();
    let manifest = std::fs::read(desk.path("guard.manifest.json")).unwrap();
    assert_eq!(output.stdout, manifest);
}

#[test]
fn pipelines_get_json_from_every_tool() {
    let desk = Desk::new();
    let told = |args: &[&str]| -> Value {
        let words = [args, &["--json", "--force"]].concat();
        serde_json::from_str(&desk.well(&words)).unwrap()
    };
    let key = told(&["keygen", "other.key"]);
    assert_eq!(key["key_file"], "other.key");
    // 32 bytes in base64.
    assert_eq!(key["public_key"].as_str().unwrap().len(), 44);
    let packed = told(&["pack", &object("guard"), "-o", "other.tar.zst"]);
    let archive = std::fs::read(desk.path("other.tar.zst")).unwrap();
    assert_eq!(packed["bytes"], archive.len());
    let sum = Command::new("sha256sum")
        .arg(desk.path("other.tar.zst"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert!(sum.starts_with(packed["sha256"].as_str().unwrap()), "{sum}");
}

#[test]
fn nothing_is_overwritten_without_force() {
    let desk = Desk::signed();
    let pack = ["pack", &object("guard"), "-o", "guard.tar.zst"];
    for args in [&["keygen", "signing.key"][..], &pack, SIGN] {
        let before = std::fs::read(desk.path("signing.key")).unwrap();
        let said = desk.fails(1, args);
        assert!(said.contains("is there already; --force"), "{said}");
        assert_eq!(std::fs::read(desk.path("signing.key")).unwrap(), before);
    }
    let again = SIGN
        .iter()
        .map(|word| if *word == "7" { "8" } else { word });
    desk.well(&again.chain(["--force"]).collect::<Vec<_>>());
    assert_eq!(read_json(&desk.path("guard.manifest.json"))["serial"], 8);
}

#[test]
fn mistakes_of_the_signer_are_found_before_anything_is_signed() {
    let desk = Desk::new();
    let without_place = &SIGN[..SIGN.len() - 2];
    let with = |base: &[&'static str], more: &[&'static str]| [base, more].concat();
    for (args, part) in [
        (without_place.to_vec(), "add --attach guard=interface:eth0"),
        (
            with(SIGN, &["--attach", "gaurd=interface:eth0"]),
            "no program \"gaurd\"; it has guard",
        ),
        (
            with(SIGN, &["--parameters", r#"{"drop_prot": 9}"#]),
            "no variable or map \"drop_prot\"; it has drop_port, enforce",
        ),
    ] {
        let said = desk.fails(1, &args);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let old: Vec<&str> = SIGN
        .iter()
        .map(|word| {
            if *word == "30d" {
                "2020-01-01T00:00:00Z"
            } else {
                word
            }
        })
        .collect();
    assert!(
        desk.fails(1, &old)
            .contains("not_after is not after issued_at")
    );
    let said = desk.fails(64, &[SIGN, &["--parameters", "[1]"]].concat());
    assert!(said.contains("not a JSON object"), "{said}");
    assert!(!desk.path("guard.manifest.json").exists());
}

#[test]
fn what_no_agent_would_load_is_not_packed() {
    let desk = Desk::new();
    for (name, part) in [("kfunc", "kernel functions"), ("unlicensed", "licen")] {
        let said = desk.fails(1, &["pack", &object(name), "-o", "x.tar.zst"]);
        assert!(said.contains(part), "{name}: {said}");
    }
    let said = desk.fails(1, &["pack", "signing.key", "-o", "x.tar.zst"]);
    assert!(said.contains("not an eBPF object"), "{said}");
    assert!(!desk.path("x.tar.zst").exists());
}

#[test]
fn an_archive_shows_the_same_programs_and_maps_as_its_object() {
    let desk = Desk::new();
    let look = |file: &str| -> Value {
        serde_json::from_str(&desk.well(&["inspect", file, "--json"])).unwrap()
    };
    let (archive, object) = (look("guard.tar.zst"), look(&object("guard")));
    for key in [
        "programs",
        "maps",
        "sections",
        "license",
        "btf",
        "parameters",
    ] {
        assert_eq!(archive[key], object[key], "{key}");
    }
    assert_eq!(archive["metadata"]["name"], "egress_guard");
    assert_eq!(archive["entries"][0], "program.o");
    assert_eq!(object["programs"][0]["kind"], "xdp");
    let calls = object["programs"][0]["calls"].to_string();
    assert!(calls.contains("ringbuf_reserve"), "{calls}");
    let text = desk.well(&["inspect", "guard.tar.zst"]);
    for part in [
        "licence       GPL",
        "aegis_events  ringbuf",
        "map_lookup_elem",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let kfunc = self::object("kfunc");
    assert!(desk.well(&["inspect", &kfunc]).contains("NOT LOADABLE"));
    let said = desk.fails(1, &["inspect", "signing.key"]);
    assert!(
        said.contains("signing.key: neither an eBPF object nor"),
        "{said}"
    );
}

#[test]
fn the_doctor_names_every_kind_with_a_verdict_and_its_reason() {
    let desk = Desk::new();
    let output = desk.run(&["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds = found["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), bpf_host::ProgramKind::ALL.len());
    let works = |kind: &&Value| kind["verdict"] == "works";
    for kind in kinds {
        assert_eq!(kind["reason"].is_null(), works(&kind), "{kind}");
    }
    assert_eq!(
        output.status.success(),
        kinds.iter().any(|kind| works(&kind))
    );
    assert!(found["rights"]["CAP_BPF"].is_boolean(), "{found}");
    let text = String::from_utf8(desk.run(&["doctor"]).stdout).unwrap();
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
}

/// A bpffs of the test's own.
struct BpfFs {
    folder: PathBuf,
}

impl BpfFs {
    /// `None` where it cannot be mounted, which is said.
    fn mount() -> Option<Self> {
        let folder = folder("bpffs");
        let mounted = Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(&folder)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        println!("skipped: cannot mount a bpffs (root is needed)");
        None
    }

    fn pins(&self) -> PathBuf {
        self.folder.join("pins")
    }

    /// Does with a process's hold on the pins what an agent would.
    fn open(&self) -> Host {
        let places = Places {
            proc_root: "/proc".into(),
            sys_root: "/sys".into(),
            tracefs: None,
            cgroup_root: "/sys/fs/cgroup".into(),
            pins: Some(self.pins()),
        };
        Host::open(places, LocalPolicy::default()).unwrap()
    }

    /// Leaves a program attached to a file that nobody runs, to end `in_time` after the start of the host.
    fn leave(&self, host: &mut Host, slot: &str, deadline: Option<Duration>) {
        let file = folder("uprobe").join("program");
        std::fs::copy("/bin/true", &file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let entry = u64::from_le_bytes(bytes[24..32].try_into().unwrap());
        let target = Target::Uprobe {
            binary: file,
            symbol: None,
            offset: entry,
        };
        let bytes = std::fs::read(object("uprobes")).unwrap();
        let scanned = bpf_host::ScannedObject::read(&bytes).unwrap();
        let programs = scanned.programs().iter();
        let targets: BTreeMap<String, Vec<Target>> = programs
            .map(|program| (program.name.clone(), vec![target.clone()]))
            .collect();
        host.load(&Artifact {
            slot,
            digest: "00",
            object: &bytes,
            targets,
            parameters: Value::Null,
            on_exit: OnExit::Persist,
            deadline,
        })
        .unwrap();
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[test]
fn what_has_expired_is_detached_when_no_agent_runs_and_nothing_else() {
    let Some(bpffs) = BpfFs::mount() else { return };
    let desk = Desk::new();
    let pins = bpffs.pins();
    let reap = |more: &[&str]| {
        let mut args = vec!["reap", "--pins-dir", pins.to_str().unwrap()];
        args.extend(more);
        let output = desk.run(&args);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (well, said) = reap(&[]);
    assert!(well && said.contains("nothing was left attached"), "{said}");

    let mut host = bpffs.open();
    let far = Duration::from_secs(1 << 32);
    for (slot, deadline) in [
        ("expired", Some(Duration::from_secs(1))),
        ("lasting", Some(far)),
        ("endless", None),
    ] {
        bpffs.leave(&mut host, slot, deadline);
    }
    let (well, said) = reap(&[]);
    assert!(!well && said.contains("another process holds"), "{said}");
    drop(host);

    let (well, said) = reap(&[]);
    assert!(well && said.contains("expired: detached\n"), "{said}");
    let (well, as_json) = reap(&["--json"]);
    let told: Value = serde_json::from_str(&as_json).unwrap();
    assert!(well && told["detached"] == serde_json::json!([]), "{told}");
    assert_eq!(told["attached"][0]["slot"], "endless");
    assert_eq!(told["attached"][0]["seconds_left"], Value::Null);
    assert!(said.contains("endless: stays attached, no end\n"), "{said}");
    let host = bpffs.open();
    let left: Vec<String> = host
        .status()
        .into_iter()
        .map(|status| status.slot)
        .collect();
    assert_eq!(left, ["endless", "lasting"]);
    drop(host);

    let (well, said) = reap(&["--all"]);
    assert!(well && said.contains("lasting: detached\n"), "{said}");
    let (_, said) = reap(&[]);
    assert_eq!(said, "nothing is attached\n");
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
