//! What a guest tells the manager of its Firecracker host.

use super::{Opt, option, section, switch};
use crate::cli::role::Role;

pub(super) const GUEST: &[Opt] = &[
    switch(
        section::GUEST,
        "guest-api",
        "AGENT_GUEST_API",
        "Answer GET /metrics with the JSON that a guest's manager reads, unless Prometheus asks, and GET /health with OK",
    )
    .by_role(&[(Role::Guest, "true")])
    .needs_restart(),
    option(
        section::GUEST,
        "vm-id",
        "AGENT_VM_ID",
        "ID",
        "",
        "Id of this VM at its manager; with --manager-url, the guest's address is reported there",
    )
    .needs_restart(),
    option(
        section::GUEST,
        "manager-url",
        "AGENT_MANAGER_URL",
        "URL",
        "",
        "Base URL of the manager, such as http://172.16.0.1:18080",
    )
    .needs_restart(),
    option(
        section::GUEST,
        "report-interface",
        "AGENT_REPORT_INTERFACE",
        "NAME",
        "",
        "Interface whose address is reported; default: the first that has one",
    )
    .needs_restart(),
];
