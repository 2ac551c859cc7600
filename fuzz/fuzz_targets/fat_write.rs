//! Any files lead to a FAT32 volume or to an error; the checker finds nothing to say about the volume, our reader finds the same files, and what
//! is unused of it can be made zero.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use disk::{Content, ExtentMap, FileTime, ReadAt, SectorSize};
use fat::{Data, Directory, Node, Options, Plan, Target, Volume};
use libfuzzer_sys::fuzz_target;

/// A volume that is rendered when it is read. Blob `n` is all of the byte `n`.
struct Rendered {
    map: ExtentMap,
    /// What was made zero.
    zero: Vec<std::ops::Range<u64>>,
}

impl ReadAt for Rendered {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.map.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        let extents = self.map.extents();
        let first = extents.partition_point(|extent| extent.end() <= offset);
        for extent in extents[first..].iter().take_while(|extent| extent.start < end) {
            let (from, to) = (extent.start.max(offset), extent.end().min(end));
            let part = &mut buf[(from - offset) as usize..(to - offset) as usize];
            match &extent.content {
                Content::Bytes { bytes, offset: skip } => {
                    let skip = (*skip + (from - extent.start)) as usize;
                    part.copy_from_slice(&bytes[skip..skip + part.len()]);
                }
                Content::Blob { blob, .. } => part.fill(*blob as u8),
                Content::Zero => {}
                other => panic!("{other:?}"),
            }
        }
        for range in &self.zero {
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from < to {
                buf[(from - offset) as usize..(to - offset) as usize].fill(0);
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.map.len())
    }
}

fn name(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=5)? {
        0 => u
            .choose(&["a", "A", "EFI", "Boot", "bootx64.efi", "BCD", "ä", "a b", "x.tar.gz", "NUL"])?
            .to_string(),
        1 => format!("a long name, number {}", u.int_in_range(0..=200)?),
        2 => format!("LONGNA~{}.TXT", u.int_in_range(0..=12)?),
        3 => "n".repeat(u.int_in_range(1..=260)?),
        4 => format!("{}.{}", u.arbitrary::<char>()?, u.arbitrary::<char>()?),
        _ => u.arbitrary::<&str>()?.chars().take(20).collect(),
    })
}

fn nodes(u: &mut Unstructured<'_>) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..u.int_in_range(0..=60)? {
        let parent = match nodes.is_empty() || u.arbitrary()? {
            true => String::new(),
            false => format!("{}\\", u.choose(&nodes)?.path),
        };
        let path = format!("{parent}{}", name(u)?);
        let len = u.int_in_range(0..=20_000)?;
        let data = match u.int_in_range(0..=3)? {
            0 => None,
            1 => Some(Data::Bytes(vec![nodes.len() as u8; len as usize].into())),
            2 => Some(Data::Blob { blob: u.int_in_range(0..=255)?, len: len * u.int_in_range(0..=300)? }),
            _ => Some(Data::Zeros { len }),
        };
        let times = u.arbitrary::<[u64; 2]>()?.map(FileTime);
        nodes.push(Node { path, attributes: u.arbitrary()?, created: times[0], modified: times[1], data });
    }
    Ok(nodes)
}

/// Paths and sizes of all files, and the first and last byte of each.
fn listed(volume: &Volume, directory: Directory, path: &str, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in volume.entries(directory).expect("a sound volume") {
        let path = format!("{path}\\{}", String::from_utf16_lossy(&entry.name));
        match entry.target {
            Target::Directory(below) => listed(volume, below, &path, found),
            Target::File(start) => {
                let mut file = volume.file(start).expect("a sound volume");
                let mut ends = Vec::new();
                for at in [0, file.size().saturating_sub(1)] {
                    let mut byte = [0];
                    if file.size() > 0 {
                        file.read_at(at, &mut byte).expect("a sound volume");
                    }
                    ends.push(byte[0]);
                }
                assert!(found.insert(path, (start.size, ends)).is_none(), "a name twice");
            }
        }
    }
}

fn attempt(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let options = Options {
        sector: if u.ratio(1, 4)? { SectorSize::B4096 } else { SectorSize::B512 },
        hidden_sectors: u.arbitrary()?,
        serial: u.arbitrary()?,
        label: if u.arbitrary()? { name(&mut u)? } else { "SYSTEM".to_owned() },
        time: FileTime(u.arbitrary()?),
    };
    let nodes = nodes(&mut u)?;
    let Ok(plan) = Plan::new(options, nodes.clone()) else { return Ok(()) };
    let least = plan.min_size();
    assert!(least == 0 || plan.lay_out(least.saturating_sub(1 << 20)).is_err(), "it is not the least");
    let len = least + (u.int_in_range(0..=4)? << 20);
    let Ok(map) = plan.lay_out(len) else {
        assert!(least >= 1 << 42, "the smallest volume is accepted");
        return Ok(());
    };
    let mut at = 0;
    for extent in map.extents() {
        assert_eq!(extent.start, at);
        at = extent.end();
    }
    assert_eq!(at, len);
    let source: Arc<dyn ReadAt> = Arc::new(Rendered { map: map.clone(), zero: Vec::new() });
    let report = fat::check::check(Arc::clone(&source)).expect("memory can be read");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let volume = Volume::open(Arc::clone(&source)).expect("a sound volume");
    let mut found = BTreeMap::new();
    listed(&volume, volume.root(), "", &mut found);
    let mut files = 0;
    for node in &nodes {
        let Some(data) = &node.data else { continue };
        files += 1;
        let path = node.path.replace('/', "\\");
        let path = format!("\\{}", path.trim_matches('\\'));
        let (size, ends) =
            found.get(&path).unwrap_or_else(|| panic!("{path:?} is not there: {:?}", found.keys()));
        let (len, byte) = match data {
            Data::Bytes(bytes) => (bytes.len() as u64, bytes.first().copied().unwrap_or(0)),
            Data::Blob { blob, len } => (*len, if *len > 0 { *blob as u8 } else { 0 }),
            Data::Zeros { len } => (*len, 0),
        };
        assert_eq!((u64::from(*size), &ends[..]), (len, &[byte, byte][..]), "{path:?}");
    }
    assert_eq!(found.len(), files);
    let unused = fat::unused::unused(&source).expect("a sound volume");
    let trimmed: Arc<dyn ReadAt> = Arc::new(Rendered { map, zero: unused.ranges });
    let report = fat::check::check(Arc::clone(&trimmed)).expect("memory can be read");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let mut after = BTreeMap::new();
    let volume = Volume::open(trimmed).expect("a sound volume");
    listed(&volume, volume.root(), "", &mut after);
    assert!(after == found, "making the unused zero changed a file");
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = attempt(data);
});
