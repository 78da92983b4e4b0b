//! The page's own files: built in, plain and compressed, and locked up by the strictest policy that browsers know.

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::http::answer::{Answer, error, whole};

/// What may happen on the page: its own script and style, and questions to this agent. Nothing else, from nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What else a browser is told with each file.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "accept-encoding"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
    /// The same, as `build.rs` compressed it.
    packed: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $kind:expr) => {
        File {
            path: $path,
            kind: $kind,
            text: include_str!(concat!("assets/", $name)),
            packed: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")),
        }
    };
}

static FILES: [File; 11] = [
    file!("/", "page.html", HTML),
    file!("/page/page.css", "page.css", STYLE),
    file!("/page/page.js", "page.js", SCRIPT),
    file!("/page/agent.js", "agent.js", SCRIPT),
    file!("/page/charts.js", "charts.js", SCRIPT),
    file!("/page/elements.js", "elements.js", SCRIPT),
    file!("/page/link.js", "link.js", SCRIPT),
    file!("/page/listeners.js", "listeners.js", SCRIPT),
    file!("/page/ports.js", "ports.js", SCRIPT),
    file!("/page/shapes.js", "shapes.js", SCRIPT),
    file!("/page/words.js", "words.js", SCRIPT),
];

/// Whether this is one of the page's files.
pub(in crate::http) fn is_file(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

pub(super) fn answer(path: &str, asked: &HeaderMap) -> Answer {
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return error(StatusCode::NOT_FOUND, "the page has no such file");
    };
    let accepted = asked
        .get(header::ACCEPT_ENCODING)
        .map(HeaderValue::as_bytes);
    let packed = promexport::accepts_gzip(accepted);
    let body = if packed {
        file.packed
    } else {
        file.text.as_bytes()
    };
    let mut answer = Response::new(whole(Bytes::from_static(body)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_page_is_small() {
        let packed: usize = FILES.iter().map(|file| file.packed.len()).sum();
        let plain: usize = FILES.iter().map(|file| file.text.len()).sum();
        println!("{plain} bytes, {packed} compressed");
        assert!(packed <= 30 * 1024, "{packed} bytes compressed");
    }

    #[test]
    fn the_files_name_nothing_outside_and_make_no_markup_of_text() {
        for file in &FILES {
            // The name of a language, which nobody asks for.
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                " onclick=",
                " onload=",
                " style=\"",
            ] {
                assert!(!text.contains(word), "{}: {word}", file.path);
            }
        }
    }

    #[test]
    fn every_script_is_announced_by_the_page_and_says_what_it_is_about() {
        let html = FILES[0].text;
        for file in &FILES[1..] {
            let relative = file.path.trim_start_matches('/');
            assert!(html.contains(&format!("\"{relative}\"")), "{relative}");
            let first = file.text.lines().next().unwrap();
            assert!(
                first.starts_with("// ") || first.starts_with("/* "),
                "{first}"
            );
        }
    }
}
