//! Compact OS: how large the disk becomes beside the WIM, where every megabyte goes, and what it costs in time.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::measure::{Cost, machine, median, shell};

/// Builds dynamic VHDs of `wim` in each way, `runs` times in turn.
#[expect(clippy::print_stdout, reason = "a command")]
pub(crate) fn run(wimforge: &Path, wim: &Path, runs: usize) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir_in(testkit::cache())?;
    let out = scratch.path().join("disk.vhd");
    let ways = [
        ("plain", ""),
        ("lzx", "--compact-os=lzx --assume-wof"),
        ("lzx, source not verified", "--compact-os=lzx --assume-wof --no-verify-source"),
        ("xpress8k", "--compact-os=xpress8k --assume-wof"),
    ];
    let wim_size = std::fs::metadata(wim)?.len();
    println!("{}\n{}: {wim_size} bytes\n", machine(), wim.display());
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); ways.len()];
    let mut sizes = vec![0; ways.len()];
    let line = |options: &str| {
        format!(
            "'{}' build '{}' -o '{}' --force --quiet {options}",
            wimforge.display(),
            wim.display(),
            out.display()
        )
    };
    for _ in 0..runs {
        for (way, (_, options)) in ways.iter().enumerate() {
            costs[way].push(shell(&line(options), scratch.path())?);
            sizes[way] = std::fs::metadata(&out)?.len();
        }
    }
    println!("| way | wall | CPU | peak | VHD | × the WIM |\n|---|---|---|---|---|---|");
    for (way, (name, _)) in ways.iter().enumerate() {
        let Cost { wall, cpu, memory } = median(&costs[way]);
        let ratio = sizes[way] as f64 / wim_size as f64;
        println!(
            "| {name} | {wall:.2} s | {cpu:.2} s | {:.0} MiB | {} | {ratio:.3} |",
            memory / 1024.0,
            sizes[way]
        );
    }
    // The ledger: what the plan says that the bytes are.
    let mut build = Command::new(wimforge);
    build.arg("build").arg(wim).arg("-o").arg(&out).args(["--force", "--quiet", "--json", "--dry-run"]);
    let output = build.args(["--compact-os=lzx", "--assume-wof"]).output()?;
    let plan: Value = serde_json::from_slice(&output.stdout)?;
    println!("\nlzx, by kind:");
    let (stored, mut named) = (plan["build"]["stored"].as_u64().unwrap_or(0), 0);
    for usage in plan["build"]["usage"].as_array().into_iter().flatten() {
        let bytes = usage["bytes"].as_u64().unwrap_or(0);
        named += bytes;
        println!("{:>12} {}", bytes, usage["kind"].as_str().unwrap_or("?"));
    }
    println!("{:>12} ends of clusters", stored.saturating_sub(named));
    println!(
        "{:>12} blocks of the VHD that are partly used, and its tables",
        sizes[1].saturating_sub(stored)
    );
    Ok(())
}
