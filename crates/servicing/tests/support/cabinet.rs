//! A writer of cabinets that says what it is told to say.

/// A folder: what its field for the compression says, and its blocks, each with the size that it decodes to.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) compression: u16,
    pub(crate) blocks: Vec<(Vec<u8>, u16)>,
}

/// A file: name, folder, offset, size.
pub(crate) type File = (String, u16, u32, u32);

pub(crate) fn stored(data: &[u8]) -> Folder {
    Folder {
        compression: 0,
        blocks: data.chunks(0x8000).map(|block| (block.to_vec(), block.len() as u16)).collect(),
    }
}

pub(crate) fn lzx(data: &[u8], power: u16, seed: u64) -> Folder {
    let chunks = super::lzx::compress(data, power, seed);
    let sizes = data.chunks(0x8000).map(|chunk| chunk.len() as u16);
    Folder { compression: 3 | power << 8, blocks: chunks.into_iter().zip(sizes).collect() }
}

/// Files one after another in folders: name, folder, content.
pub(crate) fn lay_out(files: &[(&str, u16, &[u8])]) -> (Vec<File>, Vec<Vec<u8>>) {
    let mut folders: Vec<Vec<u8>> = Vec::new();
    let mut entries = Vec::new();
    for (name, folder, content) in files {
        folders.resize(folders.len().max(usize::from(*folder) + 1), Vec::new());
        let data = &mut folders[usize::from(*folder)];
        entries.push(((*name).to_owned(), *folder, data.len() as u32, content.len() as u32));
        data.extend_from_slice(content);
    }
    (entries, folders)
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0, |sum, word| {
        let number = match word {
            [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
            rest => rest.iter().fold(0, |rest, byte| rest << 8 | u32::from(*byte)),
        };
        sum ^ number
    })
}

/// The cabinet. `reserve` gives the sizes of the reserved areas of header, folders and blocks.
pub(crate) fn write(files: &[File], folders: &[Folder], reserve: Option<(u16, u8, u8)>) -> Vec<u8> {
    let (header_reserve, folder_reserve, data_reserve) = reserve.unwrap_or_default();
    let header_len = 36 + if reserve.is_some() { 4 + usize::from(header_reserve) } else { 0 };
    let files_offset = header_len + folders.len() * (8 + usize::from(folder_reserve));
    let table: Vec<u8> = files
        .iter()
        .flat_map(|(name, folder, offset, size)| {
            let mut entry = size.to_le_bytes().to_vec();
            entry.extend(offset.to_le_bytes());
            entry.extend(folder.to_le_bytes());
            // 2016-07-16 01:02:04, archive, UTF-8.
            entry.extend([0xF0, 0x48, 0x42, 0x08, 0xA0, 0]);
            entry.extend(name.as_bytes());
            entry.push(0);
            entry
        })
        .collect();
    let mut data = Vec::new();
    let mut offsets = Vec::new();
    for folder in folders {
        offsets.push((files_offset + table.len() + data.len()) as u32);
        for (stored, size) in &folder.blocks {
            let mut head = (stored.len() as u16).to_le_bytes().to_vec();
            head.extend(size.to_le_bytes());
            head.extend(vec![0x5A; usize::from(data_reserve)]);
            data.extend((checksum(stored) ^ checksum(&head)).to_le_bytes());
            data.extend(head);
            data.extend(stored);
        }
    }
    let mut bytes = b"MSCF\0\0\0\0".to_vec();
    bytes.extend(((files_offset + table.len() + data.len()) as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((files_offset as u32).to_le_bytes());
    bytes.extend([0, 0, 0, 0, 3, 1]);
    bytes.extend((folders.len() as u16).to_le_bytes());
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend([if reserve.is_some() { 4 } else { 0 }, 0, 0x34, 0x12, 0, 0]);
    if reserve.is_some() {
        bytes.extend(header_reserve.to_le_bytes());
        bytes.extend([folder_reserve, data_reserve]);
        bytes.extend(vec![0xA5; usize::from(header_reserve)]);
    }
    for (folder, offset) in folders.iter().zip(offsets) {
        bytes.extend(offset.to_le_bytes());
        bytes.extend((folder.blocks.len() as u16).to_le_bytes());
        bytes.extend(folder.compression.to_le_bytes());
        bytes.extend(vec![0xC3; usize::from(folder_reserve)]);
    }
    bytes.extend(table);
    bytes.extend(data);
    bytes
}
