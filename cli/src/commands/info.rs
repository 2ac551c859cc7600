//! `wimforge info`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use image::{DiskFile, DiskInfo, Error, FileKind, WimSource};
use picture::{human, printable};
use serde_json::{Value, json};

use super::{driver, iso_info, volumes};
use crate::args::{Common, Info};
use crate::report::say;

pub(crate) fn run(args: &Info, common: &Common) -> anyhow::Result<ExitCode> {
    let (kind, _) = FileKind::of(&args.file)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let choice = args.in_iso.choice();
    if kind == FileKind::Iso && choice.is_none() && !args.xml {
        iso_info::run(args, common, &mut out)?;
    } else if matches!(kind, FileKind::Wim | FileKind::Iso) || choice.is_some() {
        let source = WimSource::open_choice(&args.file, choice.as_ref())?;
        if args.xml {
            out.write_all(xml_as_utf8(source.wim().xml_raw()).as_bytes())?;
        } else if common.json {
            writeln!(out, "{:#}", wim_json(&source))?;
        } else {
            wim_text(&source, &mut out)?;
        }
        if !common.quiet {
            source.wim().warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
        }
    } else if kind == FileKind::Raw && !args.xml && driver::is_for_it(&args.file) {
        driver::info(std::slice::from_ref(&args.file), common, &mut out)?;
    } else {
        if args.xml {
            return Err(Error::Recipe(format!(
                "{} is not a WIM; only a WIM has XML data",
                args.file.display()
            ))
            .into());
        }
        let disk = DiskFile::open_with(&args.file, &args.chain.parents())?;
        let (info, partitions) = (disk.info()?, volumes::describe(&disk));
        if kind == FileKind::Raw
            && info.partition_table.is_none()
            && partitions.is_none()
            && !looks_like_a_disk(&info)
        {
            let what = "is neither a WIM, an ISO nor a disk image that this version knows (raw with a partition table, VHD, VHDX, VMDK, VDI, qcow2)";
            return Err(Error::Unsupported { path: args.file.clone(), what: what.to_owned() }.into());
        }
        if common.json {
            writeln!(
                out,
                "{:#}",
                json!({ "schema": "wimforge.info.disk/1", "disk": info, "volumes": partitions })
            )?;
        } else {
            // What a volume without a partition table has where one would be, is none.
            let whole = partitions.as_ref().is_some_and(|partitions| partitions.table == "none");
            disk_text(&info, whole, &mut out)?;
            if let Some(partitions) = partitions {
                volumes::text(&partitions, &mut out)?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Without a signature or a partition table, only whole sectors hint at a disk.
fn looks_like_a_disk(info: &DiskInfo) -> bool {
    info.disk_size > 0 && info.disk_size.is_multiple_of(1 << 20)
}

/// UTF-16 with a byte order mark, as the format wants it; anything else is shown as UTF-8.
fn xml_as_utf8(raw: &[u8]) -> String {
    match raw {
        [0xFF, 0xFE, text @ ..] => {
            let units: Vec<u16> =
                text.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        text => String::from_utf8_lossy(text).into_owned(),
    }
}

fn wim_text(source: &WimSource, out: &mut dyn Write) -> io::Result<()> {
    let wim = source.wim();
    let header = wim.header();
    writeln!(out, "{}: WIM, {}", source.path().display(), codec(source))?;
    writeln!(out, "guid     {}", header.guid)?;
    writeln!(out, "part     {} of {}", header.part, header.parts)?;
    writeln!(out, "blobs    {}", wim.blobs().len())?;
    if let Some(index) = wim.boot_index() {
        writeln!(out, "boot     image {index}")?;
    }
    writeln!(out, "integrity table: {}", if wim.has_integrity() { "yes" } else { "no" })?;
    if wim.image_count() > 1 {
        image_table(source, out)?;
    }
    for index in 1..=wim.image_count() {
        let Some(image) = wim.xml().image(index) else {
            writeln!(out, "image {index}: not described in the XML")?;
            continue;
        };
        writeln!(out, "image {index}: {}", printable(image.name.as_deref().unwrap_or("(no name)")))?;
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        for (name, value) in [
            ("description", image.description.clone()),
            ("edition", image.edition.clone()),
            ("architecture", image.architecture.as_ref().map(ToString::to_string)),
            ("version", image.version.as_ref().map(ToString::to_string)),
            ("languages", Some(image.languages.join(", ")).filter(|text| !text.is_empty())),
            ("directories", number(image.dir_count)),
            ("files", number(image.file_count)),
            ("size", image.total_bytes.map(human)),
            ("in hard links", image.hard_link_bytes.map(human)),
            ("created", image.creation_time.map(|time| time.to_string())),
            ("modified", image.modification_time.map(|time| time.to_string())),
        ] {
            if let Some(value) = value {
                writeln!(out, "  {name:<14} {}", printable(&value))?;
            }
        }
    }
    Ok(())
}

/// A line for each image.
pub(super) fn image_table(source: &WimSource, out: &mut dyn Write) -> io::Result<()> {
    const COLUMNS: usize = 7;
    let wim = source.wim();
    let mut rows =
        vec![["image", "name", "edition", "architecture", "version", "files", "size"].map(str::to_owned)];
    for index in 1..=wim.image_count() {
        let mut row = [const { String::new() }; COLUMNS];
        row[0] = index.to_string();
        if let Some(image) = wim.xml().image(index) {
            let shown = |text: Option<String>| printable(&text.unwrap_or_default()).into_owned();
            row[1] = shown(image.name.clone());
            row[2] = shown(image.edition.clone());
            row[3] = shown(image.architecture.as_ref().map(ToString::to_string));
            row[4] = shown(image.version.as_ref().map(ToString::to_string));
            row[5] = shown(image.file_count.map(|count| count.to_string()));
            row[6] = shown(image.total_bytes.map(human));
        }
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    // A column that no image has something for is left out.
    let columns: Vec<usize> =
        (0..COLUMNS).filter(|&column| rows[1..].iter().any(|row| !row[column].is_empty())).collect();
    for row in &rows {
        let cell = |&column: &usize| {
            // Numbers are easier to compare when they end together.
            let (text, width) = (&row[column], width(column));
            if matches!(column, 0 | 5 | 6) { format!("{text:>width$}") } else { format!("{text:<width$}") }
        };
        let line: Vec<String> = columns.iter().map(cell).collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

fn codec(source: &WimSource) -> String {
    let header = source.wim().header();
    match header.chunk_size {
        0 => header.codec.to_string(),
        chunk => format!("{}, chunks of {}", header.codec, human(chunk.into())),
    }
}

pub(super) fn wim_json(source: &WimSource) -> Value {
    let wim = source.wim();
    let header = wim.header();
    let images: Vec<Value> = (1..=wim.image_count())
        .map(|index| {
            let Some(image) = wim.xml().image(index) else { return json!({ "index": index }) };
            json!({
                "index": index,
                "name": image.name,
                "description": image.description,
                "edition": image.edition,
                "architecture": image.architecture.as_ref().map(ToString::to_string),
                "version": image.version.as_ref().map(ToString::to_string),
                "languages": image.languages,
                "directories": image.dir_count,
                "files": image.file_count,
                "total_bytes": image.total_bytes,
                "hard_link_bytes": image.hard_link_bytes,
                "created": image.creation_time.map(|time| time.to_string()),
                "modified": image.modification_time.map(|time| time.to_string()),
            })
        })
        .collect();
    json!({
        "schema": "wimforge.info.wim/1",
        "path": source.path().to_string_lossy(),
        "version": format!("{:#x}", header.version),
        "flags": format!("{:#x}", header.flags),
        "codec": header.codec.to_string(),
        "chunk_size": header.chunk_size,
        "guid": header.guid.to_string(),
        "part": header.part,
        "parts": header.parts,
        "boot_index": wim.boot_index(),
        "integrity_table": wim.has_integrity(),
        "blobs": wim.blobs().len(),
        "images": images,
        "warnings": wim.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn disk_text(info: &DiskInfo, whole: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "disk of {} ({} bytes) in {}, {} stored",
        human(info.disk_size),
        info.disk_size,
        info.container.format,
        human(info.stored)
    )?;
    for (name, value) in &info.container.details {
        writeln!(out, "  {name:<16} {}", printable(value))?;
    }
    if let Some(size) = info.file_size {
        writeln!(out, "  {:<16} {}", "file on the host", human(size))?;
    }
    for (parent, below) in
        info.chain.iter().zip(["parent"].into_iter().chain(std::iter::repeat("its parent")))
    {
        writeln!(out, "  {below:<16} {}", printable(parent))?;
    }
    for warning in &info.container.warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    if whole {
        return Ok(());
    }
    let Some(table) = &info.partition_table else {
        let problem = info.partition_problem.as_deref().unwrap_or("none");
        return writeln!(out, "partition table: {problem}");
    };
    let protective = if table.protective { " (protects a GPT)" } else { "" };
    writeln!(out, "partition table: MBR, disk signature {:08x}{protective}", table.disk_signature)?;
    for partition in &table.partitions {
        let file_system = match &partition.file_system {
            Some(found) => {
                let cluster = found.cluster_size.map(|size| format!(", clusters of {}", human(size.into())));
                let serial = found.serial.map(|serial| format!(", serial {serial:016x}"));
                format!("{}{}{}", found.name, cluster.unwrap_or_default(), serial.unwrap_or_default())
            }
            None => "no known file system".to_owned(),
        };
        writeln!(
            out,
            "  {}  at {:>9}  size {:>10}  type {:#04x}{}  {file_system}",
            partition.number,
            human(partition.start),
            human(partition.size),
            partition.kind,
            if partition.active { " active" } else { "" }
        )?;
    }
    if table.protective {
        return Ok(());
    }
    let starts =
        table.partitions.iter().any(|p| p.active && p.file_system.as_ref().is_some_and(|f| f.boot_code));
    let boot = match (table.boot_code, starts) {
        (true, true) => "in the MBR and in the active partition",
        (true, false) => "in the MBR only; the active partition has none, the disk does not start by itself",
        (false, _) => "none, the disk does not start by itself",
    };
    writeln!(out, "boot code: {boot}")
}
