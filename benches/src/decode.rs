//! How fast chunks decode on one core: ours, libwim, and the one Rust crate that decodes the same formats, on the same
//! chunks; and whole files, against 7-Zip, which does not decode chunks for others.
//!
//! Every round decodes all chunks once with each decoder, so that whatever else the machine does hits them alike; the
//! best round counts. Each is asked for the CPU time of its own thread. The outputs are compared through a hash.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use codec::{Lzms, Lzx, Token, Xpress};

use crate::measure::{self, Cost};
use crate::{corpus, wimforge};

#[path = "../../crates/codec/tests/support/wim_chunks.rs"]
mod wim_chunks;
use wim_chunks::{Chunks, Codec};

/// How much of a file is decoded per round and decoder, in bytes of output, or a little more.
const ENOUGH: usize = 550_000_000;

/// Prints the tables for `files`; without any, for both corpora with each codec.
#[expect(clippy::print_stdout, reason = "a command")]
pub(crate) fn run(files: &[&str], runs: usize) -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = if files.is_empty() {
        let mut made = Vec::new();
        for codec in ["LZX", "XPRESS", "LZMS"] {
            made.push(corpus::get(codec)?);
        }
        for codec in ["LZX", "XPRESS", "LZMS"] {
            made.push(corpus::unix(codec)?);
        }
        made
    } else {
        files.iter().map(PathBuf::from).collect()
    };
    let scratch = tempfile::tempdir()?;
    let peers = [libwim(scratch.path()), ms_compress(scratch.path())];

    println!("{}", measure::machine());
    println!("{}", measure::version("7zz", &[]));
    for peer in &peers {
        if let Err(reason) = &peer.program {
            println!("{}: SKIPPED: {reason}", peer.name);
        }
    }
    println!(
        "lzxd: left out: it decodes the LZX of cabinets, which frames its data otherwise, keeps its state across chunks, \
         and begins with a header that WIM has not"
    );
    println!("\nMB/s of output of one core, chunks in memory, best of {runs}");
    println!(
        "{:<20} {:>13} {:>6} {:>6} {:>9} {:>9} {:>14} {:>19}",
        "file", "chunks", "MB", "ratio", "ours", "+ tokens", "libwim", "ms-compress"
    );
    for file in &files {
        println!("{}", chunks(file, &peers, runs, scratch.path())?);
    }
    println!(
        "\nwhole files, one thread: reading and hashing included; seconds by the clock, median of {runs}"
    );
    println!("{:<20} {:>16} {:>14} {:>6}", "file", "wimforge verify", "7zz t", "times");
    let program = wimforge()?;
    for file in &files {
        println!("{}", whole(&program, file, runs, scratch.path())?);
    }
    Ok(())
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Another decoder, as a program that times itself, or why there is none.
struct Peer {
    name: &'static str,
    program: Result<PathBuf, String>,
}

/// Compiles the program that times libwim.
fn libwim(scratch: &Path) -> Peer {
    let program = scratch.join("codec-peer");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("codec-peer/main.c");
    let built = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).arg("-lwim").output();
    let program = match built {
        Ok(output) if output.status.success() => Ok(program),
        Ok(_) => Err("it does not compile (apt install libwim-dev)".to_owned()),
        Err(error) => Err(format!("cc: {error}")),
    };
    Peer { name: "libwim", program }
}

/// Builds the program that times ms-compress: its own workspace, because of the licence.
fn ms_compress(scratch: &Path) -> Peer {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("ms-compress-peer/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // It declares a later compiler than it needs.
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--ignore-rust-version", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(scratch.join("ms-compress"))
        .output();
    let program = match built {
        Ok(output) if output.status.success() => Ok(scratch.join("ms-compress/release/ms-compress-peer")),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(format!("it does not build: {}", text.lines().next().unwrap_or_default()))
        }
        Err(error) => Err(format!("cargo: {error}")),
    };
    Peer { name: "ms-compress", program }
}

