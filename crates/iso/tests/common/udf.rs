//! Changing UDF images: what no program at hand writes, and what no honest one would.

use wimforge_iso::crc16;

pub(crate) const SECTOR: usize = 2048;

pub(crate) fn u16_at(image: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(image[at..at + 2].try_into().expect("so many bytes"))
}

pub(crate) fn u32_at(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().expect("so many bytes"))
}

pub(crate) fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A UDF image in memory.
#[derive(Clone)]
pub(crate) struct Patched {
    pub(crate) image: Vec<u8>,
    /// First byte of the partition.
    pub(crate) partition: usize,
}

impl Patched {
    pub(crate) fn new(image: Vec<u8>) -> Self {
        let mut patched = Self { image, partition: 0 };
        let descriptor = patched.sectors_with(5)[0];
        patched.partition = u32_at(&patched.image, descriptor + 188) as usize * SECTOR;
        patched
    }

    /// The sectors that begin with a tag of this kind.
    pub(crate) fn sectors_with(&self, id: u16) -> Vec<usize> {
        let valid = |at: &usize| {
            let tag = &self.image[*at..*at + 16];
            let sum =
                tag.iter().enumerate().filter(|&(i, _)| i != 4).fold(0u8, |sum, (_, b)| sum.wrapping_add(*b));
            u16_at(tag, 0) == id && tag[4] == sum && matches!(tag[2], 2 | 3)
        };
        (0..self.image.len() / SECTOR).map(|sector| sector * SECTOR).filter(valid).collect()
    }

    /// The file entry of the file with this many bytes.
    pub(crate) fn entry_of(&self, size: u64) -> usize {
        let is = |at: &usize| self.image[*at + 56..*at + 64] == size.to_le_bytes();
        self.sectors_with(261).into_iter().find(is).expect("a file of this size")
    }

    /// The block of the partition that a byte of the image is in.
    pub(crate) fn block(&self, at: usize) -> u32 {
        ((at - self.partition) / SECTOR) as u32
    }

    /// Makes CRC and checksum of the descriptor at `at` right.
    pub(crate) fn seal(&mut self, at: usize) {
        let len = usize::from(u16_at(&self.image, at + 10));
        let crc = crc16(&self.image[at + 16..at + 16 + len]);
        put(&mut self.image, at + 8, &crc.to_le_bytes());
        self.image[at + 4] = 0;
        let sum = self.image[at..at + 16].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        self.image[at + 4] = sum;
    }

    /// Writes bytes into a descriptor, and seals it.
    pub(crate) fn set(&mut self, descriptor: usize, at: usize, bytes: &[u8]) {
        put(&mut self.image, descriptor + at, bytes);
        self.seal(descriptor);
    }

    /// Gives a file entry other allocation descriptors, or data in their place, of kind 0 to 3.
    pub(crate) fn allocate(&mut self, entry: usize, kind: u8, descriptors: &[u8]) {
        let attributes = u32_at(&self.image, entry + 168) as usize;
        self.image[entry + 34] = self.image[entry + 34] & !7 | kind;
        put(&mut self.image, entry + 172, &(descriptors.len() as u32).to_le_bytes());
        put(&mut self.image, entry + 176 + attributes, descriptors);
        let covered = (160 + attributes + descriptors.len()) as u16;
        self.set(entry, 10, &covered.to_le_bytes());
    }

    /// Appends a block to the image, and so to the partition, and says which it is.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u32 {
        let at = self.image.len().next_multiple_of(SECTOR);
        self.image.resize(at + SECTOR, 0);
        put(&mut self.image, at, bytes);
        for descriptor in self.sectors_with(5) {
            let sectors = ((at + SECTOR - self.partition) / SECTOR) as u32;
            self.set(descriptor, 192, &sectors.to_le_bytes());
        }
        self.block(at)
    }

    /// Appends a descriptor with a tag.
    pub(crate) fn append_descriptor(&mut self, id: u16, body: &[u8]) -> u32 {
        let mut bytes = vec![0; 16];
        put(&mut bytes, 0, &id.to_le_bytes());
        bytes[2] = 2;
        put(&mut bytes, 10, &(body.len() as u16).to_le_bytes());
        bytes.extend(body);
        let block = self.append(&bytes);
        let at = self.partition + block as usize * SECTOR;
        self.set(at, 12, &block.to_le_bytes());
        block
    }

    /// The file identifiers of the directory at byte `at`: where each begins, and its name.
    pub(crate) fn identifiers(&self, at: usize) -> Vec<(usize, Vec<u8>)> {
        let mut found = Vec::new();
        let mut next = at;
        while next + 38 <= self.image.len() && u16_at(&self.image, next) == 257 {
            let (name, skip) =
                (usize::from(self.image[next + 19]), usize::from(u16_at(&self.image, next + 36)));
            found.push((next, self.image[next + 38 + skip..next + 38 + skip + name].to_vec()));
            next += (38 + name + skip).next_multiple_of(4);
        }
        found
    }

    /// Where the data of a file entry with short allocation descriptors begins.
    pub(crate) fn data(&self, entry: usize) -> usize {
        let attributes = u32_at(&self.image, entry + 168) as usize;
        self.partition + u32_at(&self.image, entry + 176 + attributes + 4) as usize * SECTOR
    }
}

/// Short, long and extended allocation descriptors.
pub(crate) fn short(len: u32, block: u32) -> Vec<u8> {
    [len.to_le_bytes(), block.to_le_bytes()].concat()
}

pub(crate) fn long(len: u32, block: u32, partition: u16) -> Vec<u8> {
    [&short(len, block)[..], &partition.to_le_bytes(), &[0; 6]].concat()
}

pub(crate) fn extended(len: u32, block: u32, partition: u16) -> Vec<u8> {
    let lens = [len, len & 0x3FFF_FFFF, len & 0x3FFF_FFFF].map(u32::to_le_bytes).concat();
    [&lens[..], &block.to_le_bytes(), &partition.to_le_bytes(), &[0; 2]].concat()
}
