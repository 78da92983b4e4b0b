//! `sigma-agent check`: whether the agent would run well here, and what to do where it would not.

#[cfg(feature = "guest")]
mod guest;
mod host;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sigma")]
mod sigma;

use std::fmt::Write;
#[cfg(any(feature = "sigma", feature = "luna"))]
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::app::block_on;
use crate::cli::{CheckWanted, Config, Origin, Setting};
use crate::place::Place;
use crate::table::{aligned, printable};
use crate::terminal::Progress;

/// How bad a finding is, and how bad all of them are together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    Well,
    /// Somebody should look at it.
    Look,
    /// Something will not work.
    Broken,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Look => "look",
            Self::Broken => "broken",
        }
    }

    /// A text in the colour of the verdict.
    fn painted(self, text: &str, colours: bool) -> String {
        let colour = match self {
            Self::Well => 32,
            Self::Look => 33,
            Self::Broken => 31,
        };
        if colours {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A host whose clock is further off than this is told so.
#[cfg(any(feature = "sigma", feature = "luna"))]
const SKEW: Duration = Duration::from_secs(5);

/// What was looked at, what was found, and what to do about it.
struct Finding {
    verdict: Verdict,
    about: &'static str,
    what: String,
    advice: Option<String>,
}

impl Finding {
    fn well(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Verdict::Well, about, what, None)
    }

    fn look(about: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Look, about, what, Some(advice.into()))
    }

    fn broken(about: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Broken, about, what, Some(advice.into()))
    }

    fn new(
        verdict: Verdict,
        about: &'static str,
        what: impl Into<String>,
        advice: Option<String>,
    ) -> Self {
        Self {
            verdict,
            about,
            what: what.into(),
            advice,
        }
    }
}

/// What there is to print, and what it comes to.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

/// Looks at everything that the configuration asks for.
pub(crate) fn run(
    wanted: &CheckWanted,
    colours: bool,
    progress: &Progress,
) -> Result<Report, String> {
    let findings = match &wanted.config {
        Ok(config) => look(config, progress)?,
        Err(mistakes) => {
            let finding = |mistake: &crate::cli::Mistake| {
                Finding::new(Verdict::Broken, "configuration", mistake.to_string(), None)
            };
            mistakes.iter().map(finding).collect()
        }
    };
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let verdict = worst.unwrap_or(Verdict::Well);
    let text = if wanted.json {
        as_json(wanted, &findings, verdict)
    } else {
        for_people(wanted, &findings, verdict, colours)
    };
    Ok(Report { text, verdict })
}

