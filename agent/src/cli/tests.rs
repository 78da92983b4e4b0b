use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use super::config::Identity;
use super::*;

/// Parses `args` with the environment `env` and no file but the one they name.
fn parse_with(args: &[&str], env: &[(&str, &str)]) -> Result<Command, Refusal> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    parse(&args, &|name| env.get(name).map(OsString::from))
}

fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
    match parse_with(args, env) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?} {env:?} gave {other:?}"),
    }
}

fn mistakes(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    match parse_with(args, env) {
        Err(Refusal::Mistakes(mistakes)) => mistakes.into_iter().map(|mistake| mistake.0).collect(),
        other => panic!("{args:?} {env:?} gave {other:?}"),
    }
}

fn temporary_file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sigma-agent-cli-{}-{name}", std::process::id()));
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    path
}

#[test]
fn defaults_are_those_of_the_specification() {
    let config = config(&[], &[]);
    assert_eq!(config.api.url, "http://localhost:3000/api");
    assert_eq!(config.api.key, KeySource::None);
    assert_eq!(config.interval, Duration::from_secs(60));
    assert_eq!(
        config.identity,
        Identity {
            hostname: None,
            alias: None,
            ssh_port: 22
        }
    );
    assert_eq!(config.http.unwrap().port, 9102);
    assert_eq!(config.scan, None);
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = temporary_file(
        "order",
        "interval: 30\nssh_port: 2200\nalias: from-file\nhostname: h-file\n",
    );
    let file = file.to_str().unwrap();
    let got = config(
        &["--config", file, "--interval", "10"],
        &[
            ("AGENT_INTERVAL", "20"),
            ("AGENT_SSH_PORT", "2222"),
            ("AGENT_ALIAS", ""),
        ],
    );
    assert_eq!(got.interval, Duration::from_secs(10));
    assert_eq!(got.identity.ssh_port, 2222);
    assert_eq!(
        got.identity.alias.as_deref(),
        Some("from-file"),
        "an empty variable is as good as none"
    );
    assert_eq!(got.identity.hostname.as_deref(), Some("h-file"));
    assert_eq!(got.first_contact, FirstContact::Register);
}

