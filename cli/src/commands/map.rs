//! `wimforge map`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use disk::RangeKind;
use image::DiskFile;
use picture::human;

use crate::args::{Common, Map};

pub(crate) fn run(args: &Map, common: &Common) -> anyhow::Result<ExitCode> {
    let disk = DiskFile::open_with(&args.file, &args.chain.parents())?;
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        // By hand, as a map can be too long to be held as a value.
        let path = serde_json::to_string(&args.file.to_string_lossy())?;
        let size = disk.size()?;
        write!(
            out,
            "{{\n  \"schema\": \"wimforge.map/1\",\n  \"path\": {path},\n  \"disk_size\": {size},\n"
        )?;
        write!(out, "  \"ranges\": [")?;
    }
    let mut separator = "";
    let mut stored = 0;
    for range in disk.ranges() {
        let range = range?;
        let data = range.kind == RangeKind::Data;
        stored += if data { range.len } else { 0 };
        if common.json {
            write!(
                out,
                "{separator}\n    {{ \"start\": {}, \"length\": {}, \"data\": {data} }}",
                range.start, range.len
            )?;
            separator = ",";
        } else {
            let what = if data { "data" } else { "zero" };
            writeln!(out, "{:#014x}  {:>14}  {:>10}  {what}", range.start, range.len, human(range.len))?;
        }
    }
    if common.json {
        write!(out, "\n  ],\n  \"stored\": {stored}\n}}\n")?;
    } else if !common.quiet {
        out.flush()?;
        crate::report::say(&format!("{} of {} stored", human(stored), human(disk.size()?)));
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
