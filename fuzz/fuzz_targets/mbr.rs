//! Any 512 bytes parse or are refused; what parses is written back and parses to the same table.
#![no_main]

use bootsector::{Mbr, SECTOR_LEN};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(sector) = data.first_chunk::<SECTOR_LEN>() else { return };
    let Ok(mbr) = Mbr::parse(sector) else { return };
    let _ = mbr.check_fits(data.len() as u64 / 512);
    if mbr.disk_signature != 0 {
        let written = mbr.to_sector().expect("what was read can be written");
        assert_eq!(Mbr::parse(&written).expect("what was written can be read"), mbr);
    }
});
