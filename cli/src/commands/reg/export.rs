//! `wimforge reg export`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context;
use hive::reg::{self, Form};
use image::{Error, PartialFile};

use super::source::Source;
use super::{open, resolve};
use crate::args::{Common, RegExport};
use crate::signal;

pub(crate) fn run(args: &RegExport, common: &Common) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, &args.key, common)?;
    let path = resolve(&source.mount, &source.name, &args.key)?;
    let key = open(&source.hive, &source.mount, &source.name, &path)?;
    let full = source.mount.full(&path);
    let form = match (args.regedit4, &args.output) {
        (true, _) => Form::Regedit4,
        (false, Some(_)) if !args.utf8 => Form::V5,
        _ => Form::Text,
    };
    let inexpressible = |problem| Error::Reg { path: source.name.clone().into(), source: problem };
    match &args.output {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            reg::export(key, &full, form, &mut out)?.map_err(inexpressible)?;
            out.flush()?;
        }
        Some(target) => {
            let wrap = |source| Error::Write { path: target.clone(), source };
            signal::hold()?;
            let file = PartialFile::create(target, args.force)?;
            let mut out = BufWriter::new(file.file()?);
            reg::export(key, &full, form, &mut out).map_err(wrap)?.map_err(inexpressible)?;
            out.flush().map_err(wrap)?;
            drop(out);
            signal::check()?;
            file.commit()?;
            if common.json {
                let size = std::fs::metadata(target).with_context(|| target.display().to_string())?.len();
                let value = serde_json::json!({
                    "schema": "wimforge.reg.export/1",
                    "path": args.source.file.to_string_lossy(),
                    "hive": source.inside,
                    "key": full.to_string(),
                    "output": target.to_string_lossy(),
                    "output_size": size,
                });
                writeln!(io::stdout().lock(), "{value:#}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
