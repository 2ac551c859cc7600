//! `wimforge build` against `mkntfs` + `wimlib-imagex apply` + `qemu-img convert`, side by side.
//!
//! Everything about one source is measured together: in each round every contestant has its turn, in an order that
//! turns with the rounds, so whatever else the machine does hits them alike, and every ratio is between neighbours. What
//! a run wrote is on the disk before the next one starts, and is verified before it counts.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use testkit::disk::Format;

use crate::measure::{self, Cost, Run, quote};
use crate::verify::{Proof, Verifier};

/// What is made of a WIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Raw,
    /// Dynamic.
    Vhd,
    /// streamOptimized.
    Vmdk,
}

impl Output {
    pub(crate) const ALL: [Self; 3] = [Self::Raw, Self::Vhd, Self::Vmdk];

    fn format(self) -> Format {
        match self {
            Self::Raw => Format::Raw,
            Self::Vhd => Format::Vpc,
            Self::Vmdk => Format::Vmdk,
        }
    }

    /// The peer's last step. Formats and options give the peer the same kind of container.
    fn convert(self) -> Option<&'static str> {
        match self {
            Self::Raw => None,
            Self::Vhd => Some("-O vpc -o subformat=dynamic,force_size=on"),
            Self::Vmdk => Some("-O vmdk -o subformat=streamOptimized"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Vhd => "vhd",
            Self::Vmdk => "vmdk",
        })
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|output| output.to_string() == text);
        found.ok_or_else(|| format!("no output {text:?}: raw, vhd or vmdk"))
    }
}

/// `--level` of wimforge; means something for a VMDK only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Fast,
    Default,
    Best,
}

impl Level {
    pub(crate) const ALL: [Self; 3] = [Self::Fast, Self::Default, Self::Best];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Best => "best",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.to_string() == text);
        found.ok_or_else(|| format!("no level {text:?}: fast, default or best"))
    }
}

/// A WIM to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// `pe/lzx`, or a file's name.
    pub name: String,
    pub wim: PathBuf,
    pub image: u32,
}

/// What is measured, and how.
#[derive(Clone, Debug)]
pub(crate) struct Contest {
    pub outputs: Vec<Output>,
    pub levels: Vec<Level>,
    /// Worker threads of wimforge; the last is compared with the peer.
    pub threads: Vec<usize>,
    pub runs: usize,
    pub peer_runs: usize,
    /// Where outputs are written.
    pub place: PathBuf,
    /// Whether the peer's result is on the disk, too, when its clock stops.
    pub sync_peer: bool,
}

/// Who makes an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// wimforge, with so many threads.
    Us {
        level: Option<Level>,
        threads: usize,
    },
    Peer,
}

/// What one contestant's runs have shown.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub output: Output,
    pub who: Who,
    pub runs: Vec<Run>,
    /// Length of the file, and what it occupies on the disk, in bytes.
    pub file: u64,
    pub allocated: u64,
}

impl Row {
    pub(crate) fn median(&self) -> Cost {
        let costs: Vec<Cost> = self.runs.iter().map(|run| run.whole).collect();
        measure::median(&costs)
    }

    /// Median of the seconds of one step.
    pub(crate) fn step(&self, step: usize) -> Option<f64> {
        let seconds: Vec<f64> =
            self.runs.iter().filter_map(|run| run.steps.get(step)).map(|step| step.wall).collect();
        (seconds.len() == self.runs.len()).then(|| measure::middle(seconds))
    }

    /// What its size is judged by: holes of a raw disk cost nothing.
    pub(crate) fn size(&self) -> u64 {
        if self.output == Output::Raw { self.allocated } else { self.file }
    }

    pub(crate) fn label(&self) -> String {
        match (self.who, self.output.convert()) {
            (Who::Us { level: Some(level), threads }, _) => format!("wimforge {level} -j{threads}"),
            (Who::Us { level: None, threads }, _) => format!("wimforge -j{threads}"),
            (Who::Peer, None) => "mkntfs + wimapply".to_owned(),
            (Who::Peer, Some(_)) => "mkntfs + wimapply + qemu-img".to_owned(),
        }
    }
}

/// The peer's steps, in the order in which [`Row::step`] numbers them.
pub(crate) const PEER_STEPS: [&str; 3] = ["mkntfs", "wimapply", "qemu-img convert"];

/// All about one source.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub source: Source,
    /// Bytes of the WIM.
    pub bytes: u64,
    pub digest: String,
    /// Files, directories and further names.
    pub names: usize,
    /// Bytes of the disk, and of what is not empty in it.
    pub disk: u64,
    pub content: u64,
    /// What was proved of the outputs.
    pub proof: Proof,
    pub rows: Vec<Row>,
}

impl Measured {
    /// The peer's row for an output.
    pub(crate) fn peer(&self, output: Output) -> Option<&Row> {
        self.rows.iter().find(|row| row.output == output && row.who == Who::Peer)
    }

