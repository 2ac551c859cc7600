//! A reader of streamOptimized VMDK files that never goes back, by the rules of those who read them that way.
//!
//! VirtualBox's importer reads the disks of an appliance as a stream; VMware's tools hash a stream up to its end marker
//! and compare with the manifest. Both refuse files that a reader with the tables at hand takes: most of all what
//! qemu-img makes. Each rule is named after who has it. Nothing here shares code with the crate that writes such files.
//! Sources of the rules: `containers.md` of the research, 3.2 to 3.4 (facts about VirtualBox 7.0 and open-vmdk).

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Bytes of a sector.
const SECTOR: usize = 512;
/// Bytes of a grain.
const GRAIN: usize = 64 << 10;
/// Grains of a table.
const ENTRIES: u64 = 512;

/// What a file says besides its grains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Size of the disk in bytes: the descriptor's, which may end inside the last grain.
    pub disk_size: u64,
    /// How many grains there were.
    pub grains: u64,
    /// The text that describes the disk.
    pub descriptor: String,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn rule(holds: bool, text: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Bytes that are taken in order.
struct Input<'a> {
    from: &'a mut dyn Read,
    /// The sector that comes next.
    sector: u64,
}

impl Input<'_> {
    fn take(&mut self, sectors: u64) -> Result<Vec<u8>, String> {
        // Never more than the stream has, whatever a field says.
        let len = sectors.checked_mul(SECTOR as u64).ok_or("a size that is none")?;
        let mut bytes = Vec::new();
        (&mut *self.from).take(len).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        rule(bytes.len() as u64 == len, "ends without an end marker")?;
        self.sector += sectors;
        Ok(bytes)
    }
}

/// The table that is being filled, and where the ones before it went.
struct Tables {
    table: Vec<u32>,
    /// Which part of the disk the grains since the last table are in.
    part: Option<u64>,
    sectors: Vec<u32>,
    /// For each grain where it is; only for files whose tables are in front.
    in_front: Option<Vec<u32>>,
}

impl Tables {
    fn put(&mut self, grain: u64, sector: u64) -> Result<(), String> {
        let sector = u32::try_from(sector).map_err(|_| "file of more than 2 TiB")?;
        if let Some(front) = &self.in_front {
            return rule(front[grain as usize] == sector, "tables in front name the grains");
        }
        let part = grain / ENTRIES;
        rule(self.part.is_none_or(|other| other == part), "a table follows the grains of its 32 MiB")?;
        self.part = Some(part);
        self.table[(grain % ENTRIES) as usize] = sector;
        Ok(())
    }

    fn close(&mut self, bytes: &[u8], at: u64) -> Result<(), String> {
        let part = self.part.take().ok_or("a table without grains")?;
        let found: Vec<u32> = bytes.chunks(4).map(|entry| u32_at(entry, 0)).collect();
        rule(found == self.table, "a table names the grains before it")?;
        self.sectors[part as usize] = at as u32;
        self.table.fill(0);
        Ok(())
    }
}

