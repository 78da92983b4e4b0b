//! What somebody may have meant who wrote something else.

use std::ffi::OsString;

#[cfg(feature = "terminal")]
use super::options;
use super::role::Role;
use super::{Call, Config};

/// The known word that is spelt most like `word`, if any is close: a third of the letters may be wrong, at most three.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// The same as the end of a sentence.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

/// The parser's words, and where they do not say what to do, ours.
#[cfg(feature = "terminal")]
pub(super) fn usage(role: Role, args: &[OsString], error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};

    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::ArgumentConflict, Some(ContextValue::String(name))) => format!(
            "error: options stand after the command: {} {name} [OPTIONS]\n",
            role.program()
        ),
        (ErrorKind::UnknownArgument, _) => match with_one_dash(role, args) {
            Some(name) => format!("error: names of options have two dashes: --{name}\n"),
            None => error.to_string(),
        },
        _ => error.to_string(),
    }
}

#[cfg(not(feature = "terminal"))]
pub(super) fn usage(_: Role, _: &[OsString], error: &clap::Error) -> String {
    error.to_string()
}

/// The option that was written `-name`, if one was.
#[cfg(feature = "terminal")]
fn with_one_dash(role: Role, args: &[OsString]) -> Option<&'static str> {
    args.iter().find_map(|arg| {
        let word = arg.to_str()?.strip_prefix('-')?.split('=').next()?;
        let mut names = options::all().map(|option| option.name(role));
        names.find(|name| *name == word)
    })
}

/// Warns of variables that look like one of ours and are none. Other programs may have some that begin alike.
#[cfg(feature = "terminal")]
pub(super) fn warn_of_variables(call: Call<'_>, role: Role, config: &mut Config) {
    let known: Vec<&str> = options::all()
        .flat_map(|option| option.variables(role))
        .collect();
    for name in (call.variables)() {
        let name = name.to_string_lossy();
        let Some((prefix, word)) = options::after_prefix(&name) else {
            continue;
        };
        let alike = known.iter().filter_map(|one| one.strip_prefix(prefix));
        let alike: Vec<&str> = alike.collect();
        if !known.contains(&&*name)
            && let Some(meant) = nearest(word, &alike)
        {
            config.warnings.push(format!(
                "the environment has {name}, which is no option of this agent; did you mean {prefix}{meant}?"
            ));
        }
    }
}

#[cfg(not(feature = "terminal"))]
pub(super) fn warn_of_variables(_: Call<'_>, _: Role, _: &mut Config) {}

/// How many letters have to be added, dropped or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate().take(64) {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            *cell = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        // Known pairs: kitten/sitting 3, flaw/lawn 2.
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn what_is_close_is_found_and_nothing_else() {
        let known = ["interval", "api_url", "on", "off", "json"];
        for (word, meant) in [
            ("intervall", Some("interval")),
            ("api-url", Some("api_url")),
            ("jsn", Some("json")),
            ("of", Some("off")),
            ("completely_else", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
        assert_eq!(hint("jsn", &known), "; did you mean `json`?");
        assert_eq!(hint("", &known), "");
    }
}
