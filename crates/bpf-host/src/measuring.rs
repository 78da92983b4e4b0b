//! Reads the figures of what is attached.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::{Error, Result};
use crate::meter::{Counters, ProgramReading, Reading, Statistics};
use crate::running::Running;
use crate::{Events, Host, kernel_info, syscall};

impl Host {
    /// Asks the kernel to count runs for as long as this lives. Needs CAP_SYS_ADMIN; the setting
    /// `kernel.bpf_stats_enabled` does the same for all.
    pub fn enable_statistics(&mut self) -> Result<()> {
        if self.statistics.is_none() {
            self.statistics = Some(syscall::enable_statistics().map_err(|source| {
                Error::kernel(
                    "enable run statistics (needs CAP_SYS_ADMIN, or kernel.bpf_stats_enabled=1)",
                    source,
                )
            })?);
        }
        Ok(())
    }

    /// Stops asking for it.
    pub fn disable_statistics(&mut self) {
        self.statistics = None;
    }

    /// Whether the kernel counts runs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let setting =
            std::fs::read_to_string(self.places.proc_root.join("sys/kernel/bpf_stats_enabled"));
        match (&self.statistics, setting) {
            (Some(_), _) => Statistics::Held,
            (None, Ok(text)) if text.trim() == "1" => Statistics::Setting,
            _ => Statistics::Off,
        }
    }

    /// Reads all figures of an artifact.
    pub fn measure(&self, slot: &str) -> Result<Reading> {
        let running = self.running(slot)?;
        let statistics = self.statistics();
        let mut programs = Vec::new();
        for (name, program) in &running.programs {
            let info = kernel_info::program(program.fd.as_fd())
                .map_err(|source| Error::kernel(format!("read figures of `{name}`"), source))?;
            let on = statistics != Statistics::Off;
            programs.push(ProgramReading {
                name: name.clone(),
                kind: program.kind,
                id: info.id,
                tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
                run_time: on.then(|| Duration::from_nanos(info.run_time_ns)),
                run_count: on.then_some(info.run_count),
                recursion_misses: info.recursion_misses,
                verified_instructions: info.verified_instructions,
                memory_bytes: kernel_info::locked_bytes(&self.places.proc_root, program.fd.as_fd()),
            });
        }
        let at = clock_gettime(ClockId::Monotonic);
        let at = Duration::new(
            u64::try_from(at.tv_sec).unwrap_or(0),
            u32::try_from(at.tv_nsec).unwrap_or(0),
        );
        Ok(Reading {
            at,
            statistics,
            memory_bytes: self.memory(running, &programs),
            programs,
            counters: self.counters(running),
        })
    }

    /// The events of an artifact, if it has a ring buffer named `aegis_events`. Two readers would
    /// take each other's events: open it once.
    pub fn events(&self, slot: &str) -> Result<Option<Events>> {
        let running = self.running(slot)?;
        let Some(map) = running.maps.get("aegis_events") else {
            return Ok(None);
        };
        let map = map
            .try_clone()
            .map_err(|source| Error::kernel("keep the ring buffer", source))?;
        Events::open(map).map(Some)
    }

    fn memory(&self, running: &Running, programs: &[ProgramReading]) -> Option<u64> {
        let of_programs = programs.iter().map(|program| program.memory_bytes);
        let of_maps = running
            .maps
            .values()
            .map(|fd| kernel_info::locked_bytes(&self.places.proc_root, fd.as_fd()));
        of_programs.chain(of_maps).sum()
    }

    fn counters(&self, running: &Running) -> Counters {
        let read = |name: &str| {
            let object = running.object.as_ref()?;
            let map = object.map(name).filter(|map| map.is_array())?;
            let value = running
                .map(name, self.possible_cpus)
                .ok()?
                .lookup(&[0; 4])
                .ok()?;
            let one = crate::bytes::length(map.value_bytes);
            let each = if map.is_per_cpu() {
                one.next_multiple_of(8)
            } else {
                one
            };
            Some(Counters::of(
                name,
                object
                    .btf
                    .sum_of_counters(map.value?, value.chunks_exact(each))?,
            ))
        };
        read("aegis_stats")
            .or_else(|| read("stats"))
            .unwrap_or_default()
    }
}
