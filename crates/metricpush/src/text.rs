//! What a server says, made fit for a log.

use crate::ApiKey;

/// How much of what a server says becomes part of a message.
const MESSAGE_CHARS: usize = 200;

/// So many of the key's first characters are enough to recognise it.
const KEY_BEGINNING: usize = 8;

/// What the server said to a request with this key, in short. Debug pages of proxies repeat what they were sent.
pub(crate) fn said(text: &str, key: Option<&ApiKey>) -> String {
    let text = key.map_or_else(|| text.to_owned(), |key| without_key(text, key.reveal()));
    one_line(&text, MESSAGE_CHARS)
}

/// The text without the key. One whose end was cut off or rewritten is found by its beginning.
fn without_key(text: &str, key: &str) -> String {
    let beginning = key.get(..KEY_BEGINNING).unwrap_or(key);
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(beginning) {
        let (before, found) = rest.split_at(at);
        let same = found.bytes().zip(key.bytes());
        let length = same.take_while(|(one, other)| one == other).count();
        hidden.push_str(before);
        hidden.push_str("[key]");
        rest = found.get(length..).unwrap_or_default();
    }
    hidden + rest
}

/// One line of printable text: what cannot be printed and runs of blanks become one blank, the end is cut off.
fn one_line(text: &str, chars: usize) -> String {
    let printable: String = text
        .chars()
        .map(|letter| if is_printable(letter) { letter } else { ' ' })
        .collect();
    let words: Vec<&str> = printable.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Control characters can drive a terminal; invisible ones can turn the order of the letters around them.
fn is_printable(letter: char) -> bool {
    let is_invisible = matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !letter.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_hidden_whole_cut_off_or_rewritten() {
        let cut = KEY.get(..20).unwrap();
        let unpadded = KEY.trim_end_matches('=');
        let table = [
            (format!("bad key {KEY}!"), "bad key [key]!"),
            (KEY.repeat(2), "[key][key]"),
            (format!("… {cut}"), "… [key]"),
            (format!("{unpadded}%3D ü"), "[key]%3D ü"),
            (format!("{cut}{KEY}"), "[key][key]"),
            ("AAECAw nothing".to_owned(), "AAECAw nothing"),
        ];
        for (text, wanted) in table {
            assert_eq!(without_key(&text, KEY), wanted);
        }
        assert_eq!(without_key("axxb", "x"), "a[key][key]b");
    }

    #[test]
    fn a_key_is_hidden_before_the_end_is_cut_off() {
        let key = ApiKey::parse(KEY).unwrap();
        let text = format!("{} {KEY}", "x".repeat(190));
        assert!(said(&text, Some(&key)).ends_with("x [key]"));
        assert_eq!(said("said\n", None), "said");
    }

    #[test]
    fn what_cannot_be_printed_becomes_a_blank() {
        let odd = " a\u{1b}[31m\r\n\tb\u{202e}c\u{0}\u{2028}d\u{85}é ";
        assert_eq!(one_line(odd, 200), "a [31m b c d é");
        assert_eq!(one_line("\u{feff}\u{200b}\n", 200), "");
    }

    #[test]
    fn the_end_is_cut_off_between_letters() {
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöüß", 3), "äöü…");
    }
}
