//! PEM: blocks of base64 between two lines that say what is inside.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One block: what it says it is, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

/// What is wrong with a text that was to be PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadPem(pub(crate) &'static str);

/// All blocks of a text that has nothing else but blank lines between them.
pub(crate) fn decode(text: &str) -> Result<Vec<Block>, BadPem> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    while let Some(first) = lines.next() {
        let label =
            between(first, "-----BEGIN ").ok_or(BadPem("a line stands outside of a block"))?;
        let mut body = String::new();
        loop {
            let line = lines.next().ok_or(BadPem("a block has no end"))?;
            match between(line, "-----END ") {
                Some(end) if end == label => break,
                Some(_) => return Err(BadPem("a block ends under another name")),
                None => body.push_str(line),
            }
        }
        let bytes = STANDARD
            .decode(&body)
            .map_err(|_| BadPem("a block is not base64"))?;
        blocks.push(Block {
            label: label.to_owned(),
            bytes,
        });
    }
    Ok(blocks)
}

/// One block as text.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, digit) in STANDARD.encode(bytes).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text + &format!("\n-----END {label}-----\n")
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}
