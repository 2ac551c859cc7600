//! MSZIP: blocks of DEFLATE, each with the 32 KiB before it as its dictionary. Source: [MS-MCI].

use flate2::{Decompress, FlushDecompress};

use super::layout::BLOCK_SIZE;

/// What every block begins with.
const SIGNATURE: &[u8] = b"CK";

#[derive(Debug)]
pub(super) struct MsZip {
    inflater: Decompress,
    /// The last 32 KiB before the block.
    dictionary: Vec<u8>,
}

impl MsZip {
    pub(super) fn new() -> Self {
        Self { inflater: Decompress::new(false), dictionary: Vec::new() }
    }

    /// Decodes the next block into `dst`, which has exactly its size.
    pub(super) fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), String> {
        let Some(src) = src.strip_prefix(SIGNATURE) else {
            return Err(format!("an MSZIP block begins with {:02x?}, not with CK", &src[..src.len().min(2)]));
        };
        self.inflater.reset(false);
        if !self.dictionary.is_empty() {
            self.inflater.set_dictionary(&self.dictionary).map_err(|error| error.to_string())?;
        }
        self.inflater
            .decompress(src, dst, FlushDecompress::Finish)
            .map_err(|error| format!("an MSZIP block: {error}"))?;
        let made = self.inflater.total_out();
        if made != dst.len() as u64 {
            return Err(format!(
                "an MSZIP block decodes to {made:#x} bytes, its header says {:#x}",
                dst.len()
            ));
        }
        self.dictionary.extend_from_slice(dst);
        let old = self.dictionary.len().saturating_sub(BLOCK_SIZE);
        self.dictionary.drain(..old);
        Ok(())
    }
}