fn chunks(file: &Path, peers: &[Peer], runs: usize, scratch: &Path) -> Result<String, Box<dyn Error>> {
    let mut chunks = wim_chunks::read(&std::fs::read(file)?);
    let mut taken = 0;
    chunks.chunks.retain(|(_, size)| {
        taken += size;
        taken - size < ENOUGH
    });
    let mut ours = Decoder::new(&chunks)?;
    let (mut out, mut tokens) = (vec![0; chunks.chunk_size], Vec::new());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (src, size) in &chunks.chunks {
        ours.decode(src, &mut out[..*size])?;
        for byte in &out[..*size] {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    let data = scratch.join("chunks");
    write_chunks(&chunks, &data)?;
    let mut running: Vec<Option<Running>> = Vec::new();
    for peer in peers {
        running.push(
            peer.program.as_ref().ok().map(|program| Running::start(peer, program, &data)).transpose()?,
        );
    }

    let (mut best, mut best_tokens, mut best_peers) = (f64::MAX, f64::MAX, vec![f64::MAX; peers.len()]);
    for _ in 0..runs {
        let start = cpu_seconds()?;
        for (src, size) in &chunks.chunks {
            ours.decode(src, &mut out[..*size])?;
        }
        best = best.min(cpu_seconds()? - start);

        if chunks.codec != Codec::Lzms {
            let start = cpu_seconds()?;
            for (src, size) in &chunks.chunks {
                ours.decode_with_tokens(src, &mut out[..*size], &mut tokens)?;
            }
            best_tokens = best_tokens.min(cpu_seconds()? - start);
        }
        for (running, best) in running.iter_mut().zip(&mut best_peers) {
            if let Some(peer) = running {
                *best = best.min(peer.round(hash)?);
            }
        }
    }
    let of = |number: fn(&(Vec<u8>, usize)) -> usize| {
        chunks.chunks.iter().map(|chunk| number(chunk) as f64).sum::<f64>() / 1e6
    };
    let (stored, size) = (of(|(src, _)| src.len()), of(|(_, size)| *size));
    let mut line = format!(
        "{:<20} {:>13} {size:>6.0} {:>6.3} {:>9.0}",
        name(file),
        format!("{:?} {}K", chunks.codec, chunks.chunk_size >> 10),
        stored / size,
        size / best
    );
    match chunks.codec {
        // Its delta matches are none.
        Codec::Lzms => write!(line, " {:>9}", "-")?,
        Codec::Lzx | Codec::Xpress => write!(line, " {:>9.0}", size / best_tokens)?,
    }
    for ((peer, seconds), width) in running.iter().zip(best_peers).zip([14, 19]) {
        let cell = match peer {
            Some(_) => format!("{:.0} (x {:.2})", size / seconds, seconds / best),
            None => "skipped".to_owned(),
        };
        write!(line, " {cell:>width$}")?;
    }
    let versions: Vec<String> = running.iter().flatten().map(|peer| peer.version.clone()).collect();
    write!(line, "  [{}]", versions.join(", "))?;
    Ok(line)
}

enum Decoder {
    Lzx(Lzx),
    Xpress(Xpress),
    Lzms(Lzms),
}

impl Decoder {
    fn new(chunks: &Chunks) -> Result<Self, codec::Error> {
        Ok(match chunks.codec {
            Codec::Lzx => Self::Lzx(Lzx::new(chunks.chunk_size)?),
            Codec::Xpress => Self::Xpress(Xpress::new()),
            Codec::Lzms => Self::Lzms(Lzms::new()),
        })
    }

    fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), codec::Error> {
        match self {
            Self::Lzx(lzx) => lzx.decode(src, dst),
            Self::Xpress(xpress) => xpress.decode(src, dst),
            Self::Lzms(lzms) => lzms.decode(src, dst),
        }
    }

    fn decode_with_tokens(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        tokens: &mut Vec<Token>,
    ) -> Result<(), codec::Error> {
        match self {
            Self::Lzx(lzx) => lzx.decode_with_tokens(src, dst, tokens),
            Self::Xpress(xpress) => xpress.decode_with_tokens(src, dst, tokens),
            Self::Lzms(_) => unreachable!("LZMS has no tokens"),
        }
    }
}

/// The file that peers read; see codec-peer.
fn write_chunks(chunks: &Chunks, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(to)?);
    for word in [chunks.codec as u32, u32::try_from(chunks.chunk_size)?, u32::try_from(chunks.chunks.len())?]
    {
        file.write_all(&word.to_le_bytes())?;
    }
    for (src, size) in &chunks.chunks {
        file.write_all(&u32::try_from(src.len())?.to_le_bytes())?;
        file.write_all(&u32::try_from(*size)?.to_le_bytes())?;
        file.write_all(src)?;
    }
    file.flush()?;
    Ok(())
}

/// A peer in its own process.
struct Running {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl Running {
    fn start(peer: &Peer, program: &Path, chunks: &Path) -> Result<Self, Box<dyn Error>> {
        let mut child =
            Command::new(program).arg(chunks).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().ok_or("no stdin")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut version = String::new();
        answers.read_line(&mut version)?;
        Ok(Self { child, ask, answers, version: format!("{} {}", peer.name, version.trim()) })
    }

    /// The seconds of decoding everything once; the output must hash to `expected`.
    fn round(&mut self, expected: u64) -> Result<f64, Box<dyn Error>> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let gave_up = || format!("{} gave up", self.version);
        let (microseconds, hash) = line.trim().split_once(' ').ok_or_else(gave_up)?;
        if u64::from_str_radix(hash, 16)? != expected {
            return Err(format!("{} decodes something else", self.version).into());
        }
        Ok(microseconds.parse::<f64>()? / 1e6)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this thread, from the scheduler's account of it.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat")
        .map_err(|error| format!("/proc/thread-self/schedstat: {error}; this measurement runs on Linux"))?;
    Ok(account.split(' ').next().ok_or("no number in schedstat")?.parse::<f64>()? / 1e9)
}

/// A whole file, tested by us and by 7-Zip.
fn whole(program: &Path, file: &Path, runs: usize, scratch: &Path) -> Result<String, Box<dyn Error>> {
    let (program, path) = (program.display(), file.display());
    let ours = format!("'{program}' verify -j1 --quiet '{path}' > '{}'", scratch.join("ours.txt").display());
    let theirs = format!("7zz t -mmt=1 '{path}' > '{}'", scratch.join("theirs.txt").display());
    if testkit::tool("7zz").is_none() {
        return Ok(format!("{:<20} SKIPPED: 7zz is not there", name(file)));
    }
    let (mut mine, mut other): (Vec<Cost>, Vec<Cost>) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        mine.push(measure::shell(&ours, scratch)?);
        other.push(measure::shell(&theirs, scratch)?);
    }
    let (mine, other) = (measure::median(&mine).wall, measure::median(&other).wall);
    Ok(format!("{:<20} {mine:>16.2} {other:>14.2} {:>6.2}", name(file), other / mine))
}
