//! A call as a value: method, path, body, and what it answers.

use std::fmt;
use std::marker::PhantomData;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::pages::{VpsFilter, VpsPage};
use crate::{Allocation, CheckReport, Heartbeat, Registration, Vps};

/// One call of the API with an answer of type `T`, for [`Client::send`](crate::Client::send).
///
/// The short methods of [`Client`](crate::Client) make these and return the answer's value alone.
///
/// ```
/// use sigma_client::Call;
/// use serde_json::{Value, json};
///
/// let summary: Call<Value> = Call::get("ip-checks/summary").query("vps_id", "beba8e3f");
/// let merge: Call<Value> = Call::post("vps/merge", &json!({ "target_id": "a", "source_id": "b" }));
/// ```
pub struct Call<T> {
    pub(crate) method: Method,
    pub(crate) body: Option<String>,
    pub(crate) repeatable: bool,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    /// A read. The path is relative to the base URL.
    pub fn get(path: &str) -> Self {
        Call::new(Method::GET, path.split('/'), None).repeatable()
    }

    /// A write. The path is relative to the base URL.
    pub fn post(path: &str, body: &Value) -> Self {
        Call::new(Method::POST, path.split('/'), Some(body.to_string()))
    }

    /// Adds a pair to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// States that the server bears to get this call twice, so that it is sent again, once and at once, if
    /// a kept connection turns out to be dead.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    fn new<'a>(
        method: Method,
        path: impl IntoIterator<Item = &'a str>,
        body: Option<String>,
    ) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        Call {
            method,
            path,
            query: Vec::new(),
            body,
            repeatable: false,
            answer: PhantomData,
        }
    }

    /// The full URL below a base that has a path of segments, as `http` and `https` have.
    pub(crate) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

impl Call<Vps> {
    /// `POST /agent/register`.
    pub fn register(registration: &Registration) -> Self {
        Call::new(
            Method::POST,
            ["agent", "register"],
            Some(registration.to_json()),
        )
        .repeatable()
    }

    /// `POST /agent/heartbeat`.
    pub fn heartbeat(heartbeat: &Heartbeat) -> Self {
        Call::new(
            Method::POST,
            ["agent", "heartbeat"],
            Some(heartbeat.to_json()),
        )
        .repeatable()
    }

    /// `GET /vps/{id}`.
    pub fn vps(id: &str) -> Self {
        Call::new(Method::GET, ["vps", id], None).repeatable()
    }
}

impl Call<VpsPage> {
    /// `GET /vps`: one page, counted from 1, of at most 100 records.
    pub fn vps_page(filter: &VpsFilter, page: u32, per_page: u32) -> Self {
        let mut call = Call::get("vps");
        call.query.extend(filter.pairs());
        call.query("page", &page).query("per_page", &per_page)
    }
}

impl Call<Allocation> {
    /// `POST /vps/{id}/allocate-ports`.
    pub fn allocate_ports(id: &str, count: u32) -> Self {
        Call::new(
            Method::POST,
            ["vps", id, "allocate-ports"],
            Some(json!({ "count": count }).to_string()),
        )
    }
}

impl Call<Value> {
    /// `POST /ip-checks`.
    pub fn report_check(report: &CheckReport) -> Self {
        Call::post("ip-checks", &report.to_value())
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("body", &self.body)
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}
