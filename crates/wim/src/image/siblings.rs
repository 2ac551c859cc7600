//! Whether a directory has a name twice.
//!
//! Tools write the names of a directory in order: wimlib by their code units, Windows upper-cased. Names that ascend,
//! in whichever order, are different from each other, so that a look at the one before is enough; only where they do
//! not is each looked up among all of them.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::lookup::upcase;

/// The names of a directory so far.
#[derive(Debug, Default)]
pub(super) struct Siblings<'a> {
    names: Vec<&'a [u8]>,
    /// Which orders those are in.
    by_unit: bool,
    by_upcase: bool,
    /// All of them, once they are in none.
    all: Option<HashSet<&'a [u8]>>,
}

impl<'a> Siblings<'a> {
    /// Begins a directory.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        (self.by_unit, self.by_upcase) = (true, true);
        self.all = None;
    }

    /// Adds a name, as bytes of UTF-16, unless it is there.
    pub(super) fn add(&mut self, name: &'a [u8]) -> bool {
        if let Some(all) = &mut self.all {
            return all.insert(name);
        }
        if let Some(last) = self.names.last() {
            let (by_upcase, by_unit) = compare(last, name);
            self.by_upcase &= by_upcase.is_lt();
            self.by_unit &= by_unit.is_lt();
            if !self.by_upcase && !self.by_unit {
                let all = self.all.insert(self.names.drain(..).collect());
                return all.insert(name);
            }
        }
        self.names.push(name);
        true
    }
}

fn units(name: &[u8]) -> impl Iterator<Item = u16> {
    name.as_chunks().0.iter().map(|&unit| u16::from_le_bytes(unit))
}

/// Compares names in both orders. Those that are the same upper-cased are told apart by their units.
fn compare(a: &[u8], b: &[u8]) -> (Ordering, Ordering) {
    let by_unit = units(a).cmp(units(b));
    let by_upcase = units(a).map(upcase).cmp(units(b).map(upcase));
    (by_upcase.then(by_unit), by_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(names: &[&str]) -> Vec<usize> {
        let names: Vec<Vec<u8>> =
            names.iter().map(|name| name.encode_utf16().flat_map(u16::to_le_bytes).collect()).collect();
        let mut siblings = Siblings::default();
        siblings.clear();
        (0..names.len()).filter(|&index| !siblings.add(&names[index])).collect()
    }

    #[test]
    fn in_any_order() {
        assert_eq!(repeated(&["a", "B", "c", "\u{4e00}"]), [0; 0]);
        assert_eq!(repeated(&["B", "a", "ab", "c"]), [0; 0]);
        assert_eq!(repeated(&["A", "a", "B", "b"]), [0; 0]);
        assert_eq!(repeated(&["c", "b", "a", "B", "C"]), [0; 0]);
        assert_eq!(repeated(&["a", "a", "b", "a", "c"]), [1, 3]);
        assert_eq!(repeated(&["B", "a", "C", "B", "a", "d"]), [3, 4]);
        // Where the first order ends, and where the second does.
        assert_eq!(repeated(&["a", "B", "A"]), [0; 0]);
        assert_eq!(repeated(&["a", "B", "a"]), [2]);
        assert_eq!(repeated(&["z", "Z", "z", "Z"]), [2, 3]);
        assert_eq!(repeated(&["é", "É", "e", "é"]), [3]);
    }
}
