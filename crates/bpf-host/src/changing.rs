//! Changes parameters of what is attached.

use std::collections::BTreeSet;
use std::io;

use serde_json::Value;

use crate::Host;
use crate::error::{Error, ParameterError, Result};
use crate::parameters::{self, Prepared};
use crate::running::Running;
use crate::scanned_object::ScannedObject;
use crate::typed_value::Encoder;

impl Host {
    /// Changes parameters while the programs run. Constants cannot change: the error says so with
    /// `needs_reload`, and nothing has changed then. A map given here holds exactly these entries afterwards.
    pub fn set_parameters(&mut self, slot: &str, parameters: &Value) -> Result<()> {
        let running = self.running(slot)?;
        let object = running.object.as_ref().ok_or_else(|| {
            Error::request(format!("slot {slot} is not adopted: its types are unknown"))
        })?;
        let prepared =
            parameters::prepare(object, parameters, self.encoder(object), self.possible_cpus)?;
        let failed =
            |source: io::Error| Error::kernel(format!("change parameters of {slot}"), source);
        for constant in &prepared.constants {
            let section = running
                .map(&constant.section, self.possible_cpus)
                .map_err(failed)?;
            if !parameters::holds(section, constant).map_err(failed)? {
                let problem =
                    "a constant of the loaded program; a new value needs a reload".to_owned();
                return Err(ParameterError {
                    at: constant.name.clone(),
                    problem,
                    needs_reload: true,
                }
                .into());
            }
        }
        let before = self.remember(running, &prepared).map_err(failed)?;
        self.write(running, &prepared)
            .map_err(|source| match self.write(running, &before) {
                Ok(()) => failed(source),
                Err(again) => Error::kernel(
                    format!("change parameters of {slot}, and to put the old ones back ({again})"),
                    source,
                ),
            })
    }

    pub(crate) fn encoder<'a>(&'a self, object: &'a ScannedObject) -> Encoder<'a> {
        Encoder {
            btf: &object.btf,
            cgroup_root: &self.places.cgroup_root,
        }
    }

    fn remember(&self, running: &Running, prepared: &Prepared) -> io::Result<Prepared> {
        let mut before = prepared.clone();
        for variable in &mut before.variables {
            let content = running
                .map(&variable.section, self.possible_cpus)?
                .lookup(&[0; 4])?;
            let end = variable.offset.saturating_add(variable.bytes.len());
            variable.bytes = content
                .get(variable.offset..end)
                .ok_or(io::ErrorKind::InvalidInput)?
                .to_vec();
        }
        for content in &mut before.maps {
            *content =
                parameters::remember(running.map(&content.map, self.possible_cpus)?, content)?;
        }
        Ok(before)
    }

    pub(crate) fn write(&self, running: &Running, prepared: &Prepared) -> io::Result<()> {
        let sections: BTreeSet<&str> = prepared
            .variables
            .iter()
            .map(|variable| variable.section.as_str())
            .collect();
        for section in sections {
            let here = prepared
                .variables
                .iter()
                .filter(|variable| variable.section == section);
            parameters::write_variables(running.map(section, self.possible_cpus)?, here)?;
        }
        for content in &prepared.maps {
            parameters::write_map(running.map(&content.map, self.possible_cpus)?, content)?;
        }
        Ok(())
    }
}
