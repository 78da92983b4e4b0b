use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use super::options::{self, Reload};
use super::*;

/// Parses `args` with the environment `env` and no file but the one they name.
fn parse_with(args: &[&str], env: &[(&str, &str)]) -> Result<Command, Refusal> {
    parse_as("sigma-agent", args, env)
}

fn parse_as(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Command, Refusal> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    parse(Call {
        program: OsStr::new(program),
        args: &args,
        env: &|name| env.get(name).map(OsString::from),
        variables: &|| env.keys().map(OsString::from).collect(),
    })
}

fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
    match parse_with(args, env) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?} {env:?} gave {other:?}"),
    }
}

/// The part of the configuration that heartbeats need.
fn sigma(args: &[&str], env: &[(&str, &str)]) -> Sigma {
    config(args, env).sigma.unwrap()
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
    let sigma = config.sigma.unwrap();
    assert_eq!(sigma.api.url, "http://localhost:3000/api");
    assert_eq!(sigma.api.key, KeySource::None);
    assert_eq!(sigma.interval, Duration::from_secs(60));
    assert_eq!(
        (config.hostname, sigma.alias, sigma.ssh_port),
        (None, None, 22)
    );
    assert_eq!(config.http.unwrap().ports, [9102]);
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
    let sigma = got.sigma.unwrap();
    assert_eq!(sigma.interval, Duration::from_secs(10));
    assert_eq!(sigma.ssh_port, 2222);
    assert_eq!(
        sigma.alias.as_deref(),
        Some("from-file"),
        "an empty variable is as good as none"
    );
    assert_eq!(got.hostname.as_deref(), Some("h-file"));
    assert_eq!(sigma.first_contact, FirstContact::Register);
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
        matches!(&config.sigma, Some(sigma) if matches!(sigma.api.key, KeySource::Given(_))),
        "a trailing newline is trimmed"
    );
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn an_empty_key_means_no_key() {
    assert_eq!(
        sigma(&[], &[("SIGMA_API_KEY", "")]).api.key,
        KeySource::None
    );
    assert_eq!(
        sigma(&[], &[("SIGMA_API_KEY", " \n")]).api.key,
        KeySource::None
    );
}

