//! Inputs that are several files, each behind a line `=== path`, and the cabinet of such.

/// Paths and contents.
pub fn files(input: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut files: Vec<(&[u8], &[u8])> = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < input.len() {
        let end = input[at..].iter().position(|byte| *byte == b'\n').map_or(input.len(), |len| at + len + 1);
        if let Some(path) = input[at..end].strip_prefix(b"=== ") {
            if let Some(last) = files.last_mut() {
                last.1 = &input[start..at];
            }
            files.push((path.trim_ascii_end(), &[]));
            start = end;
        }
        at = end;
    }
    if let Some(last) = files.last_mut() {
        last.1 = &input[start..];
    }
    files
}

/// A cabinet without compression.
pub fn cabinet(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::new();
    let mut table = Vec::new();
    for (path, bytes) in files {
        table.extend((bytes.len() as u32).to_le_bytes());
        table.extend((data.len() as u32).to_le_bytes());
        table.extend([0, 0, 0x21, 0x4A, 0, 0, 0x80, 0]);
        table.extend(path.iter().filter(|byte| **byte != 0));
        table.push(0);
        data.extend_from_slice(bytes);
    }
    let blocks: Vec<&[u8]> = data.chunks(0x8000).collect();
    let start = 44 + table.len();
    let size = start + data.len() + blocks.len() * 8;
    let mut bytes = b"MSCF\0\0\0\0".to_vec();
    bytes.extend((size as u32).to_le_bytes());
    bytes.extend([0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 0]);
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend((start as u32).to_le_bytes());
    bytes.extend((blocks.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(table);
    for block in blocks {
        let len = (block.len() as u16).to_le_bytes();
        bytes.extend([0, 0, 0, 0, len[0], len[1], len[0], len[1]]);
        bytes.extend_from_slice(block);
    }
    bytes
}
