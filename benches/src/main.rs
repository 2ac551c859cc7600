//! Measurements and proofs on large WIMs, against other people's tools. `BIAS.md` says what the numbers favour.

mod compact;
mod contest;
mod convert;
mod corpus;
mod decode;
mod generate;
mod measure;
mod options;
mod reference;
mod reg;
mod report;
mod roundtrip;
mod vagrant;
mod verify;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;

use contest::{Contest, Level, Output, Source};
use corpus::{Codec, Corpus, Kind, Scale};
use options::Options;

const USAGE: &str = "\
usage: cargo run --release -p wimforge-benches -- COMMAND

  build [WIM [IMAGE]]              wimforge against mkntfs + wimlib-imagex apply + qemu-img, on generated corpora or on
                                   WIM; every output verified; prints tables and appends to benches/results/build.jsonl
      --corpus pe,text,many,noise,huge   what the WIMs hold [pe]; with -4g: 4 GB instead of 0.5, with -small: 125 MB
      --source lzx,xpress,esd      how they are compressed [all]; esd is one solid LZMS resource
      --output raw,vhd,vmdk        [all]
      --level fast,default,best    of VMDKs [all]
      --threads 1,2                of wimforge; the last is compared with the peer [1 and one per processor]
      --runs N, --peer-runs N      [5 of each]; --peer-runs 0 leaves the peer out
      --place DIR                  where outputs go [the cache directory]
      --sync-peer                  the peer's clock runs until its output is on the disk, as ours does
      --results FILE|none          [benches/results/build.jsonl]
      --wimforge FILE              the program to measure [built from this tree]
  check [--update] [--place DIR] [--reference FILE] [--wimforge FILE]
                                   a small selection of that, compared with benches/reference.json: fails when a ratio
                                   lost more than 15 %; --update writes that file. Outputs go to /dev/shm [--place]
  grains VMDK RAW                  inflates every grain of a streamOptimized VMDK and compares with the raw disk
  roundtrip [WIM [IMAGE]]          build, capture again, compare; every reader; on WIM, or the corpus in LZX and XPRESS
  decode [WIM...] [--runs N]       chunks decoded on one core: ours, libwim, ms-compress, 7-Zip; of both corpora or of WIMs
  reg [--runs N]                   5,000 values into a hive: wimforge against hivexregedit; needs the samples
  compact [WIM] [--runs N]         Compact OS: times, size beside the WIM, and where it goes; on a corpus of 500 MB or WIM
  convert [WIM] [--threads 1,2] [--place DIR] [--runs N]
                                   the disk of WIM, or of the corpus, into other containers, against qemu-img
  box [WIM] [--threads 1,2] [--place DIR] [--runs N]
                                   a Vagrant box for VirtualBox, against qemu-img and bsdtar -czf
  corpus [--corpus ..] [--source ..]  make corpora, and say where they are
  many COUNT                       make a WIM of COUNT files, and say where it is

Large files are kept in WIMFORGE_CACHE (default ~/.cache/wimforge-oracles).";