fn look(config: &Config, progress: &Progress) -> Result<Vec<Finding>, String> {
    let mut findings: Vec<Finding> = Vec::new();
    for warning in &config.warnings {
        findings.push(Finding::new(
            Verdict::Look,
            "configuration",
            warning.clone(),
            None,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::well("configuration", "no mistake"));
    }
    progress.at("looking at this host");
    let place = Place::new(&config.host);
    findings.extend(host::look(config, &place));
    block_on(async {
        #[cfg(feature = "sigma")]
        if let Some(sigma) = &config.sigma {
            progress.at("asking the Sigma API");
            findings.extend(sigma::look(sigma, config.role).await);
        }
        #[cfg(feature = "luna")]
        if let Some(push) = &config.push {
            progress.at("asking the server that samples are pushed to");
            findings.extend(push::look(push, &config.backlog).await);
        }
        #[cfg(feature = "aegis")]
        if let Some(programs) = &config.programs {
            progress.at("asking the registry, and Vault for keys");
            findings.extend(programs::look(programs).await);
        }
        #[cfg(feature = "guest")]
        if let Some(report) = &config.guest.report {
            progress.at("asking the guest's manager");
            findings.push(guest::look(report).await);
        }
        Ok(())
    })?;
    #[cfg(feature = "aegis")]
    if let Some(programs) = &config.programs {
        progress.at("asking the kernel what it takes of programs");
        findings.extend(programs::look_here(programs, &place));
    }
    #[cfg(feature = "sigma")]
    if let Some(scan) = &config.scan {
        progress.at("looking at ports");
        findings.extend(sigma::look_at_ports(scan, &place));
    }
    #[cfg(feature = "sandbox")]
    findings.extend(sandbox::look(config));
    Ok(findings)
}

/// How far this host's clock is from a server's, which tells whole seconds.
#[cfg(any(feature = "sigma", feature = "luna"))]
fn clock(server: SystemTime) -> Finding {
    const ABOUT: &str = "clock";
    let own = SystemTime::now();
    let off = own
        .duration_since(server)
        .unwrap_or_else(|behind| behind.duration());
    if off <= SKEW {
        return Finding::well(ABOUT, "agrees with the server's");
    }
    Finding::look(
        ABOUT,
        format!("differs from the server's by {} seconds", off.as_secs()),
        "let an NTP client set it",
    )
}

fn for_people(
    wanted: &CheckWanted,
    findings: &[Finding],
    verdict: Verdict,
    colours: bool,
) -> String {
    let mut text = format!("role {}\n\n", wanted.role.as_str());
    let row = |setting: &Setting| {
        let shown = if setting.shown.is_empty() {
            "-"
        } else {
            &setting.shown
        };
        vec![
            format!("  {}", setting.name),
            shortened(shown),
            setting.origin.to_string(),
        ]
    };
    // What other roles are about is told where somebody has set it.
    let told = |setting: &&Setting| setting.main || setting.origin != Origin::Default;
    let rows: Vec<Vec<String>> = wanted.settings.iter().filter(told).map(row).collect();
    text.push_str(&aligned(&rows));
    text.push('\n');
    text.push_str(&listed(findings, colours));
    let sum = match verdict {
        Verdict::Well => "all is well",
        Verdict::Look => "it will run, but look at the above",
        Verdict::Broken => "something above will not work",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{}", verdict.painted(sum, colours));
    text
}

/// What was found, and below it what to do.
fn listed(findings: &[Finding], colours: bool) -> String {
    let row = |finding: &Finding| {
        [
            finding.verdict.as_str().to_owned(),
            finding.about.to_owned(),
            finding.what.clone(),
        ]
    };
    let table: Vec<Vec<String>> = findings.iter().map(|one| row(one).to_vec()).collect();
    let width = |column: fn(&Finding) -> &str| {
        let widths = findings.iter().map(|one| column(one).chars().count());
        widths.max().unwrap_or(0)
    };
    let before = width(|one| one.verdict.as_str()) + width(|one| one.about) + 4;
    let mut text = String::new();
    for (line, finding) in aligned(&table).lines().zip(findings) {
        let word = finding.verdict.as_str();
        let painted = finding.verdict.painted(word, colours);
        text.push_str(&line.replacen(word, &painted, 1));
        text.push('\n');
        if let Some(advice) = &finding.advice {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:before$}→ {}", "", printable(advice));
        }
    }
    text
}

/// A long list of patterns or services would hide the rest.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST - 1).collect();
    format!("{head}…")
}

fn as_json(wanted: &CheckWanted, findings: &[Finding], verdict: Verdict) -> String {
    let settings: Vec<Value> = wanted
        .settings
        .iter()
        .map(|setting| {
            json!({
                "name": setting.name,
                "value": setting.shown,
                "origin": setting.origin.to_string(),
            })
        })
        .collect();
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "verdict": finding.verdict.as_str(),
                "about": finding.about,
                "what": finding.what,
                "advice": finding.advice,
            })
        })
        .collect();
    let body = json!({
        "verdict": verdict.as_str(),
        "role": wanted.role.as_str(),
        "settings": settings,
        "findings": findings,
    });
    format!("{body:#}\n")
}
