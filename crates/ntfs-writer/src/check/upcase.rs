//! `$UpCase`: the table by which names are compared, and its checksum.

use super::report::Code;
use super::{Checker, Severity};
use crate::layout::number;
use crate::parse::{kind, u32_at, u64_at};
use crate::upcase::{LEN, table};

/// What eight steps of the polynomial make of each byte.
const STEPS: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (mut crc, mut bit) = (byte as u64, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ ((crc & 1) * 0x9A6C_9329_AC4B_C9B5);
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-64 (ECMA-182, reflected, preset and final inversion), as `$UpCase:$Info` has it.
fn crc64(bytes: &[u8]) -> u64 {
    !bytes.iter().fold(!0u64, |crc, &byte| crc >> 8 ^ STEPS[usize::from(crc as u8 ^ byte)])
}

impl Checker<'_> {
    /// Loads the table, so that names are compared as the volume's writer did.
    pub(super) fn load_upcase(&mut self) {
        let place = self.record_place(number::UPCASE);
        let Some(value) = self.value_of(number::UPCASE, kind::DATA, "") else {
            return self.error(Code::UpCase, place, format_args!("no unnamed stream"));
        };
        let offset = value.place(0);
        let place = super::Place { offset, ..place };
        if value.size() != LEN as u64 {
            let text = format_args!("{} bytes, expected {LEN}", value.size());
            return self.error(Code::UpCase, place, text);
        }
        let Some(bytes) = self.whole(&value, place, "$UpCase") else { return };
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let ascii = (0..128).find(|&unit: &usize| units[unit] != table()[unit]);
        if let Some(unit) = ascii {
            let text =
                format_args!("unit {unit:#x} becomes {:#x}, expected {:#x}", units[unit], table()[unit]);
            self.error(Code::UpCase, place.plus(2 * unit), text);
        }
        let other = (128..units.len()).find(|&unit| units[unit] != table()[unit]);
        if let Some(unit) = other {
            let text = format_args!(
                "not the table of Windows 10: unit {unit:#x} becomes {:#x}, there {:#x}",
                units[unit],
                table()[unit]
            );
            let severity = if self.ours { Severity::Error } else { Severity::Note };
            self.found.add(severity, Code::UpCase, place.plus(2 * unit), text);
        }
        if let Some(info) = self.value_of(number::UPCASE, kind::DATA, "$Info") {
            let place = super::Place { offset: info.place(0), ..place };
            let Some(info) = self.whole(&info, place, "$UpCase:$Info") else { return };
            let (len, found) = (u32_at(&info, 0), u64_at(&info, 8));
            let crc = crc64(&bytes);
            if len != Some(32) || info.len() < 32 || found != Some(crc) {
                let text = format_args!(
                    "$Info of {} bytes with checksum {:#x}, expected 32 and {crc:#x}",
                    info.len(),
                    found.unwrap_or_default()
                );
                self.error(Code::UpCase, place.plus(8), text);
            }
        }
        self.upcase = units;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum() {
        let bytes: Vec<u8> = crate::upcase::table().iter().flat_map(|unit| unit.to_le_bytes()).collect();
        assert_eq!(super::crc64(&bytes), crate::upcase::CRC64);
    }
}
