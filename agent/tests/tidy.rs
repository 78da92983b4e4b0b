//! The rules of the house that a machine can check; each rule comes with an example that breaks it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may stand at the top of the tree, dotfiles aside.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "agent",
    "crates",
    "deploy",
    "docs",
    "grafana",
];

/// Names that say nothing about what is inside.
const VAGUE: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "types", "models", "manager", "misc",
];

/// Who may wait for time to pass without retrying anything: servers that pause accepting, a time limit that was handed in, the lab's
/// look at its own database, the first window between two readings, the end of leases, the second look of the guard at what may have been
/// cut off, a simulation on a clock that it turns itself.
const WAITS: &[&str] = &[
    "agent/src/http/ports.rs",
    "agent/src/http/server.rs",
    "agent/src/info.rs",
    "agent/src/lab.rs",
    "agent/src/programs/guard.rs",
    "agent/src/loops/guest.rs",
    "agent/src/loops/sample.rs",
    "agent/src/push/simulation.rs",
    "crates/ipdiscover/src/public.rs",
    "crates/promexport/src/serve.rs",
    "crates/sigma-lab/src/server.rs",
];

/// A rule about lines of code.
struct Rule {
    says: &'static str,
    /// Whether the rule is about this file, named from the top of the tree.
    about: fn(&str) -> bool,
    broken_by: fn(&str) -> bool,
    /// A line that breaks the rule, and one like it that does not.
    bad: &'static str,
    good: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        says: "no library reads the environment or arguments",
        about: is_library,
        broken_by: |line| {
            ["env::var", "env::args", "env::vars", "option_env!"]
                .iter()
                .any(|call| line.contains(call))
        },
        bad: "let home = std::env::var(\"HOME\");",
        good: "let version = env!(\"CARGO_PKG_VERSION\");",
    },
    Rule {
        says: "no library names /proc or /sys: roots come in as arguments",
        about: is_library,
        broken_by: |line| {
            ["\"/proc", "\"/sys"].iter().any(|folder| {
                line.split(folder)
                    .skip(1)
                    .any(|rest| rest.starts_with(['"', '/']))
            })
        },
        bad: "File::open(\"/proc/stat\")",
        good: "File::open(root.join(\"proc/stat\"))",
    },
    Rule {
        says: "no library opens a fixed port",
        about: is_library,
        broken_by: fixed_port,
        bad: "TcpListener::bind(\"127.0.0.1:9102\")",
        good: "TcpListener::bind(\"127.0.0.1:0\")",
    },
    Rule {
        says: "no library prints",
        about: is_library,
        broken_by: |line| {
            [
                "println!",
                "eprintln!",
                "print!",
                "eprint!",
                "io::stdout",
                "io::stderr",
            ]
            .iter()
            .any(|call| line.contains(call))
        },
        bad: "eprintln!(\"oops\");",
        good: "write!(f, \"oops\")",
    },
    Rule {
        says: "only periodic retries: nobody else waits for time to pass",
        about: |path| {
            is_code(path) && !path.starts_with("crates/periodic/") && !WAITS.contains(&path)
        },
        broken_by: |line| line.contains("sleep(") && !line.contains("fn sleep"),
        bad: "tokio::time::sleep(wait).await;",
        good: "let sleep = sleep_until(deadline);",
    },
    Rule {
        says: "only the table of options knows names of environment variables",
        about: |path| path.starts_with("agent/src/") && !path.starts_with("agent/src/cli/options/"),
        broken_by: |line| {
            ["\"AGENT_", "\"SIGMA_", "\"LUNASENTRI_"]
                .iter()
                .any(|prefix| line.contains(prefix))
        },
        bad: "env(\"AGENT_INTERVAL\")",
        good: "layers.take(\"interval\")",
    },
    Rule {
        says: "only main knows exit codes, and nothing leaves by process::exit",
        about: |path| is_code(path) && path != "agent/src/main.rs",
        broken_by: |line| {
            line.contains("process::exit")
                || line.contains("ExitCode")
                || line.contains("process::abort")
        },
        bad: "std::process::exit(1);",
        good: "return Err(why);",
    },
    Rule {
        says: "no shell and no external command, but `ss` for those who ask for it by name",
        about: |path| is_code(path) && path != "agent/src/ss_owners.rs",
        broken_by: |line| line.contains("process::Command") || line.contains("execve("),
        bad: "std::process::Command::new(\"ss\")",
        good: "clap::Command::new(\"info\")",
    },
    Rule {
        says: "the port scan never listens",
        about: |path| path.starts_with("crates/portscan/src/"),
        broken_by: |line| {
            line.contains("listen(") && !line.contains("fn listen") || line.contains("TcpListener")
        },
        bad: "rustix::net::listen(&socket, 1)",
        good: "let verdict = Verdict::Listening;",
    },
    Rule {
        says: "`unsafe` stands only where the module is allowed to have it, with a reason",
        about: is_code,
        broken_by: |line| line.contains("allow(unsafe_code") && !line.contains("reason"),
        bad: "#[allow(unsafe_code)]",
        good: "#[allow(unsafe_code, reason = \"no safe crate offers the call\")]",
    },
];