/// Reads all of `from`, and hands each grain's place on the disk and its 64 KiB to `grain`, in order.
///
/// # Errors
/// The first rule that is broken, in words.
pub fn read(from: &mut dyn Read, grain: &mut dyn FnMut(u64, &[u8])) -> Result<Stream, String> {
    let mut input = Input { from, sector: 0 };
    let header = input.take(1)?;
    rule(&header[..4] == b"KDMV", "signature")?;
    rule(u32_at(&header, 4) == 3, "ESXi: header of version 3")?;
    rule(u32_at(&header, 8) & 0x3_0001 == 0x3_0001, "VirtualBox: check bytes, compressed, markers")?;
    rule(u32_at(&header, 8) & 4 == 0, "VirtualBox: no marks for grains of zeros")?;
    rule(header[72] == 0 && &header[73..79] == b"\n \r\n\x01\0", "clean, check bytes, deflate")?;
    rule(is_zero(&header[79..]), "padding of the header")?;
    let (capacity, grain_size) = (u64_at(&header, 12), u64_at(&header, 20));
    rule(grain_size == 128, "grains of 64 KiB")?;
    rule(capacity > 0 && capacity.is_multiple_of(grain_size), "technical note: capacity of whole grains")?;
    rule(u32_at(&header, 44) == 512, "tables of 512 entries")?;
    rule(u64_at(&header, 28) == 1, "qemu: descriptor in sector 1")?;
    let (directory, overhead, text) = (u64_at(&header, 56), u64_at(&header, 64), u64_at(&header, 36));
    rule(overhead > text && overhead <= 1 << 20, "grains behind the descriptor")?;
    let text = input.take(text)?;
    let (descriptor, described) = check_descriptor(&text, "streamOptimized")?;
    rule(described <= capacity && capacity - described < grain_size, "descriptor and header of one size")?;
    let grains = capacity / 128;
    let tables = grains.div_ceil(ENTRIES);

    let streamed = directory == u64::MAX;
    let between_at = input.sector;
    let between = input.take(overhead - between_at)?;
    let in_front = if streamed {
        rule(is_zero(&between), "nothing between descriptor and grains")?;
        None
    } else {
        Some(
            tables_in_front(&between, between_at, directory, grains)
                .ok_or("directory and tables in front")?,
        )
    };
    let mut tables =
        Tables { table: vec![0; ENTRIES as usize], part: None, sectors: vec![0; tables as usize], in_front };
    let (mut next, mut count) = (0, 0);
    let (mut directory_at, mut footer) = (None, None);
    loop {
        let at = input.sector;
        let sector = input.take(1)?;
        let (value, size, kind) = (u64_at(&sector, 0), u32_at(&sector, 8), u32_at(&sector, 12));
        if size != 0 {
            rule(footer.is_none() && directory_at.is_none(), "grains before the directory")?;
            rule(value.is_multiple_of(128) && value < capacity, "grains on the disk")?;
            rule(value >= next, "VirtualBox: ascending LBAs")?;
            next = value + 128;
            rule(size as usize + 12 <= 66_048, "VirtualBox: room for a grain")?;
            let mut data = sector[12..].to_vec();
            data.extend(input.take((u64::from(size) + 12).div_ceil(SECTOR as u64) - 1)?);
            rule(is_zero(&data[size as usize..]), "padding of a grain")?;
            let mut inflated = Vec::with_capacity(GRAIN);
            let mut zlib = ZlibDecoder::new(&data[..size as usize]);
            let bounded = (&mut zlib).take(GRAIN as u64 + 1).read_to_end(&mut inflated);
            bounded.map_err(|error| format!("inflate: {error}"))?;
            rule(inflated.len() == GRAIN, "VirtualBox: a grain is whole")?;
            rule(zlib.total_in() == u64::from(size), "nothing behind the zlib stream")?;
            tables.put(value / 128, at)?;
            grain(value * SECTOR as u64, &inflated);
            count += 1;
            continue;
        }
        rule(is_zero(&sector[16..]), "padding of a marker")?;
        match kind {
            0 => {
                rule(value == 0, "end marker")?;
                break;
            }
            1 => {
                rule(value == 4, "marker of a table")?;
                let bytes = input.take(4)?;
                tables.close(&bytes, at + 1)?;
            }
            2 => {
                let sectors = (tables.sectors.len() * 4).div_ceil(SECTOR);
                rule(value == sectors as u64, "marker of the directory")?;
                rule(tables.part.is_none(), "a table for all grains")?;
                directory_at = Some(at + 1);
                let bytes = input.take(value)?;
                let found: Vec<u32> = bytes.chunks(4).map(|entry| u32_at(entry, 0)).collect();
                let (found, padding) = found.split_at(tables.sectors.len());
                rule(found == tables.sectors, "the directory names the tables before it")?;
                rule(padding.iter().all(|entry| *entry == 0), "padding of the directory")?;
            }
            3 => {
                rule(value == 1, "marker of the footer")?;
                footer = Some((input.take(1)?, input.sector));
            }
            // vSphere's note of progress, which nobody documents.
            4 => drop(input.take(value)?),
            other => return Err(format!("marker of type {other}")),
        }
    }
    if streamed {
        let (footer, behind) = footer.ok_or("no footer")?;
        rule(behind + 1 == input.sector, "VirtualBox, qemu: footer 1024 bytes before the end")?;
        rule(Some(u64_at(&footer, 56)) == directory_at, "the footer names the directory")?;
        rule(footer[..56] == header[..56] && footer[64..] == header[64..], "the footer repeats the header")?;
    } else {
        let front = tables.in_front.iter().flatten().filter(|sector| **sector != 0).count() as u64;
        rule(front == count, "a grain for every entry in front")?;
    }
    let behind = std::io::copy(input.from, &mut std::io::sink()).map_err(|error| error.to_string())?;
    rule(behind == 0, "VMware: nothing behind the end marker")?;
    Ok(Stream { disk_size: described * SECTOR as u64, grains: count, descriptor })
}

