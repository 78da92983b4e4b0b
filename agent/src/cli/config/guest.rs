//! What a guest answers and reports to the manager of its host.

use std::net::SocketAddr;

use crate::cli::layers::Layers;
use crate::cli::values;

/// What the guest role adds to an agent.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Guest {
    /// Whether `/metrics` and `/health` answer as a guest's manager reads them.
    pub(crate) api: bool,
    /// `None`: the guest's address is told nobody.
    pub(crate) report: Option<Report>,
}

/// Who is told this guest's address.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Report {
    pub(crate) vm_id: String,
    pub(crate) manager: Manager,
    /// `None`: the first interface that has an address.
    pub(crate) interface: Option<String>,
}

/// Where the manager is: plain HTTP, since it is the guest's own host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manager {
    /// As it was given: what the header `Host` says.
    pub(crate) authority: String,
    pub(crate) address: SocketAddr,
    /// What stands before `/v1`, without a trailing slash.
    pub(crate) path: String,
}

pub(super) fn take(layers: &mut Layers) -> Option<Guest> {
    let api = layers.take("guest-api", values::boolean);
    let vm_id = layers.take("vm-id", values::vm_id);
    let manager = layers.take("manager-url", values::manager);
    let interface = layers.take("report-interface", values::text);
    if vm_id.is_some() != manager.is_some() {
        layers.warnings.push(
            "--vm-id and --manager-url go together: without both, no address is reported"
                .to_owned(),
        );
    }
    Some(Guest {
        api: api?,
        report: vm_id.zip(manager).map(|(vm_id, manager)| Report {
            vm_id,
            manager,
            interface,
        }),
    })
}
