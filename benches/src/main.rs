//! Measurements and proofs on large WIMs, against other people's tools. `BIAS.md` says what the numbers favour.

mod compact;
mod contest;
mod corpus;
mod decode;
mod measure;
mod reg;
mod roundtrip;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo run --release -p wimforge-benches -- COMMAND

  build [WIM [IMAGE]] [--runs N]   wimforge against mkntfs + wimlib-imagex apply + qemu-img, on the corpus or on WIM
  roundtrip [WIM [IMAGE]]          build, capture again, compare; every reader; on WIM, or the corpus in LZX and XPRESS
  decode [WIM...] [--runs N]       chunks decoded on one core: ours, libwim, ms-compress, 7-Zip; of both corpora or of WIMs
  reg [--runs N]                   5,000 values into a hive: wimforge against hivexregedit; needs the samples
  compact [WIM] [--runs N]         Compact OS: times, size beside the WIM, and where it goes; on a corpus of 500 MB or WIM
  corpus                           make the 500 MB corpus, with LZX and with XPRESS, and say where it is
  many COUNT                       make a WIM of COUNT files, and say where it is

Large files are kept in WIMFORGE_CACHE (default ~/.cache/wimforge-oracles).";

#[expect(clippy::print_stderr, reason = "a command")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
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

#[expect(clippy::print_stdout, reason = "a command")]
fn run(args: &[String]) -> Result<bool, Box<dyn Error>> {
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut runs = 5;
    if let Some(at) = args.iter().position(|&arg| arg == "--runs") {
        runs = args.get(at + 1).ok_or("--runs needs a number")?.parse::<usize>()?.max(1);
        args.drain(at..at + 2);
    }
    let image = |args: &[&str]| args.first().map_or(Ok(1), |index| index.parse::<u32>());
    match args.as_slice() {
        ["build"] => contest::run(&wimforge()?, &corpus::get("LZX")?, 1, runs)?,
        ["build", wim, rest @ ..] => contest::run(&wimforge()?, Path::new(wim), image(rest)?, runs)?,
        ["roundtrip"] => {
            for codec in ["LZX", "XPRESS"] {
                println!("the corpus with {codec}");
                roundtrip::run(&wimforge()?, &corpus::get(codec)?, 1)?;
            }
        }
        ["roundtrip", wim, rest @ ..] => roundtrip::run(&wimforge()?, Path::new(wim), image(rest)?)?,
        ["decode", files @ ..] => decode::run(files, runs)?,
        ["reg"] => reg::run(&wimforge()?, runs)?,
        ["compact"] => compact::run(&wimforge()?, &corpus::large()?, runs)?,
        ["compact", wim] => compact::run(&wimforge()?, Path::new(wim), runs)?,
        ["corpus"] => {
            for codec in ["LZX", "XPRESS"] {
                println!("{}", corpus::get(codec)?.display());
            }
        }
        ["many", count] => println!("{}", corpus::many(count.parse()?)?.display()),
        ["help" | "--help" | "-h"] => println!("{USAGE}"),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The program under test, built the way this one was: beside it, in the same profile.
fn wimforge() -> Result<PathBuf, Box<dyn Error>> {
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
