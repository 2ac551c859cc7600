//! CRC-32C (Castagnoli), which guards every structure of a VHDX but its metadata and its block allocation table.
//!
//! Eight bytes a step with eight tables: a dirty log of megabytes is summed up when a file is opened. No package for
//! it: the ones that use the processor's instruction need `unsafe` for what is 60 KiB of structures here.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][before as usize & 0xFF];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// A checksum that is being made of bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) const fn new() -> Self {
        Self(!0)
    }

    #[must_use]
    pub(crate) fn update(self, bytes: &[u8]) -> Self {
        let mut sum = self.0;
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word: [u8; 8] = word.try_into().expect("eight bytes");
            let word = u64::from_le_bytes(word) ^ u64::from(sum);
            sum = (0..8).fold(0, |sum, byte| sum ^ TABLES[7 - byte][(word >> (byte * 8)) as usize & 0xFF]);
        }
        for byte in words.remainder() {
            sum = sum >> 8 ^ TABLES[0][(sum ^ u32::from(*byte)) as usize & 0xFF];
        }
        Self(sum)
    }

    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

/// The checksum of a structure that holds it in bytes 4 to 8, which count as zero.
pub fn checksum(bytes: &[u8]) -> u32 {
    Crc32c::new().update(&bytes[..4]).update(&[0; 4]).update(&bytes[8..]).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_others_publish() {
        // RFC 3720, B.4: zeros, ones, ascending; and the check value of every catalog of CRCs.
        let of = |bytes: &[u8]| Crc32c::new().update(bytes).value();
        assert_eq!(of(&[0; 32]), 0x8A91_36AA);
        assert_eq!(of(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(of(&(0..32).collect::<Vec<u8>>()), 0x46DD_794E);
        assert_eq!(of(b"123456789"), 0xE306_9283);
        assert_eq!(Crc32c::new().update(b"1234").update(b"").update(b"56789").value(), 0xE306_9283);
    }
}
