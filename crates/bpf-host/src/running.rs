//! What is attached: the descriptors that this process holds, and the record that goes with them into the folder of pins.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bytes::{length, slice_at, u32_at};
use crate::pin_folder::{PinFolder, Version};
use crate::scanned_map::ScannedMap;
use crate::scanned_object::ScannedObject;
use crate::syscall::{self, MapHandle};
use crate::{ProgramKind, Target, kernel_info};

const META_FORMAT: u64 = 1;
const MAX_META_BYTES: usize = 64 << 10;

/// One artifact in the kernel.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) digest: String,
    pub(crate) deadline: Option<Duration>,
    /// Known when it was loaded by this process, or adopted.
    pub(crate) object: Option<ScannedObject>,
    pub(crate) programs: BTreeMap<String, HeldProgram>,
    pub(crate) maps: BTreeMap<String, OwnedFd>,
    pub(crate) links: Vec<HeldLink>,
    /// Its folder of pins, if it persists.
    pub(crate) pinned: Option<Version>,
    pub(crate) meta: Option<OwnedFd>,
}

#[derive(Debug)]
pub(crate) struct HeldProgram {
    pub(crate) kind: ProgramKind,
    pub(crate) fd: OwnedFd,
}

#[derive(Debug)]
pub(crate) struct HeldLink {
    pub(crate) program: String,
    pub(crate) place: LinkPlace,
    pub(crate) fd: OwnedFd,
}

/// What makes two links the same for a new version of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkPlace {
    pub(crate) kind: ProgramKind,
    pub(crate) attach_type: u32,
    /// The target as text, which is what survives a restart.
    pub(crate) target: String,
}

impl LinkPlace {
    pub(crate) fn new(kind: ProgramKind, attach_type: u32, target: &Target) -> Self {
        Self {
            kind,
            attach_type,
            target: target.to_string(),
        }
    }
}

/// The name of a link's pin.
pub(crate) fn link_pin(number: usize, program: &str) -> String {
    format!("l{number}_{program}")
}

impl Running {
    /// A map with the lengths that the kernel states for it.
    pub(crate) fn map(&self, name: &str, possible_cpus: usize) -> io::Result<MapHandle<'_>> {
        let fd = self
            .maps
            .get(name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no map `{name}`")))?;
        handle(fd.as_fd(), possible_cpus)
    }

    /// The kernel's numbers of its links.
    pub(crate) fn link_ids(&self) -> BTreeSet<u32> {
        let infos = self
            .links
            .iter()
            .filter_map(|link| kernel_info::link(link.fd.as_fd()).ok());
        infos.map(|info| info.id).collect()
    }

