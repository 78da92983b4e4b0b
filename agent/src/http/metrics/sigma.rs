//! What the page tells of the Sigma API.

use promexport::{Counter, Gauge, Histogram, Page};

use crate::shared::{Call, Sigma};

static REGISTERED: Gauge<0> = Gauge::new(
    "sigma_registered",
    "Whether the API has a record of this host, as it last answered.",
    [],
);
static REQUESTS: Counter<2> = Counter::new(
    "sigma_api_requests_total",
    "Calls of the Sigma API, by how they ended.",
    ["call", "result"],
);
static LATENCY: Histogram<1> = Histogram::new(
    "sigma_api_request_duration_seconds",
    "How long calls of the Sigma API took.",
    ["call"],
);

pub(super) fn write(page: &mut Page, sigma: &Sigma) {
    page.gauge(&REGISTERED, (), sigma.record().is_some());
    for call in Call::ALL {
        let meter = sigma.meter(call);
        page.counter(&REQUESTS, [call.as_str(), "success"], meter.succeeded());
        page.counter(&REQUESTS, [call.as_str(), "failure"], meter.failed());
        page.histogram(&LATENCY, [call.as_str()], &meter.seconds);
    }
}
