//! What is printed and kept of a contest: tables, the project's goals beside them, and lines of JSON.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::contest::{Contest, Level, Measured, Output, PEER_STEPS, Row, Who};
use crate::measure;

/// Memory that DESIGN's formula allows: what `--memory` is by default, and 1 KiB for each file, in KiB.
fn allowed_memory(names: usize) -> f64 {
    (256 << 10) as f64 + names as f64
}

/// The rows of one source as a table.
pub(crate) fn table(measured: &Measured) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(
        out,
        "{}: a WIM of {:.1} MB, {} names; a disk of {:.0} MiB with {:.1} MB in it",
        measured.source.name,
        measured.bytes as f64 / 1e6,
        measured.names,
        measured.disk as f64 / f64::from(1 << 20),
        measured.content as f64 / 1e6,
    )?;
    writeln!(
        out,
        "  {:<5} {:<30} {:>4} {:>8} {:>15} {:>8} {:>6} {:>10} {:>9} {:>8} {:>7}",
        "out",
        "who",
        "runs",
        "seconds",
        "least-most",
        "CPU s",
        "others",
        "memory MiB",
        "MB",
        "faster",
        "size"
    )?;
    for row in &measured.rows {
        writeln!(out, "{}", line(measured, row))?;
        if row.who == Who::Peer && row.output != Output::Raw {
            let steps: Vec<String> = PEER_STEPS
                .iter()
                .enumerate()
                .filter_map(|(index, name)| Some(format!("{name} {:.2}", row.step(index)?)))
                .collect();
            writeln!(out, "        of which {}", steps.join(", "))?;
        }
    }
    for (output, level) in kinds(measured) {
        let mut ours: Vec<(usize, f64)> = measured
            .rows
            .iter()
            .filter_map(|row| match row.who {
                Who::Us { level: of, threads } if row.output == output && of == level => {
                    Some((threads, row.median().wall))
                }
                _ => None,
            })
            .collect();
        ours.sort_by_key(|(threads, _)| *threads);
        if let [(few, slow), .., (many, fast)] = ours[..] {
            let level = level.map_or(String::new(), |level| format!(" {level}"));
            writeln!(out, "  {output}{level}: -j{many} is {:.2} times as fast as -j{few}", slow / fast)?;
        }
    }
    let most = measured.rows.iter().filter(|row| row.who != Who::Peer).map(|row| row.median().memory);
    if let Some(most) = most.reduce(f64::max) {
        let allowed = allowed_memory(measured.names);
        let verdict = if most <= allowed { "within" } else { "MORE THAN" };
        writeln!(
            out,
            "  memory: {:.0} MiB at most, {verdict} the {:.0} MiB of 256 MiB + 1 KiB for each file",
            most / 1024.0,
            allowed / 1024.0
        )?;
    }
    if !measured.proof.by.is_empty() {
        let [ours, theirs] = measured.proof.grains;
        writeln!(out, "  {ours} grains of ours and {theirs} of the peer inflated by {}", measured.proof.by)?;
    }
    Ok(out)
}

fn line(measured: &Measured, row: &Row) -> String {
    let cost = row.median();
    let walls = || row.runs.iter().map(|run| run.whole.wall);
    let range = format!("{:.2}-{:.2}", walls().fold(f64::MAX, f64::min), walls().fold(f64::MIN, f64::max));
    // Of all the processor time there was.
    let others = measure::middle(
        row.runs.iter().map(|run| 100.0 * run.others / (run.whole.wall * measure::threads() as f64)),
    );
    let peer = measured.peer(row.output).filter(|_| row.who != Who::Peer);
    let ratio = |number: fn(&Row) -> f64, ours: f64| peer.map(|peer| (number(peer), ours));
    let faster = ratio(|row| row.median().wall, cost.wall)
        .map_or(String::new(), |(theirs, ours)| format!("{:.2} x", theirs / ours));
    let size = ratio(|row| row.size() as f64, row.size() as f64)
        .map_or(String::new(), |(theirs, ours)| format!("{:.4}", ours / theirs));
    format!(
        "  {:<5} {:<30} {:>4} {:>8.3} {range:>15} {:>8.2} {others:>5.1}% {:>10.0} {:>9.1} {faster:>8} {size:>7}",
        row.output.to_string(),
        row.label(),
        row.runs.len(),
        cost.wall,
        cost.cpu,
        cost.memory / 1024.0,
        row.size() as f64 / 1e6,
    )
}

/// The outputs and levels that were made by us.
pub(crate) fn kinds(measured: &Measured) -> Vec<(Output, Option<Level>)> {
    let mut kinds = Vec::new();
    for row in &measured.rows {
        if let Who::Us { level, .. } = row.who
            && !kinds.contains(&(row.output, level))
        {
            kinds.push((row.output, level));
        }
    }
    kinds
}

/// A goal of issue 6: how many times faster, how large at most beside the peer's file.
struct Goal {
    number: &'static str,
    source: &'static str,
    output: Output,
    level: Option<Level>,
    faster: f64,
    size: Option<f64>,
}

const GOALS: [Goal; 6] = [
    goal("1", "pe/lzx", Output::Vmdk, Some(Level::Default), 10.0, Some(1.0)),
    goal("1", "pe/xpress", Output::Vmdk, Some(Level::Default), 8.0, Some(1.05)),
    goal("1", "pe/esd", Output::Vmdk, Some(Level::Default), 4.0, Some(1.0)),
    goal("1", "pe/esd", Output::Vmdk, Some(Level::Fast), 6.0, Some(1.08)),
    goal("3", "pe/lzx", Output::Vhd, None, 5.0, None),
    goal("3", "pe/lzx", Output::Raw, None, 4.0, None),
];

