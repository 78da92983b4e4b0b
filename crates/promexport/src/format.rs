//! The two formats, and which of them a scraper asks for.

use crate::accept::elements;

/// The value of the header `Vary` that belongs to every answer chosen by `Accept` and `Accept-Encoding`.
pub const VARY: &str = "Accept, Accept-Encoding";

/// A format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format(Syntax);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Text,
    OpenMetrics(Escaping),
}

/// How the scraper wants names that this crate never writes. It is told back so that it need not guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escaping {
    Unspoken,
    AllowUtf8,
    Underscores,
    Values,
}

impl Format {
    /// Prometheus text 0.0.4, which every scraper reads.
    pub const TEXT: Format = Format(Syntax::Text);
    /// OpenMetrics 1.0.
    pub const OPEN_METRICS: Format = Format(Syntax::OpenMetrics(Escaping::Unspoken));

    /// The better of the formats for a request with this header `Accept`.
    ///
    /// OpenMetrics has to be asked for by name, in version 1.0.0 or without version, and with a weight
    /// not below that of text. Everything else, also nonsense, gets text 0.0.4.
    ///
    /// ```
    /// # use promexport::Format;
    /// assert_eq!(Format::negotiate(None), Format::TEXT);
    /// assert_eq!(Format::negotiate(Some(b"*/*")), Format::TEXT);
    /// assert_eq!(
    ///     Format::negotiate(Some(b"application/openmetrics-text;version=1.0.0,text/plain;q=0.5")),
    ///     Format::OPEN_METRICS,
    /// );
    /// ```
    #[must_use]
    pub fn negotiate(accept: Option<&[u8]>) -> Format {
        let (mut open_metrics, mut format) = (0, Format::TEXT);
        // The most specific range that covers text 0.0.4 decides its weight.
        let (mut text, mut specific) = (0, 0);
        for element in elements(accept.unwrap_or_default()) {
            let version = element.parameter("version");
            let weight = element.weight;
            if element.is("application/openmetrics-text") {
                if matches!(version, None | Some(b"1.0.0")) && weight > open_metrics {
                    let escaping = Escaping::named(element.parameter("escaping"));
                    (open_metrics, format) = (weight, Format(Syntax::OpenMetrics(escaping)));
                }
                continue;
            }
            let precision = match version {
                None | Some(b"0.0.4") if element.is("text/plain") => 3,
                _ if element.is("text/*") => 2,
                _ if element.is("*/*") => 1,
                _ => continue,
            };
            (specific, text) = (specific, text).max((precision, weight));
        }
        if open_metrics < text {
            Format::TEXT
        } else {
            format
        }
    }

    /// The value of the header `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self.0 {
            Syntax::Text => "text/plain; version=0.0.4; charset=utf-8",
            Syntax::OpenMetrics(Escaping::Unspoken) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Syntax::OpenMetrics(Escaping::AllowUtf8) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            Syntax::OpenMetrics(Escaping::Underscores) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            Syntax::OpenMetrics(Escaping::Values) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values"
            }
        }
    }

    /// Whether this is OpenMetrics.
    #[must_use]
    pub const fn is_open_metrics(self) -> bool {
        matches!(self.0, Syntax::OpenMetrics(_))
    }
}

impl Escaping {
    /// The schemes that leave names of letters, digits and `_` as they are; `dots` does not.
    fn named(name: Option<&[u8]>) -> Escaping {
        match name {
            Some(b"allow-utf-8") => Escaping::AllowUtf8,
            Some(b"underscores") => Escaping::Underscores,
            Some(b"values") => Escaping::Values,
            _ => Escaping::Unspoken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As captured from Prometheus 2.42.
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
        version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    /// As captured from Prometheus 3.
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    /// Prometheus 3 with native histograms switched on.
    const PROTOBUF_FIRST: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
        encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    fn is_open_metrics(accept: &str) -> bool {
        Format::negotiate(Some(accept.as_bytes())).is_open_metrics()
    }

    #[test]
    fn prometheus_gets_openmetrics_and_its_escaping_back() {
        assert_eq!(
            Format::negotiate(Some(PROMETHEUS_2.as_bytes())),
            Format::OPEN_METRICS
        );
        for accept in [PROMETHEUS_3, PROTOBUF_FIRST] {
            assert_eq!(
                Format::negotiate(Some(accept.as_bytes())).content_type(),
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            );
        }
    }

    #[test]
    fn who_does_not_ask_by_name_gets_text() {
        assert_eq!(Format::negotiate(None), Format::TEXT);
        for accept in [
            "",
            "*/*",
            "application/*",
            "text/plain",
            "text/plain;version=0.0.4",
            BROWSER,
            "application/json",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;q=0",
            "application/vnd.google.protobuf",
        ] {
            assert!(!is_open_metrics(accept), "{accept}");
        }
    }

    #[test]
    fn weights_decide() {
        for (accept, expected) in [
            ("application/openmetrics-text", true),
            (
                "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.1",
                true,
            ),
            ("text/plain;q=0.4,application/openmetrics-text;q=0.5", true),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.4", false),
            ("text/plain,application/openmetrics-text", true),
            (
                "text/plain;q=0,*/*,application/openmetrics-text;q=0.1",
                true,
            ),
            ("text/*;q=0.2,*/*,application/openmetrics-text;q=0.3", true),
            (
                "text/plain;version=1.0.0,application/openmetrics-text;q=0.1",
                true,
            ),
        ] {
            assert_eq!(is_open_metrics(accept), expected, "{accept}");
        }
    }

    #[test]
    fn nonsense_gets_text() {
        for accept in [
            ";;;,,,",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=1.5",
            "\"",
            "text/plain;x=\"application/openmetrics-text,",
            "x;y=\",application/openmetrics-text,\"",
            "application/openmetrics-text;version=",
            "application/openmetrics-textual",
        ] {
            assert!(!is_open_metrics(accept), "{accept}");
        }
        assert_eq!(
            Format::negotiate(Some(b"\xff\0,\x80/*;q=\xff")),
            Format::TEXT
        );
    }

    #[test]
    fn an_escaping_that_would_change_our_names_is_not_promised() {
        for (asked, told) in [
            ("values", "; escaping=values"),
            ("underscores", "; escaping=underscores"),
            ("dots", ""),
            ("evil\r\nX-Header: 1", ""),
        ] {
            let accept = format!("application/openmetrics-text;version=1.0.0;escaping={asked}");
            let content_type = Format::negotiate(Some(accept.as_bytes())).content_type();
            assert_eq!(content_type.split_once("utf-8").unwrap().1, told);
        }
    }

    #[test]
    fn no_prefix_or_mutation_of_a_header_panics() {
        for header in [PROMETHEUS_2, PROMETHEUS_3, PROTOBUF_FIRST, BROWSER] {
            for end in 0..header.len() {
                let _ = Format::negotiate(header.as_bytes().get(..end));
                for byte in [0, b'"', b',', b';', b'=', b'\\', b'q', 0xff] {
                    let mut mutated = header.as_bytes().to_vec();
                    mutated[end] = byte;
                    let _ = Format::negotiate(Some(&mutated));
                }
            }
        }
    }
}
