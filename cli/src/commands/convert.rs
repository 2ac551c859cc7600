//! `wimforge convert`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use disk::{BlockMap, SectorSize};
use image::{Conversion, Converted, Counters, DiskFile, Output, Run, resize};
use picture::human;

use crate::args::{Common, ContainerOptions, Convert, Resources};
use crate::report::say;
use crate::{progress, signal, source_date};

pub(crate) fn run(args: &Convert, common: &Common) -> anyhow::Result<ExitCode> {
    let source = DiskFile::open_with(&args.source, &args.chain.parents())?;
    let sectors = match args.sector_size.as_deref() {
        Some("4096") => SectorSize::B4096,
        Some(_) => SectorSize::B512,
        None => source.sector_size(),
    };
    let resized = args.size.map(|size| resized(args, &source, size, common)).transpose()?;
    let disk = resized.as_deref().unwrap_or(source.disk().as_ref());
    let from = From { path: &args.source, file: &source, disk, sectors };
    let packed = Packed::pack(from, args.output(), &args.container, &args.resources, common)?;
    packed.report("converted", common)?;
    Ok(ExitCode::SUCCESS)
}

/// The disk in another size.
fn resized(
    args: &Convert,
    source: &DiskFile,
    size: u64,
    common: &Common,
) -> anyhow::Result<Arc<dyn BlockMap>> {
    let options = resize::Options { which: args.resize_partition.unwrap_or_default() };
    let wrap = |error| image::Error::Resize { path: args.source.clone(), source: Box::new(error) };
    let plan = resize::Resized::plan(source.disk().clone(), size, &options);
    // A device that fails says nothing of the volume.
    let resized = plan.map_err(|error| source.read_error().unwrap_or_else(|| wrap(error)))?;
    if !common.quiet {
        for change in &resized.changes {
            let len = |range: &std::ops::Range<u64>| human(range.end - range.start);
            let (old, new) = (len(&change.old), len(&change.new));
            let moved = match change.old.start == change.new.start {
                true => String::new(),
                false => format!(", moved from {} to {}", human(change.old.start), human(change.new.start)),
            };
            let grown = if old == new { new } else { format!("{old} becomes {new}") };
            say(&format!("partition {}: {grown}{moved}", change.number));
        }
        if resized.moved > 0 {
            say(&format!("{} of files lie elsewhere on the volume", human(resized.moved)));
        }
        resized.notes.iter().for_each(|note| say(&format!("note: {note}")));
    }
    Ok(resized.disk())
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// A disk that was opened.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    /// Its name, for messages.
    pub(crate) path: &'a Path,
    /// The file, whatever is done with its disk.
    pub(crate) file: &'a DiskFile,
    pub(crate) disk: &'a dyn BlockMap,
    pub(crate) sectors: SectorSize,
}

/// A disk in its new container.
pub(crate) struct Packed<'a> {
    pub(crate) converted: Converted,
    source: PathBuf,
    output: &'a Path,
    seconds: f64,
}

impl<'a> Packed<'a> {
    /// Writes the disk where the command line says.
    pub(crate) fn pack(
        from: From<'_>,
        output: &'a Path,
        options: &ContainerOptions,
        resources: &Resources,
        common: &Common,
    ) -> anyhow::Result<Self> {
        let cancel = signal::cancel_flag()?;
        if let Some(parent) = from.file.chain().iter().find(|parent| same_file(parent, output)) {
            let problem = format!("{} is the parent of the source; write to another file", parent.display());
            return Err(image::Error::Recipe(problem).into());
        }
        let to_stdout = output == Path::new("-");
        if to_stdout && io::stdout().is_terminal() {
            let problem = "a disk is not for a terminal; redirect standard output".to_owned();
            return Err(image::Error::Recipe(problem).into());
        }
        let wish = Conversion {
            format: options.format,
            platform: options.platform,
            level: options.level.unwrap_or_default(),
            seed: options.seed.clone(),
            time: source_date::from_environment()?,
            sector_size: from.sectors,
            machine: options.machine(from.file, output),
            force: options.force,
            stamps: from.file.stamps().to_vec(),
            ..Conversion::new(if to_stdout { Output::Stdout } else { Output::File(output.to_owned()) })
        };
        let counters = Counters::default();
        let pool = super::pool(resources)?;
        let poll = || (counters.rendered.load(Ordering::Relaxed), counters.total.load(Ordering::Relaxed));
        let run = Run { pool: &pool, memory: resources.memory, cancel, counters: &counters, profile: None };
        let started = Instant::now();
        let converted = progress::during("converting", common.quiet, &poll, || {
            image::convert(from.path, from.disk, &wish, run)
        })?;
        Ok(Self { converted, source: from.path.to_owned(), output, seconds: started.elapsed().as_secs_f64() })
    }

    /// Bytes of the file that was written.
    fn output_size(&self) -> Option<u64> {
        let metadata = std::fs::metadata(self.output).ok()?;
        (metadata.is_file() && self.output != Path::new("-")).then_some(metadata.len())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "path": self.source.to_string_lossy(),
            "output": self.output.to_string_lossy(),
            "output_size": self.output_size(),
            "format": self.converted.format,
            "disk_size": self.converted.disk_size,
            "source_stored": self.converted.source_stored,
            "stored": self.converted.stored,
        })
    }

    pub(crate) fn text(&self, verb: &str) -> String {
        let Converted { format, disk_size, stored, .. } = self.converted;
        let size = self.output_size().map(|size| format!(", a file of {}", human(size)));
        format!(
            "{verb} {} ({format}): disk of {}, {} stored{}, {:.1} s\n",
            self.output.display(),
            human(disk_size),
            human(stored),
            size.unwrap_or_default(),
            self.seconds
        )
    }

    /// The report, on standard error when the disk went to standard output.
    fn report(&self, verb: &str, common: &Common) -> anyhow::Result<()> {
        let report = if common.json {
            let mut value = self.json();
            value["schema"] = "wimforge.convert/1".into();
            format!("{value:#}\n")
        } else {
            self.text(verb)
        };
        if self.output == Path::new("-") {
            if !common.quiet {
                report.lines().for_each(say);
            }
        } else {
            io::stdout().lock().write_all(report.as_bytes())?;
        }
        Ok(())
    }
}
