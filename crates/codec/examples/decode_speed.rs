//! How fast chunks decode, on one core, in CPU time; next to libwim if `benches/codec-peer` is at hand.
//!
//! ```sh
//! cargo run --release -p wimforge-codec --example decode_speed -- FILE.wim... [--peer PROGRAM] [--rounds N]
//! ```
//!
//! Every round decodes all chunks once with each decoder, so that whatever else the machine does hits them alike; the
//! best round counts. The peer's output is compared through a hash.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use wimforge_codec::{Lzms, Lzx, Token, Xpress, reference};

#[path = "../tests/support/wim_chunks.rs"]
mod wim_chunks;
use wim_chunks::{Chunks, Codec};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut files, mut peer, mut rounds) = (Vec::new(), None, 15);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--peer" => peer = args.next(),
            "--rounds" => rounds = args.next().ok_or("--rounds needs a number")?.parse()?,
            _ => files.push(arg),
        }
    }
    if files.is_empty() {
        return Err("usage: decode_speed FILE.wim... [--peer PROGRAM] [--rounds N]".into());
    }
    println!(
        "{:<24} {:>8} {:>6} {:>9} {:>9} {:>9} {:>6}",
        "file", "MB", "ratio", "MB/s", "tokens", "libwim", "times"
    );
    for file in files {
        let chunks = wim_chunks::read(&std::fs::read(&file)?);
        let name = file.rsplit('/').next().unwrap_or(&file);
        measure(name, &chunks, peer.as_deref(), rounds)?;
    }
    Ok(())
}

type Decode<'a> = &'a mut dyn FnMut(&[u8], &mut [u8]) -> Result<(), wimforge_codec::Error>;

fn measure(name: &str, chunks: &Chunks, peer: Option<&str>, rounds: u32) -> Result<(), Box<dyn Error>> {
    let mut out = vec![0; chunks.chunk_size];
    let mut tokens = Vec::new();
    let mut decoder = Decoder::new(chunks)?;
    let mut peer = peer.map(|program| Peer::start(program, chunks)).transpose()?;

    let hash = |decode: Decode<'_>, out: &mut [u8]| {
        let mut hash = Fnv::new();
        for (src, size) in &chunks.chunks {
            decode(src, &mut out[..*size])?;
            hash.update(&out[..*size]);
        }
        Ok::<_, wimforge_codec::Error>(hash.0)
    };
    let ours = hash(&mut |src, dst| decoder.decode(src, dst), &mut out)?;
    let plain = match chunks.codec {
        Codec::Lzx => {
            let mut lzx = reference::Lzx::new(chunks.chunk_size)?;
            hash(&mut |src, dst| lzx.decode(src, dst), &mut out)?
        }
        Codec::Xpress => {
            let mut xpress = reference::Xpress::new();
            hash(&mut |src, dst| xpress.decode(src, dst), &mut out)?
        }
        Codec::Lzms => {
            let mut lzms = reference::Lzms::new();
            hash(&mut |src, dst| lzms.decode(src, dst), &mut out)?
        }
    };
    assert_eq!(ours, plain, "the reference decoder disagrees");

    let (mut best, mut best_tokens, mut best_peer) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..rounds {
        let start = cpu_seconds();
        for (src, size) in &chunks.chunks {
            decoder.decode(src, &mut out[..*size])?;
        }
        best = best.min(cpu_seconds() - start);

        if chunks.codec != Codec::Lzms {
            let start = cpu_seconds();
            for (src, size) in &chunks.chunks {
                decoder.decode_with_tokens(src, &mut out[..*size], &mut tokens)?;
            }
            best_tokens = best_tokens.min(cpu_seconds() - start);
        }

        if let Some(peer) = &mut peer {
            let (seconds, theirs) = peer.round()?;
            assert_eq!(ours, theirs, "libwim disagrees");
            best_peer = best_peer.min(seconds);
        }
    }
    let megabytes = chunks.chunks.iter().map(|(_, size)| *size as f64).sum::<f64>() / 1e6;
    let compressed = chunks.chunks.iter().map(|(src, _)| src.len() as f64).sum::<f64>() / 1e6;
    print!("{name:<24} {megabytes:>8.1} {:>6.3}", compressed / megabytes);
    print!(" {:>9.0}", megabytes / best);
    match chunks.codec {
        // Its delta matches are none.
        Codec::Lzms => print!(" {:>9}", "-"),
        Codec::Lzx | Codec::Xpress => print!(" {:>9.0}", megabytes / best_tokens),
    }
    match peer {
        Some(peer) => {
            println!(" {:>9.0} {:>6.2}  (libwim {})", megabytes / best_peer, best_peer / best, peer.version);
        }
        None => println!(" {:>9} {:>6}", "-", "-"),
    }
    Ok(())
}

enum Decoder {
    Lzx(Lzx),
    Xpress(Xpress),
    Lzms(Lzms),
}

impl Decoder {
    fn new(chunks: &Chunks) -> Result<Self, wimforge_codec::Error> {
        Ok(match chunks.codec {
            Codec::Lzx => Self::Lzx(Lzx::new(chunks.chunk_size)?),
            Codec::Xpress => Self::Xpress(Xpress::new()),
            Codec::Lzms => Self::Lzms(Lzms::new()),
        })
    }

    fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), wimforge_codec::Error> {
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
    ) -> Result<(), wimforge_codec::Error> {
        match self {
            Self::Lzx(lzx) => lzx.decode_with_tokens(src, dst, tokens),
            Self::Xpress(xpress) => xpress.decode_with_tokens(src, dst, tokens),
            Self::Lzms(_) => unreachable!("LZMS has no tokens"),
        }
    }
}

/// libwim, in its own process; see benches/codec-peer.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
    file: std::path::PathBuf,
}

impl Peer {
    fn start(program: &str, chunks: &Chunks) -> Result<Self, Box<dyn Error>> {
        let file = std::env::temp_dir().join(format!("codec-peer-{}.chunks", std::process::id()));
        let mut data = Vec::new();
        for word in [chunks.codec as u32, chunks.chunk_size as u32, chunks.chunks.len() as u32] {
            data.extend(word.to_le_bytes());
        }
        for (src, size) in &chunks.chunks {
            data.extend((src.len() as u32).to_le_bytes());
            data.extend((*size as u32).to_le_bytes());
            data.extend(src);
        }
        std::fs::write(&file, data)?;
        let mut child =
            Command::new(program).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().ok_or("no stdin")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut version = String::new();
        answers.read_line(&mut version)?;
        Ok(Self { child, ask, answers, version: version.trim().to_owned(), file })
    }

    fn round(&mut self) -> Result<(f64, u64), Box<dyn Error>> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (microseconds, hash) = line.trim().split_once(' ').ok_or("the peer gave up")?;
        Ok((microseconds.parse::<f64>()? / 1e6, u64::from_str_radix(hash, 16)?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// CPU time of this thread, from the scheduler's account of it: what the peer gets from `clock_gettime`, without a
/// dependency for that.
fn cpu_seconds() -> f64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = account.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("this measurement runs on Linux") / 1e9
}
