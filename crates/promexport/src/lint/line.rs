//! One line of a page → what it says. Stricter than the formats: one blank between parts, no timestamps,
//! no free comments.

/// What one line says.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// `# HELP name text`, also with TYPE and UNIT.
    Metadata {
        word: &'a str,
        name: &'a str,
        text: &'a str,
    },
    Eof,
    Sample(Sample<'a>),
}

#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

impl<'a> Sample<'a> {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| &**value)
    }

    /// What tells the series from every other one, whatever the order of its labels; without one label.
    pub(super) fn labels_without(&self, left_out: &str) -> Vec<(&'a str, String)> {
        let mut labels = self.labels.clone();
        labels.retain(|(label, _)| *label != left_out);
        labels.sort_unstable();
        labels
    }
}

pub(super) fn parse(line: &str) -> Result<Line<'_>, &'static str> {
    if line.is_empty() {
        return Err("blank line");
    }
    if line == "# EOF" {
        return Ok(Line::Eof);
    }
    match line.strip_prefix('#') {
        Some(comment) => {
            parse_metadata(comment).ok_or("comment that is neither HELP, TYPE nor UNIT")
        }
        None => parse_sample(line).map(Line::Sample),
    }
}

/// ` HELP name text`
fn parse_metadata(comment: &str) -> Option<Line<'_>> {
    let (word, rest) = comment.strip_prefix(' ')?.split_once(' ')?;
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let known = matches!(word, "HELP" | "TYPE" | "UNIT") && name_length(name) == name.len();
    (known && !name.is_empty()).then_some(Line::Metadata { word, name, text })
}

fn parse_sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = line.split_at(name_length(line));
    if name.is_empty() {
        return Err("line does not start with a metric name");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    if value.contains(' ') {
        return Err("something follows the value");
    }
    let value = value.parse().map_err(|_| "the value is not a number")?;
    Ok(Sample {
        name,
        labels,
        value,
    })
}

type Labels<'a> = Vec<(&'a str, String)>;

/// `a="b",c="d"} 1` → the labels and what follows the brace.
fn parse_labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    if let Some(rest) = rest.strip_prefix('}') {
        return Ok((labels, rest));
    }
    loop {
        let (name, after) = rest.split_at(name_length(rest));
        let quoted = after
            .strip_prefix("=\"")
            .ok_or("a label is not name=\"value\"")?;
        if name.is_empty() || name.contains(':') {
            return Err("a label has no proper name");
        }
        if labels.iter().any(|(label, _)| *label == name) {
            return Err("a label occurs twice");
        }
        let (value, after) = unquoted(quoted)?;
        labels.push((name, value));
        if let Some(rest) = after.strip_prefix('}') {
            return Ok((labels, rest));
        }
        rest = after
            .strip_prefix(',')
            .ok_or("neither , nor } after a label")?;
    }
}

/// The value up to its closing quote and what follows that.
fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next() {
            Some('"') => return Ok((value, chars.as_str())),
            Some('\\') => value.push(match chars.next() {
                Some('n') => '\n',
                Some(same @ ('\\' | '"')) => same,
                _ => return Err("unknown escape in a label"),
            }),
            Some(plain) => value.push(plain),
            None => return Err("a label has no closing quote"),
        }
    }
}

/// How much of the front of the text is a name.
fn name_length(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    text.bytes()
        .take_while(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
        .count()
}
