//! Virtual disks: what all their containers have in common.

pub(crate) mod qcow2;
pub(crate) mod vdi;
pub(crate) mod vhd;
pub(crate) mod vhdx;
pub(crate) mod vmdk;

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use disk::{BlockMap, OrderedSink, PositionedSink, RangeKind};
use testkit::container::{allocated, drive_ordered, drive_positioned};
use testkit::content::{noise, text};

use crate::file::Changed;
use crate::fixture::{Opened, Seen, Subject};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What is read at once: of a byte in a block no more is read again than this.
const PIECE: usize = 4 * KIB;
/// Who asks for a disk of more than this gets no more than this of it; how large it is was told.
const MOST: u64 = 8 << 20;

/// A disk of `len` bytes: a boot sector, text on both sides of 1 MiB, nothing from 2 to 3 MiB, a byte at the end.
fn content(len: usize) -> Vec<u8> {
    let mut disk = vec![0; len];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = disk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &noise(1, 512));
    put(70_000, &text(2, 300));
    put(MIB - 500, &text(3, 1000));
    put(len - 1, &[0xEE]);
    disk
}

fn positioned(
    make: impl FnOnce(Arc<Mutex<Vec<u8>>>, &[std::ops::Range<u64>]) -> Box<dyn PositionedSink>,
    disk: &[u8],
) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, 4 * KIB);
    drive_positioned(make(file.clone(), &ranges), disk, &ranges, usize::MAX);
    std::mem::take(&mut *file.lock().expect("one thread"))
}

fn ordered(sink: Box<dyn OrderedSink + '_>, disk: &[u8], unit: usize) {
    // Each unit on its own, as the pass over a disk hands them out.
    let units: Vec<_> = allocated(disk, unit)
        .into_iter()
        .flat_map(|range| range.step_by(unit))
        .map(|start| start..(start + unit as u64).min(disk.len() as u64))
        .collect();
    drive_ordered(sink, disk, &units);
}

/// A container that is open.
struct Container<D, C> {
    disk: D,
    told: String,
    warnings: Vec<String>,
    check: C,
}

/// How a container is opened: the disk, what it says of itself, warnings, and how it is checked.
struct Format<F>(F);

impl<F, D, C, E> Subject for Format<F>
where
    F: Fn(&[Arc<Changed>]) -> Result<(D, String, Vec<String>, C), E> + Sync,
    D: BlockMap + 'static,
    C: Fn(&D) -> Option<String> + 'static,
    E: Display,
{
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String> {
        let (disk, told, warnings, check) = (self.0)(files).map_err(|error| error.to_string())?;
        Ok(Box::new(Container { disk, told, warnings, check }))
    }
}

impl<D: BlockMap, C: Fn(&D) -> Option<String>> Opened for Container<D, C> {
    fn shown(&self) -> Seen {
        let size = self.disk.size().expect("it is open");
        Seen { told: format!("{size} {}", self.told), data: Vec::new(), warnings: self.warnings.clone() }
    }

    fn parts(&self) -> usize {
        (self.disk.size().expect("it is open").min(MOST) as usize).div_ceil(PIECE)
    }

    fn part(&self, index: usize) -> Result<Seen, String> {
        let start = (index * PIECE) as u64;
        let len = (self.disk.size().expect("it is open") - start).min(PIECE as u64) as usize;
        let mut data = vec![0xAA; len];
        self.disk.read_exact_at(&mut data, start).map_err(|error| error.to_string())?;
        let range = self.disk.range_at(start).map_err(|error| error.to_string())?.ok_or("no range")?;
        // Who copies a disk goes by this.
        if range.kind == RangeKind::Zero {
            let here = (range.start + range.len - start).min(len as u64) as usize;
            assert!(disk::is_zero(&data[..here]), "{range:?} is said to be zero");
        }
        Ok(Seen { data, ..Seen::default() })
    }

    fn check(&self) -> Vec<String> {
        (self.check)(&self.disk).into_iter().collect()
    }
}

fn le(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn be(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}
