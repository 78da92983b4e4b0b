//! Any text as key and as URL: what is taken can be sent and means the same to the HTTP client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metricpush::{ApiKey, ServerUrl};
use reqwest::header::HeaderValue;

fuzz_target!(|text: &str| {
    if let Ok(key) = ApiKey::parse(text) {
        assert!(HeaderValue::from_str(key.reveal()).is_ok());
        assert_eq!(key.hash().len(), 8);
    }
    let Ok(server) = ServerUrl::parse(text) else {
        return;
    };
    assert_eq!(ServerUrl::parse(server.as_str()).as_ref(), Ok(&server));
    // Some names that begin with `xn--` are refused there and not here.
    if let Ok(url) = reqwest::Url::parse(server.as_str()) {
        assert!(url.username().is_empty() && url.password().is_none());
        assert!(url.query().is_none() && url.fragment().is_none());
        assert!(url.scheme() == "http" || !server.exposes_key());
    }
});
