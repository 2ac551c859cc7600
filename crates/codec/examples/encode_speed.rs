//! How fast and how small chunks become XPRESS, on one core, in CPU time; next to libwim if
//! `benches/codec-peer/encode.c` is at hand.
//!
//! ```sh
//! cargo run --release -p wimforge-codec --example encode_speed -- FILE-OR-DIRECTORY... [--peer PROGRAM] \
//!     [--peer-levels 20,50] [--chunk-sizes 4096,32768] [--megabytes N] [--rounds N]
//! ```
//!
//! The files are cut into chunks, the first megabytes of all of them, in the order of their names. Every round encodes
//! all chunks once with each encoder, so that whatever else the machine does hits them alike; the best round counts.
//! The first round's chunks are decoded again and compared.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use wimforge_codec::{Level, Xpress, XpressEncoder};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut paths, mut peer, mut rounds, mut megabytes) = (Vec::new(), None, 5_usize, 64_usize);
    let mut chunk_sizes = vec![4096, 8192, 16384, 32768];
    let mut peer_levels = vec![20, 49, 50];
    let mut args = std::env::args().skip(1);
    let numbers = |list: Option<String>| {
        list.unwrap_or_default().split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--peer" => peer = args.next(),
            "--rounds" => rounds = args.next().unwrap_or_default().parse()?,
            "--megabytes" => megabytes = args.next().unwrap_or_default().parse()?,
            "--chunk-sizes" => chunk_sizes = numbers(args.next())?,
            "--peer-levels" => peer_levels = numbers(args.next())?,
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if paths.is_empty() {
        return Err("usage: encode_speed FILE-OR-DIRECTORY... [--peer PROGRAM]".into());
    }
    let mut files = Vec::new();
    let mut left = megabytes * 1_000_000;
    for path in paths {
        read(&path, &mut left, &mut files)?;
    }
    println!("{:>6} {:<12} {:>8} {:>7} {:>7} {:>9}", "chunks", "encoder", "MB", "ratio", "of peer", "MB/s");
    for chunk_size in chunk_sizes {
        let chunks: Vec<&[u8]> = files.iter().flat_map(|file| file.chunks(chunk_size)).collect();
        measure(chunk_size, &chunks, peer.as_deref(), &peer_levels, rounds)?;
    }
    Ok(())
}

/// Reads files, of directories in the order of their names, until there is enough.
fn read(path: &Path, left: &mut usize, files: &mut Vec<Vec<u8>>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            entries.push(entry?.path());
        }
        entries.sort();
        for entry in entries {
            read(&entry, left, files)?;
        }
    } else if *left > 0 {
        let mut file = std::fs::read(path)?;
        file.truncate(*left);
        *left -= file.len();
        files.push(file);
    }
    Ok(())
}

fn measure(
    chunk_size: usize,
    chunks: &[&[u8]],
    peer: Option<&str>,
    peer_levels: &[usize],
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let mut out = vec![0; chunk_size];
    let mut ours: Vec<_> = [Level::Fast, Level::Best]
        .into_iter()
        .map(|level| (format!("{level:?}"), XpressEncoder::new(level), Outcome::new()))
        .collect();
    let mut peers = Vec::new();
    for level in peer_levels {
        if let Some(program) = peer {
            peers.push((
                format!("libwim {level}"),
                Peer::start(program, *level, chunk_size, chunks)?,
                Outcome::new(),
            ));
        }
    }
    for (_, encoder, result) in &mut ours {
        let (mut decoder, mut text) = (Xpress::new(), vec![0; chunk_size]);
        for chunk in chunks {
            let size = encoder.encode(chunk, &mut out);
            result.bytes += size.unwrap_or(chunk.len());
            if let Some(size) = size {
                decoder.decode(&out[..size], &mut text[..chunk.len()])?;
                assert!(text[..chunk.len()] == **chunk, "decoded something else");
            }
        }
    }
    for _ in 0..rounds {
        for (_, encoder, result) in &mut ours {
            let start = cpu_seconds();
            for chunk in chunks {
                encoder.encode(chunk, &mut out);
            }
            result.seconds = result.seconds.min(cpu_seconds() - start);
        }
        for (_, peer, result) in &mut peers {
            let (seconds, bytes) = peer.round()?;
            result.seconds = result.seconds.min(seconds);
            result.bytes = bytes;
        }
    }
    let bytes: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    // libwim's default.
    let norm = peers.iter().find(|(name, ..)| name == "libwim 50").map(|(_, _, result)| result.bytes);
    let results = ours.iter().map(|(name, _, result)| (name, result));
    for (name, result) in results.chain(peers.iter().map(|(name, _, result)| (name, result))) {
        println!(
            "{chunk_size:>6} {name:<12} {:>8.1} {:>7.4} {:>7.4} {:>9.1}",
            bytes as f64 / 1e6,
            result.bytes as f64 / bytes as f64,
            norm.map_or(f64::NAN, |norm| result.bytes as f64 / norm as f64),
            bytes as f64 / 1e6 / result.seconds
        );
    }
    if let Some((_, peer, _)) = peers.first() {
        println!("{:>6} (libwim {})", "", peer.version);
    }
    Ok(())
}

struct Outcome {
    bytes: usize,
    seconds: f64,
}

impl Outcome {
    fn new() -> Self {
        Self { bytes: 0, seconds: f64::MAX }
    }
}

/// libwim, in its own process.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
    file: PathBuf,
}

impl Peer {
    fn start(
        program: &str,
        level: usize,
        chunk_size: usize,
        chunks: &[&[u8]],
    ) -> Result<Self, Box<dyn Error>> {
        let file = std::env::temp_dir().join(format!("encode-peer-{}-{level}.chunks", std::process::id()));
        let mut data = Vec::new();
        for word in [1, chunk_size as u32, chunks.len() as u32] {
            data.extend(word.to_le_bytes());
        }
        for chunk in chunks {
            data.extend((chunk.len() as u32).to_le_bytes());
            data.extend(*chunk);
        }
        std::fs::write(&file, data)?;
        let mut child = Command::new(program)
            .arg(&file)
            .arg(level.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no stdin")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut version = String::new();
        answers.read_line(&mut version)?;
        Ok(Self { child, ask, answers, version: version.trim().to_owned(), file })
    }

    fn round(&mut self) -> Result<(f64, usize), Box<dyn Error>> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (microseconds, bytes) = line.trim().split_once(' ').ok_or("the peer gave up")?;
        Ok((microseconds.parse::<f64>()? / 1e6, bytes.parse()?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// CPU time of this thread, from the scheduler's account of it.
fn cpu_seconds() -> f64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = account.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("this measurement runs on Linux") / 1e9
}