#[test]
fn the_key_file_of_a_stronger_source_wins_and_two_in_one_place_are_a_mistake() {
    let key = temporary_file("key", "from-the-file\n");
    let key = key.to_str().unwrap();
    let got = sigma(&["--api-key-file", key], &[("SIGMA_API_KEY", "from-env")]);
    assert_eq!(got.api.key, KeySource::File(PathBuf::from(key)));
    let got = sigma(&["--api-key", "from-flag"], &[("SIGMA_API_KEY_FILE", key)]);
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
    let got = sigma(&[], &[("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())]);
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
    for option in options::all() {
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
    for role in Role::ALL {
        let none = |_: &Opt| None;
        let wanted = |option: &Opt| option.name != "config";
        // What no default can give: a machine's own key.
        let env = |name: &str| (name == "LUNASENTRI_API_KEY").then(|| OsString::from("k"));
        let loaded = Config::load(role, &wanted, &none, &env);
        assert!(loaded.config.is_ok(), "{role:?}: {:?}", loaded.config);
    }
}

#[test]
fn defaults_of_ipdiscover_are_the_defaults_here() {
    let default = |name| options::find(name).unwrap().default(Role::Sigma);
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
    let options: Vec<&Opt> = options::all().collect();
    for (index, option) in options.iter().enumerate() {
        for other in &options[index + 1..] {
            let same_name = Role::ALL
                .into_iter()
                .any(|role| option.name(role) == other.name(role));
            assert!(
                !same_name && option.name != other.name && option.env != other.env,
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
        "port-scan" | "push" | "heartbeat" => "false",
        "node-compat" | "guest-api" | "push-plain-http" | "push-env-proxy" => "true",
        "role" => "guest",
        "log-output" => "stdout",
        "log-file-mib" | "push-backlog-mib" => "3",
        "push-interval" | "push-retry-backoff" => "7s",
        "push-system-info-period" | "push-backlog-age" => "7h",
        "push-max-retries" => "7",
        "push-backfill" => "all",
        "vm-id" => "vm-7",
        "manager-url" => "http://10.0.0.1:18080",
        "report-interface" => "eth1",
        "push-key" | "push-next-key" | "api-key" => "another",
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
        "alias" | "hostname" => "a.example",
        "first-contact" => "heartbeat",
        "sandbox" => "off",
        "api-env-proxy" => "true",
        "signature-policy" => "archive",
        "public-key" | "nats-commands-key" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "programs" | "connectivity-guard" | "rollback-verifier-failure" | "nats-flat-subjects" => {
            "false"
        }
        "registry-env-proxy" | "programs-plain-http" | "nats-jetstream" => "true",
        "poll-interval" | "vault-refresh" | "max-programs" | "default-ttl" => "77",
        "vault-max-age" => "7777",
        name if name.starts_with("rollback-max") => "77",
        "rollback-check-interval" | "rollback-delay" => "7",
        "rollback-counting" => "cumulative",
        "rollback-mode" => "previous",
        "nats-url" => "nats://other.example:4222",
        "nats-commands-stream" => "other",
        "telemetry-subject" | "host-id" | "vault-key" | "vault-mount" | "vault-namespace"
        | "vault-kv-path" | "vault-kv-field" | "vault-kv-mount" => "other",
        "vault-token" => "another",
        "cache-dir" | "programs-state-dir" | "pins-dir" => "/tmp/other",
        "vault-url" => "https://x.example/y",
        _ => "http://x.example/y",
    };
    // Files that must be there, and options without which another is a mistake, are left out.
    let needs_more = |option: &Opt| {
        option.value == Some("FILE") && option.name != "log-file"
            || matches!(option.name, "push-url" | "nats-user")
    };
    let all_on = [
        "--port-scan",
        "--push",
        "--push-key=k",
        "--vm-id=vm-1",
        "--manager-url=http://10.0.0.2",
        "--log-file=/dev/null",
        "--programs",
        "--vault-key=signing",
        "--vault-kv-path=signer",
    ];
    for option in options::all().filter(|option| !needs_more(option)) {
        let flag = format!("--{}={}", option.name, changed(option.name));
        let own = [format!("--{}", option.name), format!("--{}=", option.name)];
        let rest = all_on
            .into_iter()
            .filter(|other| *other != own[0] && !other.starts_with(&own[1]));
        let with: Vec<&str> = rest.chain([flag.as_str()]).collect();
        let names = needs_restart(&config(&all_on, &[]), &config(&with, &[]));
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
    const HEAD: &str = "| flag | environment | file | default | meaning | on reload |\n|---|---|---|---|---|---|\n";
    let mut text = String::new();
    let mut section = None;
    for option in options::all() {
        if section.replace(option.section) != Some(option.section) {
            text.push_str(&format!("\n### {}\n\n{HEAD}", option.section.title));
        }
        text.push_str(&row(option));
    }
    text
}

fn row(option: &Opt) -> String {
    let usual = Role::Sigma;
    let others = || Role::ALL.into_iter().filter(move |role| *role != usual);
    let value = option.value.map_or_else(String::new, |value| {
        format!(" {}", value.replace('|', "\\|"))
    });
    let code = |text: &str| match text {
        "" => "none".to_owned(),
        text => format!("`{}`", text.replace(',', ", ")),
    };
    let mut flag = format!("`--{}{value}`", option.name(usual));
    let mut key = format!("`{}`", option.key(usual));
    let mut default = code(option.default(usual));
    let mut variable = format!("`{}`", option.env);
    for role in others() {
        if option.name(role) != option.name(usual) {
            flag.push_str(&format!("; {}: `--{}`", role.as_str(), option.name(role)));
            key.push_str(&format!("; {}: `{}`", role.as_str(), option.key(role)));
        }
        if option.default(role) != option.default(usual) {
            let own = code(option.default(role));
            default.push_str(&format!("; {}: {own}", role.as_str()));
        }
        if let Some(own) = option.variables(role).find(|name| *name != option.env) {
            variable.push_str(&format!("; {}: `{own}`", role.as_str()));
        }
    }
    if !option.stands_in_file() {
        "-".clone_into(&mut key);
    }
    let reload = match option.reload {
        Reload::Live => "taken over",
        Reload::Restart => "needs a restart",
    };
    format!(
        "| {flag} | {variable} | {key} | {default} | {} | {reload} |\n",
        option.help.replace('|', "\\|")
    )
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
    let wanted = documented();
    let missing: Vec<&str> = wanted
        .lines()
        .filter(|line| !table.contains(line))
        .collect();
    assert!(
        table == wanted,
        "docs/CONFIG.md is not what the table of options says; UPDATE_GOLDEN=1 writes it anew. It lacks:\n{}",
        missing.join("\n")
    );
}

/// Every command with its full name, and what it ends with.
fn commands() -> Vec<(String, clap::Command)> {
    let mut all = vec![("sigma-agent".to_owned(), arguments::command(Role::Sigma))];
    let mut next = 0;
    while let Some((name, command)) = all.get(next).cloned() {
        all.extend(
            command
                .get_subcommands()
                .map(|sub| (format!("{name} {}", sub.get_name()), sub.clone())),
        );
        next += 1;
    }
    all
}

#[test]
fn docs_name_every_command_and_its_exit_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMMANDS.md");
    let page = std::fs::read_to_string(path).unwrap();
    let all = commands();
    assert!(all.len() > 15, "{}", all.len());
    for (name, command) in all {
        let Some((_, short)) = name.split_once(' ') else {
            continue;
        };
        assert!(page.contains(&format!("`{name}`")), "{name} is missing");
        let help = command
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (_, exits) = help
            .split_once("Exit codes:\n")
            .unwrap_or_else(|| panic!("{name} has no exit codes"));
        for line in exits.lines() {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            let row = |of: &str| format!("| {of} | {code} | {} |", meaning.trim());
            let told = page.contains(&row("all")) || page.contains(&row(&format!("`{short}`")));
            assert!(told, "{name}: {line:?} is missing");
        }
    }
}

#[test]
fn every_command_has_examples_that_can_be_followed() {
    for (name, command) in commands() {
        let help = command
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (_, examples) = help
            .split_once("Examples:\n")
            .unwrap_or_else(|| panic!("{name} has no examples"));
        let examples = examples.split("\n\n").next().unwrap();
        assert!(examples.contains(&name), "{name}:\n{examples}");
        assert!(
            command.get_after_help().is_some(),
            "{name}: -h does not tell of --help"
        );
        let own = examples
            .lines()
            .filter_map(|line| line.trim().strip_prefix("sigma-agent "));
        for line in own {
            // What belongs to the shell, and not to the command.
            let plain = line.split(['|', '>', '#', '\\']).next().unwrap();
            let args: Vec<OsString> = plain.split_whitespace().map(OsString::from).collect();
            let parsed = arguments::command(Role::Sigma)
                .no_binary_name(true)
                .try_get_matches_from(&args);
            let kind = parsed.err().map(|error| error.kind());
            // An example may go on in the next line.
            let missing = line.ends_with('\\')
                && kind == Some(clap::error::ErrorKind::MissingRequiredArgument);
            assert!(kind.is_none() || missing, "{line:?}: {kind:?}");
        }
    }
}

#[test]
fn help_is_found_by_flag_and_by_word() {
    let printed = |args: &[&str]| match parse_with(args, &[]) {
        Ok(Command::Print(text)) => text,
        other => panic!("{args:?} gave {other:?}"),
    };
    assert_eq!(printed(&["help"]), printed(&["--help"]));
    assert_eq!(
        printed(&["help", "ports", "allocate"]),
        printed(&["ports", "allocate", "--help"])
    );
    let (short, long) = (printed(&["health", "-h"]), printed(&["health", "--help"]));
    assert!(
        short.lines().count() < 15 && long.contains("--metrics-port"),
        "{short}"
    );
}

#[test]
fn typos_are_answered_with_what_was_meant() {
    let refusal = |args: &[&str]| parse_with(args, &[]).unwrap_err().to_string();
    for (args, meant) in [
        (&["--role", "sgma"][..], "did you mean `sigma`?"),
        (&["--log-format", "jsn"], "did you mean `json`?"),
        (&["--metrics-prot", "1"], "'--metrics-port'"),
        (&["chek"], "'check'"),
        (&["ports", "alocate", "1"], "'allocate'"),
        (&["-interval", "5"], "two dashes: --interval"),
        (
            &["--role", "luna", "info"],
            "lunasentri-agent info [OPTIONS]",
        ),
    ] {
        let text = refusal(args);
        assert!(text.contains(meant), "{args:?}: {text}");
    }
}

#[test]
fn a_variable_that_is_almost_one_of_ours_is_warned_of_and_those_of_others_are_not() {
    let env = [
        ("AGENT_INTERVALL", "5"),
        ("AGENT_NAME", "jenkins"),
        ("AGENT_INTERVAL", "6"),
        ("INTERVALL", "7"),
    ];
    let warnings = config(&[], &env).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("AGENT_INTERVALL")
            && warnings[0].ends_with("did you mean AGENT_INTERVAL?"),
        "{warnings:?}"
    );
}

/// The configuration file of the specification, as it is in use.
const SPECIFIED: &str = "# LunaSentri Agent Configuration
server_url: \"https://lunasentri-api.serverplus.org/\"
api_key: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"
interval: \"10s\"
retry_backoff: \"5s\"
max_retries: 3
system_info_period: \"1h\"
";

fn luna(args: &[&str], env: &[(&str, &str)]) -> Push {
    match parse_as("/usr/local/bin/lunasentri-agent", args, env) {
        Ok(Command::Run(config)) => config.push.unwrap(),
        other => panic!("{args:?} {env:?} gave {other:?}"),
    }
}

#[test]
fn the_file_of_the_luna_specification_works_unchanged() {
    let file = temporary_file("luna", SPECIFIED);
    let file = file.to_str().unwrap();
    let push = luna(&["--config", file], &[]);
    assert_eq!(
        push.server_url.as_str(),
        "https://lunasentri-api.serverplus.org"
    );
    assert!(matches!(&push.key, KeySource::Given(key) if key.expose().starts_with("AAEC")));
    assert_eq!(
        (push.interval, push.retry_backoff, push.max_retries),
        (Duration::from_secs(10), Duration::from_secs(5), 3)
    );
    assert_eq!(push.system_info_period, Duration::from_secs(3600));
    assert_eq!(push.backfill, Backfill::Off);
    // Command line over environment over file, in the spellings of the original.
    let push = luna(
        &[
            "-config",
            file,
            "-interval=30s",
            "--server-url",
            "https://one.example",
        ],
        &[
            ("LUNASENTRI_SERVER_URL", "https://other.example"),
            ("LUNASENTRI_MAX_RETRIES", "0"),
            ("LUNASENTRI_RETRY_BACKOFF", "1m"),
        ],
    );
    assert_eq!(push.server_url.as_str(), "https://one.example");
    assert_eq!(
        (push.interval, push.retry_backoff, push.max_retries),
        (Duration::from_secs(30), Duration::from_secs(60), 0)
    );
}

#[test]
fn a_luna_agent_without_a_key_or_with_a_key_for_everybody_to_read_does_not_start() {
    let said = |args: &[&str], env: &[(&str, &str)]| -> String {
        match parse_as("lunasentri-agent", args, env) {
            Err(Refusal::Mistakes(mistakes)) => mistakes.iter().map(|m| format!("{m}\n")).collect(),
            other => panic!("{args:?} gave {other:?}"),
        }
    };
    let none = temporary_file("luna-empty", "");
    let none = none.to_str().unwrap();
    assert!(said(&["--config", none], &[]).contains("--api-key-file is missing"));
    let key = ("LUNASENTRI_API_KEY", "k");
    let plain = ["--config", none, "--server-url", "http://luna.example"];
    assert!(said(&plain, &[key]).contains("plain http"));
    luna(
        &["--config", none, "--server-url", "http://127.0.0.1:8080"],
        &[key],
    );
    luna(&[&plain[..], &["--plain-http"]].concat(), &[key]);
    let wrong = temporary_file(
        "luna-wrong",
        "api_key: k\ninterval: 30\nmax_retries: -1\nretry_backof: 5s\nsystem_info_period: soon\n",
    );
    let said = said(&["--config", wrong.to_str().unwrap()], &[]);
    for part in [
        "--interval: \"30\"",
        "--max-retries: \"-1\"",
        "did you mean `retry_backoff`?",
        "--system-info-period: \"soon\"",
        "such as 10s",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert!(!said.contains("api_key: k"));
}

#[test]
fn every_loop_can_be_switched_on_in_any_role() {
    let both = config(
        &["--push", "--push-key", "k", "--api-key", "s", "--guest-api"],
        &[],
    );
    assert!(both.sigma.is_some() && both.push.is_some() && both.guest.api);
    let Ok(Command::Run(luna)) = parse_as(
        "lunasentri-agent",
        &[
            "--api-key",
            "k",
            "--heartbeat",
            "--sigma-api-key",
            "s",
            "--sigma-interval",
            "5",
            "--metrics-port",
            "9102",
            "--port-scan",
        ],
        &[],
    ) else {
        panic!()
    };
    let sigma = luna.sigma.unwrap();
    assert!(matches!(&sigma.api.key, KeySource::Given(key) if key.expose() == "s"));
    assert_eq!(sigma.interval, Duration::from_secs(5));
    assert!(luna.scan.is_some() && luna.http.is_some());
    let Ok(Command::Run(guest)) = parse_as("guest-agent", &["--config", "/nonexistent.conf"], &[])
    else {
        // A file that is named must be there.
        let Ok(Command::Run(guest)) = parse_as("guest-agent", &[], &[]) else {
            panic!()
        };
        assert_eq!(guest.http.unwrap().ports, [8080]);
        assert!(guest.sigma.is_none() && guest.push.is_none() && guest.guest.api);
        return;
    };
    panic!("{guest:?}");
}

#[test]
fn secrets_are_hidden_from_those_who_list_the_settings() {
    let Ok(Command::Check(wanted)) = parse_with(
        &["check", "--api-key", "sk_sigma_secret", "--json"],
        &[("LUNASENTRI_API_KEY", "luna-secret")],
    ) else {
        panic!()
    };
    let shown = format!("{:?}", wanted.settings);
    assert!(
        !shown.contains("sigma_secret")
            && !shown.contains("luna-secret")
            && shown.contains("(hidden)"),
        "{shown}"
    );
    let setting = |name: &str| {
        wanted
            .settings
            .iter()
            .find(|setting| setting.name == name)
            .unwrap()
    };
    assert_eq!(setting("api-key").origin.to_string(), "command line");
    assert_eq!(setting("interval").origin.to_string(), "default");
}

fn aegis(args: &[&str], env: &[(&str, &str)]) -> Config {
    match parse_as("/usr/bin/local-agent", args, env) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?} {env:?} gave {other:?}"),
    }
}

#[test]
fn the_22_variables_of_the_aegis_specification_have_their_names_and_defaults() {
    const SPECIFIED: [(&str, &str); 22] = [
        ("AGENT_HOST_ID", "localhost"),
        ("AGENT_REGISTRY_URL", "http://localhost:8084"),
        ("AGENT_POLL_INTERVAL_SEC", "30"),
        ("AGENT_NATS_URL", "nats://localhost:4222"),
        ("AGENT_VAULT_URL", "http://localhost:8200"),
        ("AGENT_VAULT_TOKEN", "dev-token"),
        ("AGENT_PUBLIC_KEY", ""),
        ("AGENT_CACHE_DIR", "/tmp/aegisflux-agent"),
        ("AGENT_MAX_PROGRAMS", "10"),
        ("AGENT_DEFAULT_TTL_SEC", "3600"),
        ("AGENT_LOG_LEVEL", "info"),
        ("AGENT_TELEMETRY_SUBJECT", "agent.telemetry"),
        ("AGENT_HTTP_PORT", "8080"),
        // The specification says empty, for all interfaces.
        ("AGENT_HTTP_ADDRESS", "::"),
        ("AGENT_ROLLBACK_MAX_ERRORS", "10"),
        ("AGENT_ROLLBACK_MAX_VIOLATIONS", "100"),
        ("AGENT_ROLLBACK_MAX_CPU_PERCENT", "80.0"),
        ("AGENT_ROLLBACK_MAX_LATENCY_MS", "1000.0"),
        ("AGENT_ROLLBACK_MAX_MEMORY_KB", "102400"),
        ("AGENT_ROLLBACK_VERIFIER_FAILURE", "true"),
        ("AGENT_ROLLBACK_CHECK_INTERVAL_SEC", "30"),
        ("AGENT_ROLLBACK_DELAY_SEC", "5"),
    ];
    for (variable, default) in SPECIFIED {
        let option = options::all()
            .find(|option| option.variables(Role::Aegis).any(|known| known == variable))
            .unwrap_or_else(|| panic!("{variable} is not known"));
        assert_eq!(option.default(Role::Aegis), default, "{variable}");
    }
    let got = aegis(
        &[],
        &[
            ("AGENT_HOST_ID", "db-02"),
            ("AGENT_REGISTRY_URL", "http://registry:8090"),
            ("AGENT_POLL_INTERVAL_SEC", "7"),
            ("AGENT_NATS_URL", "nats://a:4222,nats://b:4222"),
            ("AGENT_HTTP_PORT", "9999"),
            ("AGENT_HTTP_ADDRESS", "127.0.0.1"),
            ("AGENT_MAX_PROGRAMS", "3"),
            ("AGENT_ROLLBACK_MAX_CPU_PERCENT", "12.5"),
            ("AGENT_ROLLBACK_VERIFIER_FAILURE", "false"),
        ],
    );
    let http = got.http.unwrap();
    assert_eq!(
        (http.ports[0], http.address.to_string()),
        (9999, "127.0.0.1".to_owned())
    );
    let programs = got.programs.unwrap();
    assert_eq!(programs.host_id.as_str(), "db-02");
    assert_eq!(programs.registry.url, "http://registry:8090");
    assert_eq!(programs.registry.interval, Duration::from_secs(7));
    assert_eq!(programs.nats.unwrap().urls.len(), 2);
    assert_eq!(programs.lifecycle.max_programs, 3);
    assert_eq!(programs.lifecycle.limits.max_cpu_percent, 12.5);
    assert!(!programs.lifecycle.limits.verifier_failure);
    assert_eq!(programs.policy, bpf_artifact::Policy::Strict);
    assert!(programs.vault.is_none() && programs.public_keys.is_empty());
}

#[test]
fn mistakes_about_programs_are_told_and_dangers_are_warned_of() {
    let said = |args: &[&str], env: &[(&str, &str)]| -> String {
        match parse_as("local-agent", args, env) {
            Err(Refusal::Mistakes(mistakes)) => mistakes.iter().map(|m| format!("{m}\n")).collect(),
            other => panic!("{args:?} gave {other:?}"),
        }
    };
    let all = said(
        &[],
        &[
            ("AGENT_ROLLBACK_CHECK_INTERVAL_SEC", "0"),
            ("AGENT_HTTP_PORT", "99999"),
            ("AGENT_MAX_PROGRAMS", "0"),
            ("AGENT_PUBLIC_KEY", "nonsense"),
            ("AGENT_SIGNATURE_POLICY", "none"),
            ("AGENT_NATS_URL", "nats://user:secret@x"),
            ("AGENT_TELEMETRY_SUBJECT", "a.>"),
        ],
    );
    assert_eq!(all.lines().count(), 7, "{all}");
    let open = said(
        &[
            "--vault-key",
            "signing",
            "--vault-url",
            "http://vault.example:8200",
        ],
        &[],
    );
    assert!(open.contains("which keys are trusted"), "{open}");
    aegis(
        &["--vault-key", "signing", "--vault-url", "http://[::1]:8200"],
        &[],
    );
    let wrong = said(&["--vault-kv-path", "secret//signer"], &[]);
    assert!(wrong.contains("--vault-kv-path"), "{wrong}");
    let warned = aegis(&[], &[]).warnings.join("\n");
    for part in ["localhost", "no key is trusted", "/tmp"] {
        assert!(warned.contains(part), "{part:?} is missing in:\n{warned}");
    }
    let insecure = aegis(&["--signature-policy", "insecure-accept"], &[]);
    assert!(
        insecure
            .warnings
            .iter()
            .any(|warning| warning.contains("run code in this kernel"))
    );
}