    /// Ours for an output, with the given threads.
    pub(crate) fn ours(&self, output: Output, level: Option<Level>, threads: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.output == output && row.who == Who::Us { level, threads })
    }
}

fn command(wimforge: &Path, source: &Source, out: &Path, options: &str) -> String {
    let (program, wim, out) = (quote(wimforge), quote(&source.wim), quote(out));
    format!("{program} build {wim} --image {} -o {out} --force --quiet {options}", source.image)
}

/// Measures one source. `said` is told what happens.
pub(crate) fn measure(
    wimforge: &Path,
    source: &Source,
    contest: &Contest,
    mut said: impl FnMut(&str),
) -> Result<Measured, Box<dyn Error>> {
    let scratch = tempfile::tempdir_in(&contest.place)?;
    let place = |name: &str| scratch.path().join(name);
    // Both find the WIM in the page cache.
    std::io::copy(&mut std::fs::File::open(&source.wim)?, &mut std::io::sink())?;

    // Our raw disk, which everything is compared with. It also says how large the peer's volume has to be.
    let raw = place("reference.raw");
    measure::shell(&command(wimforge, source, &raw, ""), scratch.path())?;
    let disk = raw.metadata()?.len();
    said("verifying the raw disk");
    let mut verifier = Verifier::new(&source.wim, source.image, &raw, scratch.path())?;

    let mut rows = rows(contest);
    let rounds = contest.runs.max(contest.peer_runs);
    for round in 0..rounds {
        said(&format!("round {} of {rounds}", round + 1));
        let count = rows.len();
        for turn in 0..count {
            let row = &mut rows[(turn + round) % count];
            let wanted = if row.who == Who::Peer { contest.peer_runs } else { contest.runs };
            if round >= wanted {
                continue;
            }
            let file = place(&format!("disk.{}", row.output));
            let volume = place("volume.raw");
            let lines = match row.who {
                Who::Us { level, threads } => {
                    let level = level.map_or(String::new(), |level| format!("--level {level} "));
                    vec![command(wimforge, source, &file, &format!("{level}--threads {threads}"))]
                }
                Who::Peer => peer(source, row.output, disk, &volume, &file, contest.sync_peer),
            };
            row.runs.push(measure::steps(&lines, scratch.path())?);
            match row.who {
                Who::Us { level, .. } => {
                    let kind =
                        level.map_or(row.output.to_string(), |level| format!("{} {level}", row.output));
                    verifier.ours(&kind, &file, row.output.format())?;
                    (row.file, row.allocated) = sizes(&file)?;
                }
                Who::Peer => {
                    let container = row.output.convert().map(|_| (file.as_path(), row.output.format()));
                    if round == 0 {
                        verifier.theirs(&volume, container)?;
                    }
                    (row.file, row.allocated) = sizes(container.map_or(volume.as_path(), |(file, _)| file))?;
                }
            }
            for made in [&file, &volume] {
                if made.exists() {
                    std::fs::remove_file(made)?;
                }
            }
        }
    }
    Ok(Measured {
        source: source.clone(),
        bytes: source.wim.metadata()?.len(),
        digest: measure::digest(&source.wim)?,
        names: verifier.names(),
        disk,
        content: sizes(&raw)?.1,
        proof: verifier.proof().clone(),
        rows,
    })
}

/// The contestants: for every output the peer, then us.
fn rows(contest: &Contest) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |output, who| rows.push(Row { output, who, runs: Vec::new(), file: 0, allocated: 0 });
    for &output in &contest.outputs {
        if contest.peer_runs > 0 {
            add(output, Who::Peer);
        }
        let levels: Vec<Option<Level>> = match output {
            Output::Vmdk => contest.levels.iter().copied().map(Some).collect(),
            Output::Raw | Output::Vhd => vec![None],
        };
        for level in levels {
            for &threads in contest.threads.iter().rev() {
                add(output, Who::Us { level, threads });
            }
        }
    }
    rows
}

fn peer(source: &Source, output: Output, size: u64, volume: &Path, file: &Path, sync: bool) -> Vec<String> {
    let (bare, out) = (quote(volume), quote(file));
    let mut lines = vec![
        format!(
            "truncate -s {size} {bare}; \
             mkntfs --quick --force -T -s 512 -p 2048 -H 255 -S 63 {bare} > /dev/null 2>&1"
        ),
        format!("wimlib-imagex apply --quiet {} {} {bare}", quote(&source.wim), source.image),
    ];
    if let Some(convert) = output.convert() {
        lines.push(format!("qemu-img convert -f raw {convert} {bare} {out}"));
    }
    if sync && let Some(last) = lines.last_mut() {
        *last += &format!("; sync {}", if output.convert().is_some() { &out } else { &bare });
    }
    lines
}

/// Length, and bytes that are allocated.
fn sizes(file: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.blocks() * 512))
}
