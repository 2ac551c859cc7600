//! Makes a hive of a `.reg` file: how the hives in `testdata` came about.

use std::error::Error;

use disk::FileTime;
use wimforge_hive::Hive;
use wimforge_hive::paths::{self, Mount};
use wimforge_hive::reg::{self, RegFile};

/// The system and administrators may do all, everyone may read; inherited ([MS-DTYP] 2.4.6).
fn security() -> Vec<u8> {
    const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
    const EVERYONE: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    const ALL: u32 = 0xF_003F;
    const READ: u32 = 0x2_0019;
    const INHERIT: u8 = 2;
    let mut entries = Vec::new();
    for (mask, sid) in [(ALL, SYSTEM), (ALL, ADMINISTRATORS), (READ, EVERYONE)] {
        entries.extend_from_slice(&[0, INHERIT, 8 + sid.len() as u8, 0]);
        entries.extend_from_slice(&mask.to_le_bytes());
        entries.extend_from_slice(sid);
    }
    const HEAD: u32 = 20;
    let list = 8 + entries.len() as u32;
    let mut bytes = vec![1, 0, 4, 0x80];
    for offset in [HEAD + list, HEAD + list + ADMINISTRATORS.len() as u32, 0, HEAD] {
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    bytes.extend_from_slice(&[2, 0, list as u8, 0, 3, 0, 0, 0]);
    [bytes, entries, ADMINISTRATORS.to_vec(), SYSTEM.to_vec()].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = args.as_slice() else { return Err("usage: from_reg IN.reg OUT".into()) };
    let file = RegFile::parse(&std::fs::read(input)?)?;
    let time = FileTime::from_unix_seconds(1_500_000_000);
    let mut hive = Hive::new(5, "ROOT", &security(), time)?;
    let mount = match file.operations.first() {
        Some(first) => Mount::known(hive.root(), paths::locate(&first.key)?.hive),
        None => return Err(format!("{input}: no keys").into()),
    };
    let mut locate = |operation: &reg::Operation| {
        let wrong = |problem| reg::Error::Path { line: operation.line, problem };
        mount.key(&operation.key).map(Some).map_err(wrong)
    };
    reg::apply(hive.root_mut(), &file.operations, Some(time), &mut locate)?;
    Ok(std::fs::write(output, hive.to_bytes()?)?)
}
