//! A hive's bytes, and where in them things are: a reader of its own, for tests that damage hives.

/// All offsets are absolute. Those of cells are of their contents, behind the size.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.0[at..at + 2].try_into().unwrap())
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn put(&mut self, at: usize, word: u32) {
        self.0[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    pub(crate) fn put16(&mut self, at: usize, word: u16) {
        self.0[at..at + 2].copy_from_slice(&word.to_le_bytes());
    }

    pub(crate) fn add(&mut self, at: usize, by: i32) {
        self.put(at, self.u32(at).wrapping_add_signed(by));
    }

    /// Makes the checksum of the base block right.
    pub(crate) fn sum(&mut self) {
        let sum = self.0[..508]
            .chunks_exact(4)
            .fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
        self.put(508, [sum, 1, u32::MAX - 1][usize::from(sum == 0) + 2 * usize::from(sum == u32::MAX)]);
    }

    /// The content of the cell whose offset is stored at `at`.
    pub(crate) fn follow(&self, at: usize) -> usize {
        self.u32(at) as usize + 4096 + 4
    }

    /// What is stored as the offset of a cell with this content.
    pub(crate) fn cell(content: usize) -> u32 {
        (content - 4096 - 4) as u32
    }

    pub(crate) fn root(&self) -> usize {
        self.follow(0x24)
    }

    /// The key at a path of Latin-1 names (others by their number, as in `#3`).
    pub(crate) fn key(&self, path: &str) -> usize {
        path.split('\\').filter(|name| !name.is_empty()).fold(self.root(), |key, name| {
            let keys = self.subkeys(key);
            if let Some(number) = name.strip_prefix('#') {
                return keys[number.parse::<usize>().unwrap()];
            }
            *keys
                .iter()
                .find(|&&key| self.name(key) == name.as_bytes())
                .unwrap_or_else(|| panic!("no {name}"))
        })
    }

    fn name(&self, key: usize) -> &[u8] {
        &self.0[key + 76..][..self.u16(key + 0x48).into()]
    }

    pub(crate) fn subkeys(&self, key: usize) -> Vec<usize> {
        if self.u32(key + 0x14) == 0 {
            return Vec::new();
        }
        let list = self.follow(key + 0x1C);
        let entries = |list: usize, step| {
            (0..usize::from(self.u16(list + 2))).map(move |i| self.follow(list + 4 + step * i))
        };
        match &self.0[list..list + 2] {
            b"ri" => entries(list, 4).flat_map(|leaf| entries(leaf, 8)).collect(),
            _ => entries(list, 8).collect(),
        }
    }

    /// The value of a number.
    pub(crate) fn value(&self, key: usize, number: usize) -> usize {
        self.follow(self.follow(key + 0x28) + 4 * number)
    }
}