    /// Whether a pinned map is the one that the object defines.
    pub(crate) fn check_shape(&self, wanted: &ScannedMap) -> io::Result<()> {
        let fd = self.maps.get(&wanted.name).ok_or(io::ErrorKind::NotFound)?;
        let found = kernel_info::map(fd.as_fd())?;
        let shape = (
            wanted.map_type,
            wanted.key_bytes,
            wanted.value_bytes,
            wanted.max_entries,
        );
        if (
            found.map_type,
            found.key_bytes,
            found.value_bytes,
            found.max_entries,
        ) != shape
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its type or sizes are others",
            ));
        }
        Ok(())
    }

    /// Writes digest, deadline and links into the map that is pinned beside them.
    pub(crate) fn write_meta(&self) -> io::Result<()> {
        let Some(meta) = &self.meta else {
            return Ok(());
        };
        let map = handle(meta.as_fd(), 1)?;
        let text = self.meta_text();
        let mut value = u32::try_from(text.len())
            .unwrap_or(0)
            .to_ne_bytes()
            .to_vec();
        value.extend_from_slice(text.as_bytes());
        if value.len() > map.value_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        value.resize(map.value_bytes, 0);
        map.update(&[0; 4], &value)
    }

    /// Makes the map for [`write_meta`](Self::write_meta), with room for another deadline.
    pub(crate) fn create_meta(&mut self) -> io::Result<()> {
        let bytes = self
            .meta_text()
            .len()
            .saturating_add(256)
            .next_multiple_of(1024);
        if bytes > MAX_META_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.meta = Some(syscall::create_array(
            "bpf_host_meta",
            u32::try_from(bytes).unwrap_or(0),
        )?);
        self.write_meta()
    }

    fn meta_text(&self) -> String {
        let links = self.links.iter().enumerate().map(|(number, link)| {
            let place = &link.place;
            json!({"pin": link_pin(number, &link.program), "program": link.program, "kind": place.kind.name(), "attach_type": place.attach_type, "target": place.target})
        });
        let programs: serde_json::Map<String, Value> = self
            .programs
            .iter()
            .map(|(name, program)| (name.clone(), Value::from(program.kind.name())))
            .collect();
        let deadline = self
            .deadline
            .and_then(|deadline| u64::try_from(deadline.as_nanos()).ok());
        json!({"format": META_FORMAT, "digest": self.digest, "deadline_ns": deadline, "programs": programs, "links": links.collect::<Vec<_>>()}).to_string()
    }

    /// Opens a whole version from its pins. `Err` says what is missing.
    pub(crate) fn open(folder: &PinFolder, version: Version) -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let meta = folder.open_meta(&version).map_err(failed)?;
        let record = read_meta(meta.as_fd()).map_err(failed)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = |value: &Value| value.as_str().and_then(ProgramKind::from_name);
        let kinds = record
            .get("programs")
            .and_then(Value::as_object)
            .ok_or("its record has no programs")?;
        let mut programs = BTreeMap::new();
        for (name, fd) in folder.open_all(&version, "progs").map_err(failed)? {
            let kind = kinds
                .get(&name)
                .and_then(kind)
                .ok_or_else(|| format!("program `{name}` is not in its record"))?;
            programs.insert(name, HeldProgram { kind, fd });
        }
        let maps = folder
            .open_all(&version, "maps")
            .map_err(failed)?
            .into_iter()
            .collect();
        let mut pins: BTreeMap<String, OwnedFd> = folder
            .open_all(&version, "links")
            .map_err(failed)?
            .into_iter()
            .collect();
        let mut links = Vec::new();
        for link in record
            .get("links")
            .and_then(Value::as_array)
            .ok_or("its record has no links")?
        {
            let mut read = || {
                let fd = pins.remove(link.get("pin")?.as_str()?)?;
                let attach_type = u32::try_from(link.get("attach_type")?.as_u64()?).ok()?;
                let place = LinkPlace {
                    kind: kind(link.get("kind")?)?,
                    attach_type,
                    target: text(link.get("target")?)?,
                };
                Some(HeldLink {
                    program: text(link.get("program")?)?,
                    place,
                    fd,
                })
            };
            links.push(read().ok_or("a link of its record is not there")?);
        }
        let digest = record
            .get("digest")
            .and_then(text)
            .ok_or("its record has no digest")?;
        if programs.len() != kinds.len() || !pins.is_empty() {
            return Err("its pins and its record differ".to_owned());
        }
        let deadline = record
            .get("deadline_ns")
            .and_then(Value::as_u64)
            .map(Duration::from_nanos);
        Ok(Self {
            digest,
            deadline,
            object: None,
            programs,
            maps,
            links,
            pinned: Some(version),
            meta: Some(meta),
        })
    }

    /// A crash in the middle of a replacement can leave links with programs of the version that
    /// never came to be. They get their own back; says how many.
    pub(crate) fn repair(&self) -> io::Result<usize> {
        let mut repaired = 0;
        for link in &self.links {
            let Some(program) = self.programs.get(&link.program) else {
                continue;
            };
            let wanted = kernel_info::program(program.fd.as_fd())?.id;
            if kernel_info::link(link.fd.as_fd())?.program_id != wanted {
                syscall::update_link(link.fd.as_fd(), program.fd.as_fd())?;
                repaired += 1;
            }
        }
        Ok(repaired)
    }
}

fn read_meta(map: BorrowedFd<'_>) -> io::Result<Value> {
    let value = handle(map, 1)?.lookup(&[0; 4])?;
    let text = u32_at(&value, 0).and_then(|bytes| slice_at(&value, 4, length(bytes)));
    let record: Value = serde_json::from_slice(text.unwrap_or_default())?;
    if record.get("format").and_then(Value::as_u64) != Some(META_FORMAT) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its record has another format",
        ));
    }
    Ok(record)
}

fn handle(fd: BorrowedFd<'_>, possible_cpus: usize) -> io::Result<MapHandle<'_>> {
    let info = kernel_info::map(fd)?;
    let one = length(info.value_bytes);
    let per_cpu = matches!(info.map_type, 5 | 6 | 10 | 21);
    let value_bytes = if per_cpu {
        one.next_multiple_of(8).saturating_mul(possible_cpus)
    } else {
        one
    };
    Ok(MapHandle {
        fd,
        key_bytes: length(info.key_bytes),
        value_bytes,
    })
}
