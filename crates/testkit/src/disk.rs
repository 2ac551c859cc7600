//! Whole disks and their containers, as qemu, sfdisk and wimlib see them.

use std::path::Path;

use serde::Deserialize;

use crate::{args, tool};

/// A format as qemu calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// VHD, fixed or dynamic.
    Vpc,
    /// VHDX.
    Vhdx,
    /// VMDK, any kind.
    Vmdk,
    /// VDI.
    Vdi,
    /// qcow2.
    Qcow2,
}

impl Format {
    /// Its name in qemu's options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// A partition, from `sfdisk -J`.
#[derive(Clone, Debug, Deserialize)]
pub struct Partition {
    /// First sector.
    pub start: u64,
    /// Number of sectors.
    pub size: u64,
    /// MBR type in hexadecimal ("7", "27"), or GPT type GUID.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is active.
    #[serde(default)]
    pub bootable: bool,
}

/// A partition table, from `sfdisk -J`.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    /// `dos` or `gpt`.
    pub label: String,
    /// The disk signature (`0x…`) or GUID.
    pub id: String,
    /// Bytes in a sector.
    #[serde(rename = "sectorsize", default = "sector")]
    pub sector_size: u64,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

fn sector() -> u64 {
    512
}

impl Table {
    /// Number, from 1, of the largest partition: the one with Windows.
    pub fn largest(&self) -> usize {
        (0..self.partitions.len())
            .max_by_key(|&index| self.partitions[index].size)
            .map_or(1, |index| index + 1)
    }
}

#[derive(Deserialize)]
struct Sfdisk {
    #[serde(rename = "partitiontable")]
    table: Table,
}

/// The partition table of a raw disk, after `sfdisk --verify` found nothing wrong. `None`, visibly, without sfdisk.
///
/// # Panics
/// When sfdisk is not content.
#[track_caller]
pub fn partitions(disk: &Path) -> Option<Table> {
    let sfdisk = tool("sfdisk")?;
    let output = sfdisk.run(args!["--verify", disk]);
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("No errors detected"), "sfdisk --verify: {text}");
    let name = format!("{}:", disk.display());
    let odd = text.lines().find(|line| {
        let known = *line == name || *line == "No errors detected." || line.is_empty();
        // What it says of a GPT without being asked.
        let gpt = ["Header version: ", "Using ", "A total of "].iter().any(|start| line.starts_with(start));
        !(known || gpt || line.starts_with("Remaining ") && line.contains(" unallocated "))
    });
    assert!(odd.is_none(), "sfdisk --verify: {text}");
    let json = sfdisk.text(args!["-J", disk]);
    match serde_json::from_str::<Sfdisk>(&json) {
        Ok(parsed) => Some(parsed.table),
        Err(error) => panic!("sfdisk -J: {error}: {json}"),
    }
}

/// Copies partition `number` (from 1; `None`: the largest) of a raw `disk` into the file `volume`, keeping holes. `None`, visibly, when a
/// tool is missing.
///
/// # Panics
/// When there is no such partition.
#[track_caller]
pub fn cut(disk: &Path, number: Option<usize>, volume: &Path) -> Option<Table> {
    let (table, qemu_img) = (partitions(disk)?, tool("qemu-img")?);
    let number = number.unwrap_or_else(|| table.largest());
    let partition = table.partitions.get(number - 1).unwrap_or_else(|| panic!("no partition {number}"));
    let source = format!(
        "driver=raw,offset={},size={},file.driver=file,file.filename={}",
        partition.start * table.sector_size,
        partition.size * table.sector_size,
        disk.display().to_string().replace(',', ",,")
    );
    qemu_img.run(args!["convert", "--image-opts", &source, "-O", "raw", volume]);
    Some(table)
}

/// Copies a raw file, keeping its holes.
pub fn copy(from: &Path, to: &Path) -> Option<()> {
    tool("qemu-img")?.run(args!["convert", "-f", "raw", from, "-O", "raw", to]);
    Some(())
}

/// Lets wimlib capture the bare NTFS volume `volume` into `wim`, without compression. `None`, visibly, without
/// wimlib.
///
/// # Panics
/// When wimlib fails, or warns.
#[track_caller]
pub fn capture(volume: &Path, wim: &Path) -> Option<()> {
    let output = tool("wimlib-imagex")?.run(args![
        "capture",
        "--quiet",
        volume,
        wim,
        "--compress=none",
        "--strict-acls"
    ]);
    assert!(output.stderr.is_empty(), "wimlib capture: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// `qemu-img compare` finds the same disk, of the same size, in both files.
#[track_caller]
pub fn same(a: &Path, a_format: Format, b: &Path, b_format: Format) -> bool {
    let Some(qemu_img) = tool("qemu-img") else { return false };
    qemu_img.run(args!["compare", "-f", a_format.name(), "-F", b_format.name(), a, b]);
    // `compare` forgives zeros beyond the end of one of them; with `-s` it would also want the same holes.
    let size = |file, format| inspect(file, format).map(|info| info["virtual-size"].clone());
    assert_eq!(size(a, a_format), size(b, b_format), "sizes of {} and {}", a.display(), b.display());
    true
}

/// What `qemu-img info` says of a container, after `qemu-img check` found no fault in it (qemu has no check for raw
/// disks and VHDs).
#[track_caller]
pub fn inspect(file: &Path, format: Format) -> Option<serde_json::Value> {
    let qemu_img = tool("qemu-img")?;
    if format == Format::Vmdk {
        let text = qemu_img.text(args!["check", "-f", format.name(), file]);
        assert!(text.contains("No errors were found"), "qemu-img check: {text}");
    }
    let json = qemu_img.text(args!["info", "--output=json", "-f", format.name(), file]);
    match serde_json::from_str(&json) {
        Ok(value) => Some(value),
        Err(error) => panic!("qemu-img info: {error}: {json}"),
    }
}