#[test]
fn switches_take_the_forms_people_use() {
    for (args, env, on) in [
        (&["--port-scan"][..], &[][..], true),
        (
            &["--port-scan=false"],
            &[("AGENT_PORT_SCAN", "true")],
            false,
        ),
        (&[], &[("AGENT_PORT_SCAN", "1")], true),
        (&[], &[("AGENT_PORT_SCAN", "yes")], true),
        (&[], &[("AGENT_PORT_SCAN", "")], false),
        (&[], &[("AGENT_PORT_SCAN", "off")], false),
    ] {
        assert_eq!(config(args, env).scan.is_some(), on, "{args:?} {env:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_name_value_and_what_is_allowed() {
    let file = temporary_file("mistakes", "intervall: 5\nssh_port: 0\n");
    let file = file.to_str().unwrap();
    let got = mistakes(
        &["--config", file, "--interval", "0", "--api-url", "ftp://x"],
        &[("AGENT_PORT_SCAN_RANGE", "30000-10000")],
    );
    let text = got.join("\n");
    for part in [
        "--interval: \"0\" (command line) is not allowed; allowed: 1 to 150 seconds",
        "--api-url: \"ftp://x\" (command line)",
        "--port-scan-range: \"30000-10000\" (AGENT_PORT_SCAN_RANGE)",
        "line 1: unknown key `intervall`; did you mean `interval`?",
        "--ssh-port: \"0\"",
        "line 2) is not allowed",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(got.len(), 5, "{text}");
}

#[test]
fn a_bad_range_is_a_mistake_even_while_scanning_is_off() {
    assert_eq!(mistakes(&["--port-scan-range", "abc"], &[]).len(), 1);
}

#[test]
fn a_named_file_must_exist_but_the_default_one_need_not() {
    let got = mistakes(&["--config", "/nonexistent/agent.yaml"], &[]);
    assert!(
        got[0].contains("/nonexistent/agent.yaml") && got[0].contains("cannot be read"),
        "{got:?}"
    );
}

#[test]
fn secrets_do_not_show_in_mistakes_or_debug() {
    let got = mistakes(&["--api-key", "sk_sigma_se\ncret"], &[]);
    assert!(!got[0].contains("cret"), "{got:?}");
    let config = config(&[], &[("SIGMA_API_KEY", "sk_sigma_secret\n")]);
    assert!(
        matches!(config.api.key, KeySource::Given(_)),
        "a trailing newline is trimmed"
    );
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn an_empty_key_means_no_key() {
    assert_eq!(
        config(&[], &[("SIGMA_API_KEY", "")]).api.key,
        KeySource::None
    );
    assert_eq!(
        config(&[], &[("SIGMA_API_KEY", " \n")]).api.key,
        KeySource::None
    );
}

#[test]
fn the_key_file_of_a_stronger_source_wins_and_two_in_one_place_are_a_mistake() {
    let key = temporary_file("key", "from-the-file\n");
    let key = key.to_str().unwrap();
    let got = config(&["--api-key-file", key], &[("SIGMA_API_KEY", "from-env")]);
    assert_eq!(got.api.key, KeySource::File(PathBuf::from(key)));
    let got = config(&["--api-key", "from-flag"], &[("SIGMA_API_KEY_FILE", key)]);
    assert!(matches!(got.api.key, KeySource::Given(_)));
    assert_eq!(
        mistakes(&["--api-key", "a", "--api-key-file", key], &[]).len(),
        1
    );
    assert!(mistakes(&["--api-key-file", "/nonexistent/key"], &[])[0].contains("/nonexistent/key"));
    let empty = temporary_file("empty-key", "\n");
    assert!(mistakes(&["--api-key-file", empty.to_str().unwrap()], &[])[0].contains("empty"));
}

#[test]
fn a_credential_of_the_service_manager_is_found() {
    let folder = std::env::temp_dir().join(format!(
        "sigma-agent-cli-{}-credentials",
        std::process::id()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("sigma_api_key"), "k").unwrap();
    let got = config(&[], &[("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())]);
    assert_eq!(got.api.key, KeySource::File(folder.join("sigma_api_key")));
}

#[test]
fn unknown_flags_get_a_suggestion_and_help_names_every_option() {
    let Err(Refusal::Usage(text)) = parse_with(&["--intervall", "5"], &[]) else {
        panic!()
    };
    assert!(text.contains("--interval"), "{text}");
    let Ok(Command::Print(help)) = parse_with(&["--help"], &[]) else {
        panic!()
    };
    for option in OPTIONS {
        assert!(
            help.contains(&format!("--{}", option.name)) && help.contains(option.env),
            "{} is missing",
            option.name
        );
    }
    let Ok(Command::Print(version)) = parse_with(&["--version"], &[]) else {
        panic!()
    };
    assert_eq!(
        version.trim(),
        format!("sigma-agent {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn defaults_in_the_table_are_allowed_values() {
    // Would be a mistake of this program, met by every operator: so every default must parse.
    let none = |_: &Opt| None;
    assert!(Config::load(&|_| true, &none, &|_| None).is_ok());
}

#[test]
fn defaults_of_ipdiscover_are_the_defaults_here() {
    let default = |name| options::find(name).unwrap().default;
    assert_eq!(
        default("ignore-interfaces"),
        ipdiscover::Patterns::DEFAULT.join(",")
    );
    assert_eq!(
        default("public-ip-services"),
        ipdiscover::public::DEFAULT_SERVICES.join(",")
    );
}

#[test]
fn options_have_unique_names_and_variables() {
    for (index, option) in OPTIONS.iter().enumerate() {
        for other in &OPTIONS[index + 1..] {
            assert!(
                option.name != other.name && option.env != other.env,
                "{} and {}",
                option.name,
                other.name
            );
        }
    }
}

#[test]
fn an_option_that_needs_a_restart_is_named_by_a_reload_and_no_other_is() {
    let changed = |name: &str| match name {
        "metrics-port" => "9999",
        "metrics-address" => "127.0.0.1",
        "port-scan" | "node-compat" => "true",
        "port-scan-range" => "20000-20001",
        "port-scan-method" => "listen",
        "port-scan-exclude" => "5",
        "port-scan-sources" => "haproxy",
        "attribution" => "off",
        "host-root" | "host-proc" => "/tmp",
        "log-format" => "json",
        "log-level" => "debug",
        "interval" | "port-scan-interval" => "7",
        "ssh-port" => "2022",
        "public-ip" => "203.0.113.1",
        "public-ip-lookup" => "off",
        "alias" => "a.example",
        "first-contact" => "heartbeat",
        "api-env-proxy" => "true",
        _ => "http://x.example/y",
    };
    for option in OPTIONS.iter().filter(|option| {
        !matches!(
            option.name,
            "config"
                | "http-token-file"
                | "api-ca"
                | "api-key-file"
                | "api-client-cert"
                | "api-client-key"
                | "hostname"
        )
    }) {
        let flag = format!("--{}={}", option.name, changed(option.name));
        let names = needs_restart(
            &config(&["--port-scan"], &[]),
            &config(
                &[flag.as_str(), "--port-scan"][..if option.name == "port-scan" { 1 } else { 2 }],
                &[],
            ),
        );
        if option.name == "port-scan" {
            continue;
        }
        assert_eq!(
            names.contains(&option.name),
            option.reload == Reload::Restart,
            "{}: {names:?}",
            option.name
        );
    }
}

/// The table of options as docs/CONFIG.md shows it.
fn documented() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        text.push_str(&format!("\n### {}\n\n| flag | environment | file | default | meaning | on reload |\n|---|---|---|---|---|---|\n", section.title()));
        for option in OPTIONS.iter().filter(|option| option.section == section) {
            let value = option.value.map_or_else(String::new, |value| {
                format!(" {}", value.replace('|', "\\|"))
            });
            let default = if option.default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", option.default)
            };
            let reload = if option.reload == Reload::Live {
                "taken over"
            } else {
                "needs a restart"
            };
            let key = if option.name == "config" {
                "-".to_owned()
            } else {
                format!("`{}`", option.key())
            };
            text.push_str(&format!(
                "| `--{}{value}` | `{}` | {key} | {} | {} | {reload} |\n",
                option.name,
                option.env,
                default.replace(',', ", "),
                option.help.replace('|', "\\|")
            ));
        }
    }
    text
}

#[test]
fn docs_list_every_option_as_the_table_has_it() {
    const BEGIN: &str = "<!-- options: begin -->\n";
    const END: &str = "\n<!-- options: end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the begin mark");
    let (table, tail) = rest.split_once(END).expect("the end mark");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{}{END}{tail}", documented())).unwrap();
        return;
    }
    assert_eq!(
        table,
        documented(),
        "docs/CONFIG.md is not what the table of options says; UPDATE_GOLDEN=1 writes it anew"
    );
}