fn is_library(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/")
}

fn is_code(path: &str) -> bool {
    is_library(path) || path.starts_with("agent/src/")
}

/// A literal address with a port other than 0.
fn fixed_port(line: &str) -> bool {
    [
        "\"127.0.0.1:",
        "\"0.0.0.0:",
        "\"[::]:",
        "\"[::1]:",
        "\"localhost:",
    ]
    .iter()
    .any(|address| {
        line.split(address)
            .skip(1)
            .any(|rest| rest.starts_with(|c: char| ('1'..='9').contains(&c)))
    })
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below `folder` that git would see, named from the top of the tree.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && entry.file_name() != "target" {
                folders.push(path);
            } else if kind.is_file() {
                found.push(
                    path.strip_prefix(top())
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines that are neither comment nor test, numbered.
fn code(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    let numbered = lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    numbered
        .take(tests.unwrap_or(usize::MAX))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

fn crates() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(top().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn manifests() -> Vec<String> {
    crates()
        .iter()
        .map(|name| format!("crates/{name}/Cargo.toml"))
        .chain(["agent/Cargo.toml".to_owned()])
        .collect()
}

fn none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_rule_sees_its_own_example() {
    for rule in RULES {
        assert!(
            (rule.broken_by)(rule.bad),
            "{:?} is blind to {:?}",
            rule.says,
            rule.bad
        );
        assert!(
            !(rule.broken_by)(rule.good),
            "{:?} is wrong about {:?}",
            rule.says,
            rule.good
        );
    }
    let source = "//! \"/proc\"\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
    assert_eq!(code(source), [(2, "fn a() {}")]);
}

#[test]
fn no_line_of_code_breaks_a_rule() {
    let sources: Vec<String> = files("crates")
        .into_iter()
        .chain(files("agent"))
        .filter(|path| path.ends_with(".rs") && !path.ends_with("/tests.rs"))
        .collect();
    assert!(sources.len() > 50, "the sources were not found");
    for rule in RULES {
        let about: Vec<&String> = sources.iter().filter(|path| (rule.about)(path)).collect();
        assert!(!about.is_empty(), "{:?} is about no file", rule.says);
        let mut broken = Vec::new();
        for path in about {
            let text = read(path);
            broken.extend(
                code(&text)
                    .into_iter()
                    .filter(|(_, line)| (rule.broken_by)(line))
                    .map(|(number, line)| format!("{path}:{number}: {}", line.trim())),
            );
        }
        none(rule.says, &broken);
    }
}

#[test]
fn only_the_agreed_names_stand_at_the_top() {
    let names: BTreeSet<String> = std::fs::read_dir(top())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let agreed: BTreeSet<String> = TOP.iter().map(ToString::to_string).collect();
    assert_eq!(names, agreed, "the top level is fixed");
}

/// The part of a manifest from the line `from` to the next line that starts with `[` and is not one of `and`.
fn section<'a>(manifest: &'a str, from: &str, and: &[&str]) -> Vec<&'a str> {
    manifest
        .lines()
        .skip_while(|line| *line != from)
        .enumerate()
        .take_while(|(index, line)| *index == 0 || !line.starts_with('[') || and.contains(line))
        .map(|(_, line)| line)
        .collect()
}

#[test]
fn manifests_are_literal_and_agree() {
    let first = read("crates/periodic/Cargo.toml");
    let lints = section(&first, "[lints.rust]", &["[lints.clippy]"]);
    assert!(lints.len() > 20, "the lints were not found");
    let mut broken = Vec::new();
    for path in manifests() {
        let manifest = read(&path);
        let own: Vec<&str> = section(&manifest, "[lints.rust]", &["[lints.clippy]"]);
        let agrees = |key: &str| {
            manifest.lines().find(|line| line.starts_with(key))
                == first.lines().find(|line| line.starts_with(key))
        };
        if own != lints {
            broken.push(format!(
                "{path}: its lints differ from those of crates/periodic"
            ));
        }
        for key in ["version = ", "edition = ", "rust-version = ", "license = "] {
            if !agrees(key) {
                broken.push(format!(
                    "{path}: `{key}` differs from that of crates/periodic"
                ));
            }
        }
        if manifest.contains("workspace = true") {
            broken.push(format!(
                "{path}: inherits from the workspace, so its folder cannot be copied out"
            ));
        }
        if path.starts_with("crates/")
            && (manifest.contains("path = \"..")
                || crates().iter().any(|other| {
                    manifest
                        .lines()
                        .any(|line| line.starts_with(&format!("{other} =")))
                }))
        {
            broken.push(format!(
                "{path}: a library depends on another of this workspace"
            ));
        }
    }
    none("manifests", &broken);
}

#[test]
fn every_library_says_in_one_sentence_what_it_is_about() {
    let mut broken = Vec::new();
    for name in crates() {
        let readme = read(&format!("crates/{name}/README.md"));
        let body = readme
            .strip_prefix(&format!("# {name}\n\n"))
            .unwrap_or_default();
        let sentence = body.split("\n\n").next().unwrap_or_default();
        if !sentence.ends_with('.')
            || sentence.lines().count() > 3
            || sentence.matches(". ").count() > 1
        {
            broken.push(format!("crates/{name}/README.md does not begin with its name and a sentence: {sentence:.80?}"));
        }
        if !read(&format!("crates/{name}/src/lib.rs"))
            .contains("#![doc = include_str!(\"../README.md\")]")
        {
            broken.push(format!("crates/{name}/src/lib.rs does not show the README"));
        }
    }
    none("READMEs", &broken);
}

#[test]
fn every_file_is_named_after_what_it_is_about() {
    let vague = |path: &String| {
        Path::new(path).components().any(|part| {
            part.as_os_str()
                .to_str()
                .is_some_and(|name| VAGUE.contains(&name.trim_end_matches(".rs")))
        })
    };
    assert!(
        vague(&"crates/x/src/utils.rs".to_owned())
            && vague(&"crates/x/src/common/a.rs".to_owned())
            && !vague(&"crates/x/src/utilisation.rs".to_owned())
    );
    let all: Vec<String> = files("crates")
        .into_iter()
        .chain(files("agent"))
        .filter(|path| path.ends_with(".rs"))
        .collect();
    none(
        "vague names",
        &all.iter()
            .filter(|path| vague(path))
            .cloned()
            .collect::<Vec<_>>(),
    );
    let silent = |path: &&String| {
        is_code(path)
            && !read(path).starts_with("//!")
            && !read(path).starts_with("#![")
            && !path.ends_with("/tests.rs")
    };
    none(
        "files that do not say what they are about",
        &all.iter().filter(silent).cloned().collect::<Vec<_>>(),
    );
}

#[test]
fn every_route_stands_in_the_docs() {
    let docs = read("docs/HTTP.md");
    let source = read("agent/src/http/mod.rs");
    let quoted = source
        .lines()
        .filter(|line| line.contains("=>") || line.contains("strip_prefix"))
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    let routes: BTreeSet<String> = quoted
        .filter(|text| text.starts_with('/'))
        .map(ToOwned::to_owned)
        .collect();
    assert!(
        routes.contains("/status"),
        "the routes were not found: {routes:?}"
    );
    none(
        "routes that docs/HTTP.md does not tell",
        &routes
            .into_iter()
            .filter(|route| !docs.contains(&format!("`{route}")))
            .collect::<Vec<_>>(),
    );
}

/// What an operator reads in a log and looks up stands there as the agent says it.
#[test]
fn what_the_troubleshooting_page_quotes_is_what_the_code_says() {
    let code: String = files("agent/src")
        .iter()
        .chain(&files("crates"))
        .filter(|path| path.ends_with(".rs") && !path.contains("/tests/"))
        .map(|path| read(path))
        .collect();
    let page = read("docs/TROUBLESHOOTING.md");
    let seen = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let quotes: Vec<&str> = seen
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|quote| quote.contains(' '))
        .collect();
    assert!(quotes.len() > 15, "the quotes were not found: {quotes:?}");
    none(
        "quotes of docs/TROUBLESHOOTING.md that nothing says",
        &quotes
            .into_iter()
            .filter(|quote| !code.contains(quote))
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let manifests = manifests();
    let pages = files("docs")
        .into_iter()
        .chain(
            manifests
                .iter()
                .map(|path| path.replace("Cargo.toml", "README.md")),
        )
        .chain(["README.md".to_owned()]);
    for page in pages.filter(|page| page.ends_with(".md") && top().join(page).exists()) {
        let text = read(&page);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target.split('#').next().unwrap_or_default());
        for target in targets.filter(|target| {
            !target.is_empty()
                && !target.contains("://")
                && !target.contains("::")
                && target.contains(['.', '/'])
        }) {
            if !top().join(&page).parent().unwrap().join(target).exists() {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    none("links that lead nowhere", &broken);
}

#[test]
fn no_dependency_is_newer_than_the_declared_rust_version_or_brings_a_second_tls() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What other platforms need is not downloaded where this is built.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--all-features",
            "--filter-platform",
            &platform,
        ])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let number = |version: &str| -> Vec<u32> {
        let mut parts: Vec<u32> = version
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        parts.resize(3, 0);
        parts
    };
    let ours = packages
        .iter()
        .find(|package| package["name"] == "sigma-agent")
        .unwrap()["rust_version"]
        .as_str()
        .unwrap()
        .to_owned();
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| {
            package["rust_version"]
                .as_str()
                .is_some_and(|version| number(version) > number(&ours))
        })
        .map(|package| {
            format!(
                "{} {} needs {}",
                package["name"], package["version"], package["rust_version"]
            )
        })
        .collect();
    none(
        &format!("dependencies that need more than Rust {ours}"),
        &newer,
    );
    let unwanted: Vec<String> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .filter(|name| ["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"].contains(name))
        .map(ToOwned::to_owned)
        .collect();
    none("crates that must not be built in", &unwanted);
}