#[expect(clippy::print_stderr, reason = "a command")]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    match run(&command, Options::new(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("wimforge-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "a command")]
fn run(command: &str, mut options: Options) -> Result<bool> {
    match command {
        "build" => {
            build(options)?;
            return Ok(true);
        }
        "check" => {
            let update = options.flag("--update");
            let file = options.value("--reference")?.unwrap_or_else(|| folder().join("reference.json"));
            let place = options.value("--place")?.unwrap_or_else(memory);
            let program = options.value("--wimforge")?;
            options.rest()?;
            reference::check(&program.map_or_else(wimforge, Ok)?, &file, &place, update)?;
            return Ok(true);
        }
        "convert" | "box" => {
            let mut threads = vec![1, measure::threads()];
            threads.dedup();
            let threads = options.list("--threads", threads)?;
            let place = options.value("--place")?.unwrap_or_else(memory);
            let runs = options.value("--runs")?.unwrap_or(5).max(1);
            let rest = options.rest()?;
            let wim = match rest.first() {
                Some(wim) => PathBuf::from(wim),
                None => corpus::get("LZX")?,
            };
            let contest = if command == "box" { vagrant::run } else { convert::run };
            contest(&wimforge()?, &wim, &place, &threads, runs)?;
            return Ok(true);
        }
        "corpus" => {
            for (corpus, codec) in corpora(&mut options)? {
                println!("{corpus}/{}: {}", codec.name(), corpus.get(codec)?.display());
            }
            options.rest()?;
            return Ok(true);
        }
        _ => {}
    }
    let runs = options.value("--runs")?.unwrap_or(5).max(1);
    let rest = options.rest()?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let image = |args: &[&str]| args.first().map_or(Ok(1), |index| index.parse::<u32>());
    match (command, rest.as_slice()) {
        ("grains", [vmdk, raw]) => println!("{}", verify::grains(Path::new(vmdk), Path::new(raw))?),
        ("roundtrip", []) => {
            for codec in ["LZX", "XPRESS"] {
                println!("the corpus with {codec}");
                roundtrip::run(&wimforge()?, &corpus::get(codec)?, 1)?;
            }
        }
        ("roundtrip", [wim, rest @ ..]) => roundtrip::run(&wimforge()?, Path::new(wim), image(rest)?)?,
        ("decode", files) => decode::run(files, runs)?,
        ("reg", []) => reg::run(&wimforge()?, runs)?,
        ("compact", []) => compact::run(&wimforge()?, &corpus::large()?, runs)?,
        ("compact", [wim]) => compact::run(&wimforge()?, Path::new(wim), runs)?,
        ("many", [count]) => println!("{}", corpus::many(count.parse()?)?.display()),
        ("help" | "--help" | "-h", _) => println!("{USAGE}"),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The corpora and codecs that `--corpus` and `--source` name.
fn corpora(options: &mut Options) -> Result<Vec<(Corpus, Codec)>> {
    let half = Corpus { kind: Kind::Pe, scale: Scale::Half };
    let corpora = options.list("--corpus", vec![half])?;
    let codecs = options.list("--source", Codec::ALL.to_vec())?;
    Ok(corpora.into_iter().flat_map(|corpus| codecs.iter().map(move |codec| (corpus, *codec))).collect())
}

/// The whole contest, as the command line wants it.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]
fn build(mut options: Options) -> Result<()> {
    let chosen = corpora(&mut options)?;
    let mut threads = vec![1, measure::threads()];
    threads.dedup();
    let contest = Contest {
        outputs: options.list("--output", Output::ALL.to_vec())?,
        levels: options.list("--level", Level::ALL.to_vec())?,
        threads: options.list("--threads", threads)?,
        runs: options.value("--runs")?.unwrap_or(5).max(1),
        peer_runs: options.value("--peer-runs")?.unwrap_or(5),
        place: options.value("--place")?.unwrap_or_else(testkit::cache),
        sync_peer: options.flag("--sync-peer"),
    };
    let results: PathBuf =
        options.value("--results")?.unwrap_or_else(|| folder().join("results").join("build.jsonl"));
    let program = options.value("--wimforge")?;
    let rest = options.rest()?;
    let sources: Vec<Source> = match rest.split_first() {
        None => chosen
            .into_iter()
            .map(|(corpus, codec)| {
                let name = format!("{corpus}/{}", codec.name());
                Ok(Source { name, wim: corpus.get(codec)?, image: 1 })
            })
            .collect::<Result<_>>()?,
        Some((wim, rest)) => {
            let wim = PathBuf::from(wim);
            let name = wim.file_name().unwrap_or_default().to_string_lossy().into_owned();
            vec![Source { name, wim, image: rest.first().map_or(Ok(1), |index| u32::from_str(index))? }]
        }
    };

    let wimforge = program.map_or_else(wimforge, Ok)?;
    let circumstances = measure::circumstances(&wimforge, &contest.place);
    println!("{circumstances:#}");
    println!(
        "{} runs of ours, {} of the peer, interleaved; medians; memory is the largest process of a run; others: share \
         of the processors that others had meanwhile; size: ours by the peer's (raw: what is allocated)\n",
        contest.runs, contest.peer_runs
    );
    let mut all = Vec::new();
    for source in &sources {
        let said = |what: &str| eprintln!("{}: {what}", source.name);
        let measured = contest::measure(&wimforge, source, &contest, said)?;
        println!("{}", report::table(&measured)?);
        all.push(measured);
    }
    let goals = report::goals(&all, &contest)?;
    if !goals.is_empty() {
        println!("goals of issue 6\n{goals}");
    }
    println!(
        "verified: our raw disk captured again by wimlib and compared with the source path by path, every other output of \
         ours compared with it by qemu-img, every grain of a VMDK inflated by zlib; the first output of the peer of each \
         kind likewise"
    );
    if results != Path::new("none") {
        report::append(&results, &report::record(&all, &contest, &circumstances))?;
    }
    Ok(())
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file system in memory, where there is one.
fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { testkit::cache() }
}

/// The program under test, built the way this one was: beside it, in the same profile.
fn wimforge() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "-p", "wimforge", "--bin", "wimforge"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Err("wimforge does not build".into());
    }
    let program = std::env::current_exe()?.with_file_name("wimforge");
    if program.exists() { Ok(program) } else { Err(format!("{} is not there", program.display()).into()) }
}