const fn goal(
    number: &'static str,
    source: &'static str,
    output: Output,
    level: Option<Level>,
    faster: f64,
    size: Option<f64>,
) -> Goal {
    Goal { number, source, output, level, faster, size }
}

/// The goals that these measurements speak of, each with what was found and whether it is met.
pub(crate) fn goals(all: &[Measured], contest: &Contest) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    let threads = contest.threads.last().copied().unwrap_or(1);
    let mut say = |number: &str, what: String, met: bool| {
        writeln!(out, "  {number}. {what}: {}", if met { "met" } else { "NOT MET" })
    };
    for goal in &GOALS {
        let Some(measured) = all.iter().find(|measured| measured.source.name == goal.source) else {
            continue;
        };
        let (Some(ours), Some(peer)) =
            (measured.ours(goal.output, goal.level, threads), measured.peer(goal.output))
        else {
            continue;
        };
        let faster = peer.median().wall / ours.median().wall;
        let size = ours.size() as f64 / peer.size() as f64;
        let level = goal.level.map_or(String::new(), |level| format!(" {level}"));
        let mut what =
            format!("{} -> {}{level}: {faster:.2} x faster (goal {})", goal.source, goal.output, goal.faster);
        let mut met = faster >= goal.faster;
        if let Some(most) = goal.size {
            write!(what, ", {size:.4} of the size (goal {most})")?;
            met &= size <= most;
        }
        say(goal.number, what, met)?;
    }
    for measured in all.iter().filter(|measured| measured.source.name.starts_with("pe/")) {
        let name = &measured.source.name;
        let Some(peer) = measured.peer(Output::Vmdk) else { continue };
        if let (Some(best), Some(convert)) =
            (measured.ours(Output::Vmdk, Some(Level::Best), threads), peer.step(2))
        {
            let (wall, size) = (best.median().wall, best.size() as f64 / peer.size() as f64);
            let what = format!(
                "{name} -> vmdk best: {size:.4} of the size (goal 0.96), {wall:.2} s beside {convert:.2} s of \
                 qemu-img convert alone"
            );
            say("2", what, size <= 0.96 && wall < convert)?;
        }
    }
    for measured in all.iter().filter(|measured| measured.source.name.starts_with("pe/")) {
        for (output, level) in kinds(measured).into_iter().filter(|(output, _)| *output == Output::Vmdk) {
            if let (Some(one), Some(two)) = (measured.ours(output, level, 1), measured.ours(output, level, 2))
            {
                let times = one.median().wall / two.median().wall;
                let level = level.map_or(String::new(), |level| format!(" {level}"));
                let what =
                    format!("{} -> {output}{level}: -j2 {times:.2} x -j1 (goal 1.85)", measured.source.name);
                say("4", what, times >= 1.85)?;
            }
        }
    }
    for measured in all {
        let ours = measured.rows.iter().filter(|row| row.who != Who::Peer);
        if let Some(most) = ours.map(|row| row.median().memory).reduce(f64::max) {
            let (most, allowed) = (most / 1024.0, allowed_memory(measured.names) / 1024.0);
            say(
                "5",
                format!("{}: {most:.0} MiB of {allowed:.0} MiB", measured.source.name),
                most <= allowed,
            )?;
        }
    }
    Ok(out)
}

/// All of it, to be kept.
pub(crate) fn record(all: &[Measured], contest: &Contest, circumstances: &Value) -> Value {
    let sources: Vec<Value> = all.iter().map(source).collect();
    json!({
        "circumstances": circumstances,
        "peer_synced": contest.sync_peer,
        "sources": sources,
    })
}

fn source(measured: &Measured) -> Value {
    let rows: Vec<Value> = measured.rows.iter().map(|row| self::row(measured, row)).collect();
    json!({
        "source": measured.source.name,
        "bytes": measured.bytes,
        "sha256": measured.digest,
        "names": measured.names,
        "disk": measured.disk,
        "content": measured.content,
        "grains_inflated": { "ours": measured.proof.grains[0], "peer": measured.proof.grains[1], "by": measured.proof.by },
        "rows": rows,
    })
}

/// To a thousandth.
fn short(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn row(measured: &Measured, row: &Row) -> Value {
    let cost = row.median();
    let mut value = json!({
        "output": row.output.to_string(),
        "who": row.label(),
        "seconds": short(cost.wall),
        "cpu": short(cost.cpu),
        "memory_kib": cost.memory,
        "file": row.file,
        "allocated": row.allocated,
        "each": row.runs.iter().map(|run| short(run.whole.wall)).collect::<Vec<_>>(),
        "others": row.runs.iter().map(|run| short(run.others)).collect::<Vec<_>>(),
    });
    if row.who == Who::Peer {
        let steps: serde_json::Map<String, Value> = PEER_STEPS
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some(((*name).to_owned(), json!(short(row.step(index)?)))))
            .collect();
        value["steps"] = steps.into();
    } else if let Some(peer) = measured.peer(row.output) {
        value["faster"] = json!(short(peer.median().wall / cost.wall));
        value["size"] = json!((row.size() as f64 / peer.size() as f64 * 1e5).round() / 1e5);
    }
    value
}

/// Appends a line to a file.
pub(crate) fn append(file: &Path, value: &Value) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{value}")?;
    Ok(())
}
