//! Text as the man(7) macros want it.

/// A page in the making; whatever is put in is shown as it is, whichever characters it has.
pub(super) struct Page(String);

/// A paragraph is broken into lines of at most this length, as those who read the source expect.
const LINE: usize = 80;

impl Page {
    /// Lines are neither hyphenated, so that names of options stay whole, nor stretched.
    pub(super) fn new(name: &str, changed: &str, version: &str) -> Self {
        let title = escaped(&name.to_uppercase());
        Self(format!(
            ".TH \"{title}\" \"8\" \"{changed}\" \"sigma\\-agent {version}\" \"System Administration\"\n.nh\n.ad l\n"
        ))
    }

    /// A line that is macros already.
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub(super) fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", escaped(title)));
    }

    pub(super) fn subsection(&mut self, title: &str) {
        self.line(&format!(".SS \"{}\"", escaped(title)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        // A heading makes a paragraph already.
        if !self.is_below_heading() {
            self.line(".PP");
        }
        self.filled(text);
    }

    pub(super) fn paragraphs(&mut self, texts: &[&str]) {
        for text in texts {
            self.paragraph(text);
        }
    }

    /// A term and what it means.
    pub(super) fn tagged(&mut self, term: &str, meaning: &str) {
        self.line(".TP");
        self.line(&format!(".B \"{}\"", escaped(term)));
        self.filled(meaning);
    }

    /// More about the last term, on a line of its own.
    pub(super) fn beside(&mut self, text: &str) {
        self.line(".br");
        self.filled(text);
    }

    /// Lines as they are.
    pub(super) fn verbatim(&mut self, lines: &str) {
        self.line(".PP");
        self.line(".RS 4");
        self.line(".nf");
        for line in lines.lines() {
            self.line(&guarded(&escaped(line)));
        }
        self.line(".fi");
        self.line(".RE");
    }

    /// What stands below the options of a command's help: indented lines stay as they are.
    pub(super) fn help(&mut self, text: &str) {
        let mut block = String::new();
        for line in text.lines() {
            if let Some(example) = line.strip_prefix("  ") {
                block.push_str(example);
                block.push('\n');
                continue;
            }
            self.flush(&mut block);
            if !line.is_empty() {
                self.line(".PP");
                self.filled(line);
            }
        }
        self.flush(&mut block);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn flush(&mut self, block: &mut String) {
        if !block.is_empty() {
            self.verbatim(block);
            block.clear();
        }
    }

    fn is_below_heading(&self) -> bool {
        let last = self.0.lines().last().unwrap_or_default();
        last.starts_with(".SH") || last.starts_with(".SS")
    }

    fn filled(&mut self, text: &str) {
        let text = marked(text);
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.len() + word.len() >= LINE {
                self.line(&guarded(&line));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&breakable(word));
        }
        if !line.is_empty() {
            self.line(&guarded(&line));
        }
    }
}

/// A long list without blanks may be broken after its commas.
fn breakable(word: &str) -> String {
    if word.len() < LINE / 2 {
        return word.to_owned();
    }
    word.replace(',', ",\\:")
}

/// Text whose characters mean themselves; a hyphen stays one that can be copied.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\(rs"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

/// The same, with `code` between backticks in bold.
fn marked(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // Not in pairs: then they mean themselves.
        return escaped(text);
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => escaped(part),
        _ => format!("\\fB{}\\fR", escaped(part)),
    };
    parts.iter().enumerate().map(part).collect()
}

/// A line that begins with a dot would be taken for a macro.
fn guarded(line: &str) -> String {
    if line.starts_with('.') {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_put_in_is_no_macro() {
        let mut page = Page::new("a-b", "2026-01-01", "1");
        page.section("X");
        page.paragraph(".so /etc/passwd 'quoted' back\\slash `--x` and … one ` alone");
        page.verbatim(".TH\n'bad");
        let text = page.finish();
        let body: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(
            body,
            [
                "\\&.so /etc/passwd \\(aqquoted\\(aq back\\(rsslash \\(ga\\-\\-x\\(ga and \\[u2026] one \\(ga",
                "alone",
                ".PP",
                ".RS 4",
                ".nf",
                "\\&.TH",
                "\\(aqbad",
                ".fi",
                ".RE",
            ]
        );
        assert_eq!(marked("`--x` and"), "\\fB\\-\\-x\\fR and");
    }
}
