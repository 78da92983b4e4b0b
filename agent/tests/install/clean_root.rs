//! A clean Debian and what is brought to it: made once, and then the ground of every test's own machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::parts::binary;

/// What a server has besides the smallest Debian: both service managers, and OpenSSL.
const PACKAGES: &str = "openrc,openssl,systemd,systemd-sysv";

/// Folders to lay over one another.
pub(crate) struct Ground {
    pub(crate) system: PathBuf,
    /// `/root/install.sh` with programs to install: `agent`, `newer` (the same with other bytes) and `broken` (ends at once).
    pub(crate) luggage: PathBuf,
}

/// `None` (said loudly) where it cannot be made.
pub(crate) fn ground() -> Option<&'static Ground> {
    static GROUND: OnceLock<Result<Ground, String>> = OnceLock::new();
    match GROUND.get_or_init(make) {
        Ok(ground) => Some(ground),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

fn make() -> Result<Ground, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("needs root".to_owned());
    }
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Two runs at once share it.
    let turn = File::create(here.join("clean-root.lock")).unwrap();
    turn.lock().unwrap();
    let system = here.join("clean-root");
    let complete = here.join("clean-root.complete");
    if fs::read_to_string(&complete).ok().as_deref() != Some(PACKAGES) {
        let _ = fs::remove_dir_all(&system);
        unpack(&system)?;
        fs::write(&complete, PACKAGES).unwrap();
    }
    let luggage = here.join("luggage");
    pack(&luggage)?;
    Ok(Ground { system, luggage })
}

fn unpack(system: &Path) -> Result<(), String> {
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = os
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .filter(|_| os.lines().any(|line| line == "ID=debian"))
        .ok_or("needs a Debian to make a clean Debian with")?;
    let include = format!("--include={PACKAGES}");
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", &include, suite])
        .arg(system)
        .output()
        .map_err(|_| "needs debootstrap (Debian: debootstrap)")?;
    output.status.success().then_some(()).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stdout);
        format!(
            "debootstrap failed, the packages are out of reach: {}",
            said.lines().last().unwrap_or_default()
        )
    })
}

fn pack(luggage: &Path) -> Result<(), String> {
    let root = luggage.join("root");
    fs::create_dir_all(&root).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/install.sh");
    fs::copy(script, root.join("install.sh")).unwrap();
    let agent = root.join("agent");
    fs::copy(binary(&[]).get_program(), &agent).unwrap();
    // Without what is for debuggers it fits several times into memory. Where there is no `strip` it stays as it is.
    let _ = Command::new("strip").arg(&agent).status();
    let mut newer = fs::read(&agent).unwrap();
    newer.extend(b"another build");
    fs::write(root.join("newer"), newer).unwrap();
    compile(BROKEN, &root.join("broken"))?;
    for name in ["agent", "newer", "broken"] {
        let sum = checksum(&root.join(name));
        fs::write(
            root.join(format!("{name}.sha256")),
            format!("{sum}  {name}\n"),
        )
        .unwrap();
    }
    Ok(())
}

/// A program that tells its version, takes any configuration, and ends when it is to work.
const BROKEN: &str = r#"
#include <stdio.h>
#include <string.h>
int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--version")) return puts("sigma-agent 9.9.9"), 0;
        if (!strcmp(words[i], "check")) return 0;
    }
    fputs("out of order\n", stderr);
    return 1;
}
"#;

fn compile(source: &str, to: &Path) -> Result<(), String> {
    let file = to.with_extension("c");
    fs::write(&file, source).unwrap();
    let done = Command::new("cc")
        .arg("-o")
        .args([to, &file])
        .status()
        .is_ok_and(|status| status.success());
    fs::remove_file(&file).unwrap();
    done.then_some(())
        .ok_or_else(|| "needs a C compiler (Debian: build-essential)".to_owned())
}

pub(crate) fn checksum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}
