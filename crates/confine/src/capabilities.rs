//! The sets of capabilities, lowered to what is to be kept.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

use crate::capability::in_set;
use crate::{Capability, Error, Kept};

/// Leaves of all sets only what is `kept`. Started programs get it only if it is `inherited`.
pub(crate) fn keep(kept: &[Capability], inherited: bool) -> Result<Kept, Error> {
    let bits = kept.iter().fold(0, |bits, one| bits | one.bit());
    let kept = CapabilitySet::from_bits_retain(bits);
    let before = capabilities(None).map_err(Error::refused("read the capabilities"))?;
    // First, while there is the right to do it.
    let bounded = lower_bounding_set(kept)?;
    if !inherited {
        match clear_ambient_capability_set() {
            // Kernels before 4.3 have no such set.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(Error::refused("clear the ambient capabilities")(errno)),
        }
    }
    let after = CapabilitySets {
        effective: before.effective & kept,
        permitted: before.permitted & kept,
        inheritable: if inherited {
            before.inheritable & kept
        } else {
            CapabilitySet::empty()
        },
    };
    // Who has nothing to drop does not have to be allowed to: service managers forbid the call.
    if after != before {
        set_capabilities(None, after).map_err(Error::refused("drop capabilities"))?;
    }
    Ok(Kept {
        capabilities: in_set(after.permitted.bits()).collect(),
        dropped: in_set((before.permitted - after.permitted).bits()).collect(),
        bounded,
    })
}

/// Says whether the set is as low as was wanted; without the right to lower it, it is left alone.
fn lower_bounding_set(kept: CapabilitySet) -> Result<bool, Error> {
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) if !kept.contains(one) => {}
            Ok(_) => continue,
            // The first number that the kernel does not know: there are no more.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(Error::refused("read the bounding set")(errno)),
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(false),
            Err(errno) => return Err(Error::refused("lower the bounding set")(errno)),
        }
    }
    Ok(true)
}
