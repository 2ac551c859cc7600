//! Symbolic links and junctions: what their reparse data says ([MS-FSCC] 2.1.2.4 and 2.1.2.5).

pub(crate) const TAG_SYMLINK: u32 = 0xA000_000C;
pub(crate) const TAG_MOUNT_POINT: u32 = 0xA000_0003;
/// The largest reparse buffer there is ([MS-FSCC] 2.1.2).
pub(crate) const MAX_REPARSE: u64 = 16 << 10;

/// Where offset and length of the substitute name are, and of the print name.
const SUBSTITUTE: usize = 0;
const PRINT: usize = 4;
/// `\??\`, which substitute names begin with.
const OBJECT_PREFIX: &str = r"\??\";

/// One of the two names. `data` is the reparse buffer after its first 8 bytes.
fn name(tag: u32, data: &[u8], which: usize) -> Option<String> {
    // Four fields, for symbolic links flags, then the names.
    let names = match tag {
        TAG_SYMLINK => 12,
        TAG_MOUNT_POINT => 8,
        _ => return None,
    };
    let field = |at: usize| Some(usize::from(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?)));
    let bytes = data.get(names..)?.get(field(which)?..)?.get(..field(which + 2)?)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    String::from_utf16(&units).ok()
}

/// The target that a symbolic link or junction states, and whether it is relative to where the link is. `data` is the
/// reparse buffer after its first 8 bytes.
pub fn reparse_target(tag: u32, data: &[u8]) -> Option<(String, bool)> {
    let relative = tag == TAG_SYMLINK && data.get(8)? & 1 != 0;
    Some((name(tag, data, SUBSTITUTE)?, relative))
}

/// The target as Windows prints it; the other one, if it has none.
pub(crate) fn print_name(tag: u32, data: &[u8]) -> Option<String> {
    let print = name(tag, data, PRINT).filter(|text| !text.is_empty());
    print.or_else(|| {
        let text = name(tag, data, SUBSTITUTE).filter(|text| !text.is_empty())?;
        Some(without_prefix(&text).to_owned())
    })
}

/// What a link means whatever the drive: its target without the prefix of object names.
pub(crate) fn without_prefix(target: &str) -> &str {
    target.strip_prefix(OBJECT_PREFIX).unwrap_or(target)
}
