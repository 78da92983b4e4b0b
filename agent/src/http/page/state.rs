//! How the agent itself is: what `/status` tells, in one form for all roles.

use serde_json::{Value, json};

use crate::http::{Routes, status};

pub(super) fn state(routes: &Routes) -> Value {
    let mut state = status::common(routes);
    let given = routes.settings.borrow().hostname.clone();
    state.insert("given_hostname".to_owned(), given.into());
    let scans = json!({
        "built_in": cfg!(feature = "sigma"),
        "on": scans(routes),
    });
    state.insert("port_scan".to_owned(), scans);
    state.into()
}

#[cfg(feature = "sigma")]
fn scans(routes: &Routes) -> bool {
    routes.ports.is_some()
}

#[cfg(not(feature = "sigma"))]
fn scans(_: &Routes) -> bool {
    false
}
