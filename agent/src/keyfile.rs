//! Small files that are read whole, and the token for the HTTP server, which stands in one.

use std::fmt;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// No secret is longer; a longer file is some other file.
const MAX_BYTES: u64 = 4096;

/// Opening a pipe must not wait for its other end.
#[expect(clippy::cast_possible_wrap, reason = "the flag is a small number")]
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

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

/// Reads a file of one word or a few.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let fail = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    let bytes = bytes(path, MAX_BYTES).map_err(|why| fail(&why))?;
    String::from_utf8(bytes).map_err(|_| fail(&"not text"))
}

/// Reads a regular file of at most `most` bytes. A pipe could be read only once, and could keep us waiting for ever.
pub(crate) fn bytes(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut options = File::options();
    options.read(true).custom_flags(NONBLOCK);
    let file = options.open(path).map_err(explained)?;
    let meta = file.metadata()?;
    let null = meta.file_type().is_char_device();
    if !meta.is_file() && !null {
        return Err(Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::other(format!("larger than {} KiB", most / 1024)));
    }
    Ok(bytes)
}

/// The same error, with what to do about it where that is known.
fn explained(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            "there is no such file: make it, or name another one",
        ),
        ErrorKind::PermissionDenied => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "user {} may not read it: give it to a group of that user, with mode 0640",
                rustix::process::getuid().as_raw()
            ),
        ),
        _ => error,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_refused_at_once() {
        let path = std::env::temp_dir().join(format!("sigma-agent-pipe-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let why = text(&path).unwrap_err();
        assert!(why.ends_with("not a regular file"), "{why}");
        std::fs::remove_file(&path).unwrap();
    }

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
