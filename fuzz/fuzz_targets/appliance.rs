//! Whatever a machine is called and whatever its disk holds: a package is made or refused, and another inflater and a reader of tar archives of this
//! file's own find in it what was put there; descriptors are well formed. Entries of image layers have the names, links and sizes that
//! they were given.
#![no_main]

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use appliance::gzip::Level;
use appliance::oci::layer::{Entry, EntryKind};
use appliance::{Architecture, Edition, Firmware, Guest, Kind, Machine, Package, Provider, Transport};
use arbitrary::{Result, Unstructured};
use disk::{FileTime, Guid, Seed};
use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use quick_xml::Reader;
use quick_xml::events::Event;
use sha2::{Digest as _, Sha256};

const KINDS: [Kind; 5] = [
    Kind::Ova,
    Kind::Box(Provider::VirtualBox),
    Kind::Box(Provider::HyperV),
    Kind::Box(Provider::Libvirt),
    Kind::Box(Provider::VMware),
];

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=2)? {
        0 => "nano-2016".to_owned(),
        1 => "a b.c_d-".repeat(u.int_in_range(1..=11)?) + "e",
        _ => u.arbitrary::<&str>()?.chars().take(90).collect(),
    })
}

fn machine(u: &mut Unstructured<'_>) -> Result<Machine> {
    let guest = Guest {
        build: *u.choose(&[7601, 9200, 9600, 14_393, 17_763, 20_348, 22_631, 26_100, 0, u32::MAX])?,
        edition: *u.choose(&[Edition::Server, Edition::Client])?,
        architecture: *u.choose(&[Architecture::X64, Architecture::X86])?,
    };
    let firmware = *u.choose(&[Firmware::Bios, Firmware::Efi])?;
    let mut machine = Machine::new(text(u)?, guest, firmware, Seed::new(u.arbitrary::<&[u8]>()?));
    if u.arbitrary()? {
        machine.memory = u.arbitrary()?;
        machine.cpus = u.arbitrary()?;
    }
    machine.secure_boot = u.arbitrary()?;
    machine.hardware_uuid = u.arbitrary::<Option<[u8; 16]>>()?.map(Guid);
    machine.remote.transport = *u.choose(&[Transport::Negotiate, Transport::Plaintext, Transport::Ssl])?;
    for wish in [&mut machine.remote.user, &mut machine.remote.password] {
        *wish = u.arbitrary::<Option<&str>>()?.map(|text| text.chars().take(40).collect());
    }
    Ok(machine)
}

fn inflate(stream: &[u8]) -> Vec<u8> {
    assert_eq!(stream[..4], [0x1F, 0x8B, 8, 0], "a gzip header without a name");
    let mut out = Vec::with_capacity(1 << 20);
    let mut inflater = Decompress::new(false);
    loop {
        let at = 10 + inflater.total_in() as usize;
        let status =
            inflater.decompress_vec(&stream[at..], &mut out, FlushDecompress::None).expect("a sound stream");
        if status == Status::StreamEnd {
            break;
        }
        out.reserve(1 << 20);
    }
    let end = &stream[10 + inflater.total_in() as usize..];
    assert_eq!(end.len(), 8, "one member, and nothing behind");
    assert_eq!(end[..4], crc32fast::hash(&out).to_le_bytes());
    assert_eq!(end[4..], (out.len() as u32).to_le_bytes());
    out
}

fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn octal(bytes: &[u8]) -> u64 {
    if bytes[0] & 0x80 != 0 {
        return bytes[bytes.len() - 8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    let digits = until_nul(bytes);
    u64::from_str_radix(digits.trim(), 8).expect("octal digits")
}

/// A member of a tar archive: type, name, link, size, and where its content begins.
struct Member {
    kind: u8,
    name: String,
    link: String,
    size: u64,
    start: usize,
}

fn member(archive: &[u8], at: usize) -> Option<Member> {
    let header = &archive[at..at + 512];
    if header.iter().all(|byte| *byte == 0) {
        return None;
    }
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    assert_eq!(octal(&header[148..156]), sum, "the header's checksum");
    assert_eq!(header[257..262], *b"ustar");
    let (name, prefix) = (until_nul(&header[..100]), until_nul(&header[345..500]));
    let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
    let (link, size) = (until_nul(&header[157..257]), octal(&header[124..136]));
    Some(Member { kind: header[156], name, link, size, start: at + 512 })
}

fn is_well_formed(xml: &[u8]) {
    let text = std::str::from_utf8(xml).expect("UTF-8");
    let mut reader = Reader::from_str(text);
    let mut elements = 0;
    loop {
        match reader.read_event().expect("well formed") {
            Event::Start(_) | Event::Empty(_) => elements += 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(elements > 5);
}

fn package(u: &mut Unstructured<'_>) -> Result<()> {
    let kind = *u.choose(&KINDS)?;
    let machine = machine(u)?;
    let (capacity, time) = (u.int_in_range(1..=1 << 40)? * 512, u.int_in_range(0..=1 << 33)?);
    let level = *u.choose(&[Level::FAST, Level::DEFAULT, Level::PADDING])?;
    let (repeat, step) = (u.int_in_range(0..=40)?, u.int_in_range(1..=70_000)?);
    let disk = u.bytes(u.len())?.repeat(repeat * repeat);
    let Ok(package) = Package::new(kind, machine, capacity, time) else { return Ok(()) };
    let name = package.disk_name();
    let file = Arc::new(Mutex::new(Vec::new()));
    let mut bytes = Vec::new();
    let fill = |mut writer: Box<dyn std::io::Write>| {
        disk.chunks(step).for_each(|piece| writer.write_all(piece).expect("memory"));
    };
    if kind == Kind::Ova {
        let Ok(archive) = package.stored(Arc::clone(&file)) else { return Ok(()) };
        fill(Box::new(archive.writer()));
        archive.finish().expect("memory");
    } else if kind.disk().is_stream() {
        let Ok(archive) = package.compressed_behind(Arc::clone(&file), level, 2) else { return Ok(()) };
        fill(Box::new(archive.writer()));
        archive.finish().expect("memory");
    } else {
        let Ok(archive) = package.compressed(&mut bytes, disk.len() as u64, level, 2) else { return Ok(()) };
        {
            let mut writer = archive.writer();
            disk.chunks(step).for_each(|piece| writer.write_all(piece).expect("memory"));
        }
        archive.finish().expect("memory");
    }
    if bytes.is_empty() {
        bytes = std::mem::take(&mut *file.lock().expect("one thread"));
    }
    let archive = if kind == Kind::Ova { bytes } else { inflate(&bytes) };
    assert!(archive.len().is_multiple_of(512));
    let (mut at, mut members) = (0, Vec::new());
    while let Some(member) = member(&archive, at) {
        let end = member.start + member.size as usize;
        at = end.next_multiple_of(512);
        assert!(archive[end..at].iter().all(|byte| *byte == 0));
        members.push((member.name, &archive[member.start..end]));
    }
    assert!(archive.len() >= at + 1024 && archive[at..].iter().all(|byte| *byte == 0));
    let (last, content) = members.pop().expect("the disk");
    assert_eq!(last, name);
    assert!(content == disk, "another disk");
    for (name, content) in &members {
        if name.ends_with(".ovf") || name.ends_with(".xml") {
            is_well_formed(content.trim_ascii_end());
        }
        if name.ends_with(".mf") {
            let manifest = std::str::from_utf8(content).expect("text");
            for (name, content) in [(members[0].0.as_str(), members[0].1), (last.as_str(), &disk[..])] {
                let hash: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(
                    manifest.lines().any(|line| line.contains(name) && line.contains(&hash)),
                    "{manifest}"
                );
            }
        }
    }
    Ok(())
}

fn layer(u: &mut Unstructured<'_>) -> Result<()> {
    let text = |u: &mut Unstructured<'_>| -> Result<String> {
        let text: String = u.arbitrary::<&str>()?.chars().filter(|c| *c != '\0').collect();
        Ok(format!("Files/{}", text.repeat(u.int_in_range(1..=30)?)))
    };
    let (path, target) = (text(u)?, text(u)?);
    let kind = match u.int_in_range(0..=4)? {
        0 => EntryKind::Directory,
        1 => EntryKind::File { size: u.arbitrary()? },
        2 => EntryKind::Stream { size: u.arbitrary()? },
        3 => EntryKind::HardLink { to: &target },
        _ => EntryKind::Symlink { target: &target, junction: u.arbitrary()? },
    };
    let times = u.arbitrary::<[u64; 3]>()?.map(FileTime);
    let security = u.arbitrary::<Option<&[u8]>>()?;
    let entry = Entry {
        path: &path,
        kind,
        attributes: u.arbitrary()?,
        created: times[0],
        written: times[1],
        accessed: times[2],
        security,
        extended: Vec::new(),
    };
    let Ok(header) = entry.header() else { return Ok(()) };
    assert!(header.len().is_multiple_of(512));
    let first = member(&header, 0).expect("a header");
    assert_eq!(first.kind, b'x');
    // Records of PAX: a length, which counts itself, a key and a value.
    let mut records = &header[first.start..first.start + first.size as usize];
    let mut said = std::collections::BTreeMap::new();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').expect("a length");
        let len: usize = std::str::from_utf8(&records[..space]).expect("digits").parse().expect("digits");
        let (record, rest) = records.split_at(len);
        assert!(record.ends_with(b"\n"));
        let record = &record[space + 1..len - 1];
        let equals = record.iter().position(|byte| *byte == b'=').expect("a key");
        said.insert(String::from_utf8_lossy(&record[..equals]).into_owned(), record[equals + 1..].to_vec());
        records = rest;
    }
    let at = (first.start + first.size as usize).next_multiple_of(512);
    let second = member(&header, at).expect("a header");
    assert_eq!(header.len(), at + 512);
    let of = |key: &str, plain: &str| {
        said.get(key).map_or_else(|| plain.to_owned(), |value| String::from_utf8_lossy(value).into_owned())
    };
    let found = of("path", &second.name);
    assert_eq!(found.trim_end_matches('/'), path.trim_end_matches('/'));
    if let EntryKind::HardLink { to } | EntryKind::Symlink { target: to, .. } = kind {
        assert_eq!(of("linkpath", &second.link), to);
    }
    let size =
        said.get("size").map_or(second.size, |size| String::from_utf8_lossy(size).parse().expect("digits"));
    assert_eq!(size, kind.size());
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = match u.ratio(1, 3) {
        Ok(true) => layer(&mut u),
        _ => package(&mut u),
    };
});
