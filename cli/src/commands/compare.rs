//! `wimforge compare`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use image::{Counters, DiskFile, Run, compare_disks};
use picture::{human, printable};

use crate::args::{Common, Compare};
use crate::{progress, report, signal};

pub(crate) fn run(args: &Compare, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let parents = args.chain.parents();
    let first = DiskFile::open_with(&args.first, &parents)?;
    let second = DiskFile::open_with(&args.second, &parents)?;
    let counters = Counters::default();
    let pool = super::pool(&args.resources)?;
    let poll = || (counters.rendered.load(Ordering::Relaxed), counters.total.load(Ordering::Relaxed));
    let run = Run { pool: &pool, memory: args.resources.memory, cancel, counters: &counters, profile: None };
    let found = progress::during("comparing", common.quiet, &poll, || compare_disks(&first, &second, run))?;
    let [size, other] = found.sizes;
    let equal = found.is_equal() && (size == other || !args.strict);
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        let mut value = serde_json::to_value(&found)?;
        value["schema"] = "wimforge.compare/1".into();
        value["paths"] =
            [&args.first, &args.second].map(|path| path.to_string_lossy().into_owned()).to_vec().into();
        value["equal"] = equal.into();
        writeln!(out, "{value:#}")?;
    } else {
        if size != other {
            writeln!(
                out,
                "sizes differ: {} ({size} bytes) and {} ({other} bytes)",
                human(size),
                human(other)
            )?;
        }
        match &found.first {
            Some(first) => {
                let [a, b] = first.bytes;
                write!(out, "differ at byte {:#x}: {a:#04x} and {b:#04x}", first.offset)?;
                if let (Some(partition), Some(at)) = (first.partition, first.partition_offset) {
                    write!(out, "; partition {partition} at {at:#x}")?;
                }
                if let Some(file) = &first.file {
                    write!(out, ": {}", printable(file))?;
                }
                writeln!(out)?;
            }
            None if equal => {
                writeln!(out, "equal: {} compared, the rest stored in neither", human(found.compared))?
            }
            None => {}
        }
    }
    out.flush()?;
    Ok(if equal { ExitCode::SUCCESS } else { report::VERIFICATION.into() })
}
