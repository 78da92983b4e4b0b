//! What the tests work with: a real object, archives of it, keys, and rules.
#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bpf_artifact::{
    Candidate, HighWaterMarks, HostId, KeyRing, Manifest, Metadata, Policy, Refusal, Rules,
    SigningKey, Verified, pack, verify,
};
use serde_json::json;

/// Compiled from `guard.bpf.c` beside it.
pub(crate) const OBJECT: &[u8] = include_bytes!("../fixtures/guard.o");

/// The one who is trusted: the same key throughout a test program.
pub(crate) fn signer() -> SigningKey {
    static PEM: OnceLock<String> = OnceLock::new();
    SigningKey::from_pem(PEM.get_or_init(|| SigningKey::generate().unwrap().1)).unwrap()
}

pub(crate) fn stranger() -> SigningKey {
    SigningKey::generate().unwrap().0
}

pub(crate) fn metadata() -> Metadata {
    let text = json!({
        "template_name": "egress_guard", "version": "2.1.0", "architecture": "x86_64", "kernel_version": "6.1",
        "build_id": "b1", "created_at": "2026-01-05T08:00:00.123456789+02:00", "parameters": {"drop_port": "9"},
        "build_info": {"build_time": 1_000_000, "compiler": "clang", "compiler_version": "22", "build_flags": null,
            "object_size": OBJECT.len()},
        "checksums": {"program.o": "x"},
    });
    Metadata::from_json(text.to_string().as_bytes()).unwrap()
}

pub(crate) fn archive() -> Vec<u8> {
    pack(OBJECT, &metadata()).unwrap()
}

/// 2026-01-05T08:00:00Z.
pub(crate) fn monday() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_600_000)
}

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Serial 7 for `db-02`, valid from Monday for a week.
pub(crate) fn manifest(archive: &[u8]) -> Manifest {
    let valid = monday()..monday() + 7 * DAY;
    Manifest {
        hosts: vec!["web-1".to_owned(), "db-02".to_owned()],
        ttl_sec: Some(3600),
        ..Manifest::new(archive, "egress_guard", "2.1.0", 7, valid)
    }
}

pub(crate) fn candidate(signer: &SigningKey) -> Candidate {
    let archive = archive();
    let manifest = signer.sign_manifest(&manifest(&archive)).unwrap();
    Candidate {
        archive,
        manifest: Some(manifest),
        ..Candidate::default()
    }
}

/// Everything an artifact is judged by; tests change what they are about.
pub(crate) struct Bench {
    pub(crate) policy: Policy,
    pub(crate) keys: KeyRing,
    pub(crate) host: HostId,
    pub(crate) marks: HighWaterMarks,
    pub(crate) now: SystemTime,
}

impl Bench {
    /// The signer is pinned, the host is `db-02`, it is Tuesday.
    pub(crate) fn new(policy: Policy) -> Bench {
        Bench {
            policy,
            keys: KeyRing::pinned(vec![signer().public_key()]),
            host: HostId::parse("db-02").unwrap(),
            marks: HighWaterMarks::default(),
            now: monday() + DAY,
        }
    }

    pub(crate) fn judge(&self, candidate: Candidate) -> Result<Verified, Refusal> {
        let rules = Rules {
            policy: self.policy,
            keys: &self.keys,
            host: &self.host,
            marks: &self.marks,
            now: self.now,
        };
        verify(candidate, &rules)
    }

    /// The code of the refusal.
    pub(crate) fn refuses(&self, candidate: Candidate) -> &'static str {
        let refusal = self.judge(candidate).unwrap_err();
        assert!(!refusal.to_string().contains('\n'));
        refusal.code()
    }
}

/// A folder that is gone when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "bpf-artifact-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    /// Runs a command in the folder. False if there is no such command, which is said loudly.
    pub(crate) fn run(&self, command: &str) -> bool {
        let program = command.split_whitespace().next().unwrap();
        let known = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .unwrap();
        if !known.status.success() {
            println!("skipped: {program} is not installed (Debian: apt-get install {program})");
            return false;
        }
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        true
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