/// For each grain its sector, when directory and tables lie between descriptor and grains.
fn tables_in_front(bytes: &[u8], at: u64, directory: u64, grains: u64) -> Option<Vec<u32>> {
    let inside = |sector: u64, len: usize| {
        let start = usize::try_from(sector.checked_sub(at)?.checked_mul(SECTOR as u64)?).ok()?;
        bytes.get(start..start.checked_add(len)?)
    };
    let tables = grains.div_ceil(ENTRIES);
    let mut entries = Vec::new();
    for table in inside(directory, usize::try_from(tables).ok()?.checked_mul(4)?)?.chunks(4) {
        match u32_at(table, 0) {
            0 => entries.resize(entries.len() + ENTRIES as usize, 0),
            sector => entries.extend(inside(sector.into(), 2048)?.chunks(4).map(|entry| u32_at(entry, 0))),
        }
    }
    Some(entries)
}

/// Holds a descriptor, padded with zero bytes or not, to the rules of VirtualBox and qemu. Returns its text, and the
/// sectors of all extents.
///
/// # Errors
/// The first rule that is broken, in words.
pub fn check_descriptor(bytes: &[u8], create_type: &str) -> Result<(String, u64), String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    rule(is_zero(&bytes[end..]), "padding of the descriptor")?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
    rule(text.ends_with('\n') && !text.contains('\r'), "line ends")?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    rule(lines.len() <= 1100, "VirtualBox: at most 1100 lines")?;
    rule(
        matches!(
            lines[0],
            "# Disk DescriptorFile"
                | "# Disk Descriptor File"
                | "#Disk Descriptor File"
                | "#Disk DescriptorFile"
        ),
        "VirtualBox: first line",
    )?;
    // qemu looks for the first place where it says CID.
    let cid = text.find("CID").ok_or("no CID")?;
    rule(
        text[..cid].ends_with('\n') && text[cid..].starts_with("CID="),
        "qemu: the first CID is the disk's",
    )?;
    let (mut part, mut sectors, mut keys) = (0, 0, Vec::new());
    for line in lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let of = if line.starts_with("RW ") || line.starts_with("RDONLY ") {
            let sizes = line.split(' ').nth(1).and_then(|size| size.parse::<u64>().ok());
            sectors += sizes.ok_or("an extent without a size")?;
            1
        } else if line.starts_with("ddb.") {
            2
        } else {
            keys.push(*line);
            0
        };
        rule(of >= part, "VirtualBox: keys, extents, database")?;
        part = of;
    }
    rule(keys.first() == Some(&"version=1"), "VirtualBox: version 1")?;
    rule(keys.contains(&"parentCID=ffffffff"), "no parent")?;
    let kind = format!("createType=\"{create_type}\"");
    rule(keys.contains(&kind.as_str()), "createType")?;
    let reserved = ["CID=ffffffff", "CID=fffffffe"];
    rule(!keys.iter().any(|key| reserved.contains(key)), "VMware: reserved content ids")?;
    rule(part == 2 && sectors > 0, "extents and a database")?;
    Ok((text.to_owned(), sectors))
}
