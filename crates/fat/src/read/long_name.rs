//! Names that are longer than 8.3: pieces of 13 units in entries before the one that they are for, the last first.

use crate::layout::{LAST_LONG, LONG_UNITS, RawEntry, RawLong};
use crate::name;

/// A long name, as it comes piece by piece.
#[derive(Debug, Default)]
pub(crate) struct LongName {
    /// The pieces from the last to the first.
    pieces: Vec<[u16; LONG_UNITS]>,
    /// The number of the piece that came last.
    order: u8,
    checksum: u8,
}

impl LongName {
    /// Takes a piece, or what interrupts a name.
    pub(crate) fn add(&mut self, piece: Option<RawLong>) {
        let Some(piece) = piece else {
            self.pieces.clear();
            return;
        };
        let order = piece.order & !LAST_LONG;
        if piece.order & LAST_LONG != 0 {
            self.pieces.clear();
        } else if self.pieces.is_empty() || order + 1 != self.order || piece.checksum != self.checksum {
            self.pieces.clear();
            return;
        }
        // 20 pieces hold the 255 units that a name may have.
        if !(1..=20).contains(&order) {
            self.pieces.clear();
            return;
        }
        let mut units = [0; LONG_UNITS];
        let all = piece.first.iter().chain(&piece.second).chain(&piece.third);
        units.iter_mut().zip(all).for_each(|(unit, &found)| *unit = found);
        self.pieces.push(units);
        (self.order, self.checksum) = (order, piece.checksum);
    }

    /// The name, if it is whole and that of this entry.
    pub(crate) fn take(&mut self, entry: &RawEntry) -> Option<Vec<u16>> {
        let pieces = std::mem::take(&mut self.pieces);
        if pieces.is_empty() || self.order != 1 || self.checksum != name::checksum(&entry.name) {
            return None;
        }
        let mut name: Vec<u16> = pieces.into_iter().rev().flatten().collect();
        name.truncate(name.iter().position(|&unit| unit == 0).unwrap_or(name.len()));
        Some(name).filter(|name| !name.is_empty())
    }
}
