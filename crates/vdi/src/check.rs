use crate::read::{Block, PIECE, Vdi};
use crate::{Error, Result};

/// What a [`Vdi::check`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks that are stored.
    pub stored: u64,
    /// Blocks that are zero by a mark of their own.
    pub zero: u64,
}

impl Vdi {
    /// Checks the whole block map: that every stored block lies in the file, that no two are the same, and that there are
    /// as many as the header says. Blocks that the header counts and nothing uses make VirtualBox write new ones in the
    /// wrong place.
    ///
    /// Memory: a bit per stored block.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault; [`Error::Io`].
    pub fn check(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        let blocks = u64::from(self.header.blocks);
        let (map, data) = (u64::from(self.header.map_offset), u64::from(self.header.data_offset));
        // No more than the file has room for, whatever the header counts.
        let room = (self.file_len.saturating_sub(data)).div_ceil(self.header.block_size.into());
        let mut seen = vec![0u64; u64::from(self.header.allocated).min(room + 1).div_ceil(64) as usize];
        for piece in 0..blocks.div_ceil(PIECE) {
            for (number, entry) in (piece * PIECE..).zip(self.read_piece(piece)?.iter()) {
                match self.block(number, *entry)? {
                    Block::Free => {}
                    Block::Zero => usage.zero += 1,
                    Block::Stored(at) => {
                        usage.stored += 1;
                        let (word, bit) = (*entry as usize / 64, 1 << (entry % 64));
                        let Some(word) = seen.get_mut(word).filter(|word| **word & bit == 0) else {
                            let reason = format!("block {number} at {at:#x} is another one's, too");
                            return Err(Error::malformed("VDI block map entry", map + number * 4, reason));
                        };
                        *word |= bit;
                    }
                }
            }
        }
        if usage.stored != u64::from(self.header.allocated) {
            let (allocated, found) = (self.header.allocated, usage.stored);
            let reason = format!("{allocated} blocks are said to be stored, the map has {found}");
            return Err(Error::malformed("VDI header", 0x184, reason));
        }
        Ok(usage)
    }
}
