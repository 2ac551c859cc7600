//! Ranges cut into pieces, and what lies in each.

use std::ops::Range;

use picture::{Cell, Cells, Class};

/// Sums of bytes by piece and class.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    len: u64,
    unit: u64,
    sums: Vec<[u64; Class::COUNT]>,
}

impl Grid {
    /// `len` bytes in pieces of `unit`.
    pub(super) fn new(len: u64, unit: u64) -> Self {
        let unit = unit.max(1);
        Self { len, unit, sums: vec![[0; Class::COUNT]; len.div_ceil(unit) as usize] }
    }

    /// Counts a range; what lies outside is left out.
    pub(super) fn add(&mut self, range: Range<u64>, class: Class) {
        let end = range.end.min(self.len);
        let mut at = range.start;
        while at < end {
            let cell = at / self.unit;
            let next = ((cell + 1) * self.unit).min(end);
            self.sums[cell as usize][class as usize] += next - at;
            at = next;
        }
    }

    /// Bytes that belong to nothing.
    pub(super) fn unclaimed(&self, cell: usize) -> u64 {
        self.len_of(cell).saturating_sub(self.sums[cell].iter().sum())
    }

    pub(super) fn count(&self) -> usize {
        self.sums.len()
    }

    fn len_of(&self, cell: usize) -> u64 {
        self.unit.min(self.len - cell as u64 * self.unit)
    }

    /// Counts `bytes` of a piece.
    pub(super) fn add_to(&mut self, cell: usize, class: Class, bytes: u64) {
        self.sums[cell][class as usize] += bytes;
    }

    /// Counts what another grid, which begins at byte `start` of this one, has. Pieces of the two need not fit: what one of
    /// them holds is taken for evenly spread, in whole bytes.
    pub(super) fn add_grid(&mut self, other: &Self, start: u64) {
        for (cell, sums) in other.sums.iter().enumerate() {
            let from = start + cell as u64 * other.unit;
            let len = other.len_of(cell);
            let mut at = from;
            while at < from + len && at < self.len {
                let own = at / self.unit;
                let next = ((own + 1) * self.unit).min(from + len).min(self.len);
                for (sum, &bytes) in self.sums[own as usize].iter_mut().zip(sums) {
                    let part = |at: u64| (u128::from(bytes) * u128::from(at - from) / u128::from(len)) as u64;
                    *sum += part(next) - part(at);
                }
                at = next;
            }
        }
    }

    /// The pieces, each by what most of it is.
    pub(super) fn finish(&self, stored: impl Fn(Range<u64>) -> u64) -> Cells {
        let cell = |(number, sums): (usize, &[u64; Class::COUNT])| {
            let start = number as u64 * self.unit;
            let len = self.len_of(number);
            let mut class = Class::Free;
            let (mut most, mut used) = (0, 0u64);
            for candidate in Class::ALL.into_iter().filter(|&class| class != Class::Free) {
                let bytes = sums[candidate as usize];
                used = used.saturating_add(bytes);
                if bytes > most {
                    (class, most) = (candidate, bytes);
                }
            }
            Cell { class, used: used.min(len), stored: stored(start..start + len) }
        };
        Cells { unit: self.unit, cells: self.sums.iter().enumerate().map(cell).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_into_pieces() {
        let mut grid = Grid::new(250, 100);
        grid.add(50..130, Class::Files);
        grid.add(120..130, Class::Log);
        grid.add(240..9999, Class::Log);
        let cells = grid.finish(|range| range.end - range.start).cells;
        let found: Vec<_> = cells.iter().map(|cell| (cell.class, cell.used, cell.stored)).collect();
        assert_eq!(found, [(Class::Files, 50, 100), (Class::Files, 40, 100), (Class::Log, 10, 50)]);
    }

    #[test]
    fn one_grid_inside_another_loses_nothing() {
        let mut inner = Grid::new(1001, 7);
        inner.add(3..900, Class::Files);
        inner.add(950..1001, Class::Log);
        let mut outer = Grid::new(5000, 333);
        outer.add_grid(&inner, 777);
        let sum = |class: Class| outer.sums.iter().map(|sums| sums[class as usize]).sum::<u64>();
        assert_eq!((sum(Class::Files), sum(Class::Log)), (897, 51));
        assert_eq!(outer.sums[0], [0; Class::COUNT]);
    }
}
