//! Files with secrets: the API key and the token for the HTTP server.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sigma_client::ApiKey;

/// No secret is longer; a longer file is some other file.
const MAX_BYTES: u64 = 4096;

/// Reads the API key; an empty file is an error, since somebody meant to give one.
pub(crate) fn read(path: &Path) -> Result<ApiKey, String> {
    let fail = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    ApiKey::parse(&text(path)?)
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&"the file is empty"))
}

/// Reads the token that HTTP requests must bring.
pub(crate) fn read_token(path: &Path) -> Result<Token, String> {
    let token = text(path)?.trim().to_owned();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{}: a token is one word of visible ASCII characters",
            path.display()
        ));
    }
    Ok(Token(token))
}

fn text(path: &Path) -> Result<String, String> {
    let fail = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(fail(&"larger than 4 KiB, so this holds no secret of ours"));
    }
    Ok(text)
}

/// What requests to the HTTP server must bring.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Whether a request's `Authorization` header brings it; takes as long for a near miss as for a far one.
    pub(crate) fn is_brought_by(&self, authorization: Option<&[u8]>) -> bool {
        let Some(brought) = authorization.and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let differs = self
            .0
            .bytes()
            .zip(brought)
            .fold(0, |differs, (a, b)| differs | (a ^ b));
        differs == 0 && brought.len() == self.0.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Whether users other than owner and group may read the file.
pub(crate) fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token("secret".to_owned());
        assert!(token.is_brought_by(Some(b"Bearer secret")));
        for wrong in [
            &b"Bearer secre"[..],
            b"Bearer secrets",
            b"Bearer ",
            b"secret",
            b"bearer secret",
            b"Bearer SECRET",
        ] {
            assert!(!token.is_brought_by(Some(wrong)), "{wrong:?}");
        }
        assert!(!token.is_brought_by(None));
        assert!(!format!("{token:?}").contains("secret"));
    }
}
