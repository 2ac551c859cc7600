//! Others, and ourselves, on a file of ours.

use std::ops::Range;
use std::path::Path;

use testkit::{args, disk_reader, tool, vmdk_stream};

use super::Format;
use super::source::Source;
use crate::support::wimforge;

/// Everybody at hand takes the file at `path` for exactly the disk of `source`, which lies at `raw`.
pub(super) fn everybody_reads(format: Format, path: &Path, source: &Source, raw: &Path) {
    let name = format!("{} as {}", source.name, format.name);
    let probes = source.probes();
    let expected: Vec<String> = probes.iter().map(|range| disk_reader::sha1(&source.bytes(range))).collect();
    ours(format, path, source, raw);
    qemu(format, path, source, raw, &probes);
    for reader in readers(format, source) {
        if let Some(found) = disk_reader::read(reader, format.extension, &[path], &probes) {
            assert!(
                format.shown_as(source.size).contains(&found.size),
                "{name}: {reader} sees {}",
                found.size
            );
            assert_eq!(found.sha1, expected, "{name}: {reader} reads something else");
        }
    }
    seven_zip(format, path, source);
    if format.name == "vmdk" {
        sequentially(path, source);
    }
}

fn readers(format: Format, source: &Source) -> &'static [&'static str] {
    match format.name {
        "raw" => &[],
        // Python's lists for the maps of 64 TiB are gigabytes.
        _ if source.size > 1 << 42 => &[],
        "vdi" | "vdi-fixed" => &["dissect"],
        // libvhdi finds nothing in a VHDX behind 4 GiB of the file; not in qemu-img's either.
        "vhdx-fixed" if !source.is_small() => &["dissect"],
        // libqcow takes some compressed clusters, of qemu-img's files too, for others.
        "qcow2-compressed" => &["dissect"],
        _ => &disk_reader::READERS,
    }
}

fn ours(format: Format, path: &Path, source: &Source, raw: &Path) {
    // A raw disk is judged by what is on it, and there is nothing.
    if format.extension != "raw" {
        wimforge(args!["check", path]).well();
        let info = wimforge(args!["info", "--json", path]).well();
        let info: serde_json::Value = serde_json::from_slice(&info.stdout).expect("JSON");
        assert_eq!(info["disk"]["disk_size"], source.size, "{} as {}: {info:#}", source.name, format.name);
    }
    // Of these all blocks are stored, and holes in the file are not looked for.
    let whole = matches!(format.name, "vhdx-fixed" | "vdi-fixed");
    if source.is_small() || !whole {
        wimforge(args!["compare", "--strict", path, raw]).well();
    }
}

fn qemu(format: Format, path: &Path, source: &Source, raw: &Path, probes: &[Range<u64>]) {
    let Some(qemu) = tool("qemu-img") else { return };
    let name = format!("{} as {}", source.name, format.name);
    let info = qemu.text(args!["info", "--output=json", "-f", format.qemu, path]);
    let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    let size = info["virtual-size"].as_u64().expect("a size");
    assert!(format.shown_as(source.size).contains(&size), "{name}: qemu sees {size}");
    if format.checked {
        let check = qemu.text(args!["check", "-f", format.qemu, path]);
        assert!(check.contains("No errors were found"), "{name}: {check}");
    }
    if source.is_small() {
        qemu.run(args!["compare", "-f", format.qemu, "-F", "raw", path, raw]);
        return;
    }
    // Comparing all of a large disk reads all of it where the driver does not say what is empty.
    for range in probes {
        let window = |driver: &str, file: &Path| {
            let (start, len, file) = (range.start, range.end - range.start, file.display());
            match driver {
                "raw" => {
                    format!("driver=raw,offset={start},size={len},file.driver=file,file.filename={file}")
                }
                _ => format!(
                    "driver=raw,offset={start},size={len},file.driver={driver},file.file.driver=file,\
                     file.file.filename={file}"
                ),
            }
        };
        let (ours, theirs) = (window(format.qemu, path), window("raw", raw));
        qemu.run(args!["compare", "--image-opts", &ours, &theirs]);
    }
}

fn seven_zip(format: Format, path: &Path, source: &Source) {
    let archive = match format.extension {
        "raw" => return,
        "qcow2" => "-tqcow",
        "vhd" => "-tvhd",
        "vhdx" => "-tvhdx",
        "vdi" => "-tvdi",
        _ => "-tvmdk",
    };
    let Some(seven) = tool("7zz") else { return };
    // It wants sizes of VHDX in whole KiB (of qemu-img's files, too), and one size in header and descriptor of an extent.
    if source.name == "odd" && (archive == "-tvhdx" || format.name == "vmdk-split") {
        return;
    }
    let name = format!("{} as {}", source.name, format.name);
    let list = seven.text(args!["l", "-slt", archive, path]);
    let size = list.lines().filter_map(|line| line.strip_prefix("Size = ")).next_back();
    let size = size.and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("{name}: {list}"));
    assert!(format.shown_as(source.size).contains(&size), "{name}: 7-Zip sees {size}");
    if source.is_small() {
        let mut found = seven.run(args!["e", "-so", archive, path]).stdout;
        assert_eq!(found.len() as u64, size, "{name}");
        found.truncate(source.size as usize);
        assert!(found == source.bytes(&(0..source.size)), "{name}: 7-Zip reads something else");
    }
}

/// By the rules of VirtualBox's importer and VMware's hashes.
fn sequentially(path: &Path, source: &Source) {
    let mut file = std::io::BufReader::new(std::fs::File::open(path).expect("the file"));
    let mut grains = 0;
    let found = vmdk_stream::read(&mut file, &mut |offset, grain| {
        let end = source.size.min(offset + grain.len() as u64);
        let expected = source.bytes(&(offset..end));
        assert!(grain[..expected.len()] == expected, "{}: grain at {offset:#x}", source.name);
        assert!(expected.iter().any(|byte| *byte != 0), "{}: zeros at {offset:#x}", source.name);
        grains += 1;
    });
    let found = found.unwrap_or_else(|rule| panic!("{}: {rule}", source.name));
    assert_eq!((found.disk_size, found.grains), (source.size, grains));
}
