//! Ports in random order, each once.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::{Error, PortRanges};

/// A random order of the ports: every stride without a common factor visits each port once.
pub(crate) struct Permutation {
    start: usize,
    stride: usize,
    count: usize,
}

impl Permutation {
    pub(crate) fn draw(ranges: &PortRanges) -> Result<Self, Error> {
        let count = ranges.size();
        Ok(Self::new(random()?, random()?, count))
    }

    fn new(start: u64, stride: u64, count: usize) -> Self {
        let below = |number: u64| {
            let count = u64::try_from(count.max(1)).unwrap_or(1);
            usize::try_from(number % count).unwrap_or_default()
        };
        let mut stride = below(stride).max(1);
        while common_factor(stride, count) > 1 {
            stride += 1;
        }
        Self {
            start: below(start),
            stride,
            count,
        }
    }

    pub(crate) fn ports<'a>(&self, ranges: &'a PortRanges) -> impl Iterator<Item = u16> + use<'a> {
        let (start, stride, count) = (self.start, self.stride, self.count);
        (0..count).filter_map(move |step| ranges.nth((start + step * stride) % count))
    }
}

const fn common_factor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

pub(crate) fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    let filled = rustix::io::retry_on_intr(|| getrandom(&mut bytes[..], GetRandomFlags::empty()));
    match filled {
        Ok(8) => Ok(u64::from_ne_bytes(bytes)),
        Ok(_) => Err(Error::Random(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(Error::Random(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_visits_each_port_once() {
        let ranges: PortRanges = "5,100-160,65530-65535".parse().unwrap();
        let count = ranges.size();
        for seed in 0..500u64 {
            let order = Permutation::new(seed * 7919, seed * 104_729, count);
            let mut ports: Vec<u16> = order.ports(&ranges).collect();
            ports.sort_unstable();
            assert_eq!(ports, ranges.iter().collect::<Vec<_>>(), "seed {seed}");
        }
        let one: PortRanges = "9".parse().unwrap();
        assert_eq!(
            Permutation::new(3, 3, 1).ports(&one).collect::<Vec<_>>(),
            [9]
        );
        assert_eq!(
            Permutation::new(3, 3, 0).ports(&PortRanges::none()).count(),
            0
        );
    }
}
