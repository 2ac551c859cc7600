//! What was timed has to be right: the proofs after each run. All of them are other people's programs.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::disk::{self, Format};
use testkit::tree::Tree;

use crate::measure;

/// Inflates every grain of a streamOptimized VMDK with zlib and libdeflate, and compares with the raw disk.
///
/// Returns what the script `grains.py` says of it.
pub(crate) fn grains(vmdk: &Path, raw: &Path) -> Result<Value, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/grains.py");
    let output = Command::new("python3").arg(script).args([vmdk, raw]).output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{}: {reason}", vmdk.display()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What was inflated, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Grains of ours, and those of the peer.
    pub grains: [u64; 2],
    /// The programs that inflated them.
    pub by: String,
}

impl Proof {
    fn add(&mut self, whose: usize, said: &Value) {
        self.grains[whose] += said["grains"].as_u64().unwrap_or(0);
        self.by = format!("zlib {}", said["zlib"].as_str().unwrap_or("?"));
        if said["libdeflate"] == true {
            self.by += " and libdeflate";
        }
    }
}

/// The proofs for one source: what its tree is, and which outputs are known to be right.
pub(crate) struct Verifier {
    meant: Tree,
    /// Our raw disk, whose tree was compared with the source.
    raw: PathBuf,
    /// Digests of outputs that were found right, by what they are.
    right: HashMap<String, String>,
    /// How many grains were inflated, and what the inflaters are.
    proof: Proof,
    scratch: PathBuf,
}

impl Verifier {
    /// `raw` is a raw disk that wimforge built of image `image` of `wim`; its tree is compared with the source.
    pub(crate) fn new(wim: &Path, image: u32, raw: &Path, scratch: &Path) -> Result<Self, Box<dyn Error>> {
        let meant = Tree::of_wim(wim, image).ok_or("wimlib is missing")?;
        let verifier = Self {
            meant,
            raw: raw.to_owned(),
            right: HashMap::new(),
            proof: Proof::default(),
            scratch: scratch.to_owned(),
        };
        let cut = scratch.join("cut.raw");
        disk::cut(raw, None, &cut).ok_or("sfdisk or qemu-img is missing")?;
        verifier.volume(&cut)?;
        std::fs::remove_file(cut)?;
        Ok(verifier)
    }

    /// How many names the tree has.
    pub(crate) fn names(&self) -> usize {
        self.meant.nodes.len()
    }

    /// What was inflated so far.
    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// A bare volume holds the source's tree: wimlib captures it, and the captured image is compared path by path,
    /// attributes, times, descriptors, streams and their hashes.
    pub(crate) fn volume(&self, volume: &Path) -> Result<(), Box<dyn Error>> {
        let captured = self.scratch.join("captured.wim");
        disk::capture(volume, &captured).ok_or("wimlib is missing")?;
        let found = Tree::of_wim(&captured, 1).ok_or("wimlib is missing")?;
        std::fs::remove_file(captured)?;
        let differences = self.meant.compare(&found);
        if differences.total == 0 {
            return Ok(());
        }
        Err(format!("{}: {}\n{}", volume.display(), differences.total, differences.shown.join("\n")).into())
    }

    /// One of ours is the raw disk. The first output of a `kind` is read grain by grain and compared by qemu-img; all
    /// later ones, whatever the number of threads, have to be that file byte by byte.
    pub(crate) fn ours(&mut self, kind: &str, output: &Path, format: Format) -> Result<(), Box<dyn Error>> {
        // Sparse files of gigabytes: comparing skips the holes, hashing would not.
        let digest = if format == Format::Raw { String::new() } else { measure::digest(output)? };
        match self.right.get(kind) {
            Some(right) if format != Format::Raw => {
                if *right == digest {
                    return Ok(());
                }
                return Err(format!("{kind}: two builds of the same source differ").into());
            }
            _ => {}
        }
        same(&self.raw, Format::Raw, output, format)?;
        if format == Format::Vmdk {
            self.proof.add(0, &grains(output, &self.raw)?);
        }
        self.right.insert(kind.to_owned(), digest);
        Ok(())
    }

    /// One of the peer's is right: its volume has the source's tree, its container is that volume.
    pub(crate) fn theirs(
        &mut self,
        volume: &Path,
        output: Option<(&Path, Format)>,
    ) -> Result<(), Box<dyn Error>> {
        self.volume(volume)?;
        if let Some((file, format)) = output {
            same(volume, Format::Raw, file, format)?;
            if format == Format::Vmdk {
                self.proof.add(1, &grains(file, volume)?);
            }
        }
        Ok(())
    }
}

fn same(raw: &Path, raw_format: Format, file: &Path, format: Format) -> Result<(), Box<dyn Error>> {
    if disk::same(raw, raw_format, file, format) { Ok(()) } else { Err("qemu-img is missing".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ::codec::Tokens;
    use ::disk::OrderedSink as _;
    use testkit::content::{Random, program, text};
    use testkit::tool;

    const GRAIN: usize = 64 << 10;
    /// More than the 32 MiB that one grain table reaches.
    const SIZE: usize = 40 << 20;

    /// A raw disk with a few grains that hold something, and the same as a VMDK.
    fn disk() -> (Vec<u8>, Vec<u8>) {
        let mut raw = vec![0; SIZE];
        let parts = [
            (0, text(1, GRAIN + 7)),
            (GRAIN * 9, program(2, 3 * GRAIN)),
            (33 << 20, Random::new(3).bytes(GRAIN)),
        ];
        for (at, bytes) in parts {
            raw[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let mut file = Vec::new();
        let options = vmdk::Options::new(SIZE as u64, "disk.vmdk", 1);
        let mut sink = Box::new(vmdk::stream_optimized(&mut file, &options).expect("possible options"));
        let mut encoder = sink.encoder();
        for (unit, offset) in raw.chunks(1 << 20).zip((0..).step_by(1 << 20)) {
            let mut encoded = Vec::new();
            encoder.encode(offset, unit, &Tokens::new(), &mut encoded).expect("whole grains");
            sink.commit(offset, unit.len() as u64, &encoded).expect("in order");
        }
        sink.finish().expect("a complete file");
        (raw, file)
    }

    fn verdict(raw: &[u8], file: &[u8]) -> Result<Value, String> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (raw_path, file_path) = (folder.path().join("disk.raw"), folder.path().join("disk.vmdk"));
        std::fs::write(&raw_path, raw).expect("a temporary file");
        std::fs::write(&file_path, file).expect("a temporary file");
        grains(&file_path, &raw_path).map_err(|error| error.to_string())
    }

    /// What the verifier says after `change`, which has to be an error that contains `reason`.
    #[track_caller]
    fn found(reason: &str, change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        let (mut raw, mut file) = disk();
        change(&mut raw, &mut file);
        let error = verdict(&raw, &file).expect_err("damage that is not seen");
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }

    fn u32_at(file: &[u8], at: usize) -> usize {
        u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize
    }

    /// Where the first grain's record lies: at the header's overhead.
    const FIRST: usize = 128 * 512;

    #[test]
    fn grains_of_a_good_file() {
        if tool("python3").is_none() {
            return;
        }
        let (raw, file) = disk();
        let said = verdict(&raw, &file).expect("a good file");
        assert_eq!(said["grains"], 2 + 3 + 1, "{said}");
        if testkit::tools_required() {
            assert_eq!(said["libdeflate"], true, "libdeflate.so.0 is missing (apt install libdeflate0)");
        }
        assert!(said["compressed"].as_u64().is_some_and(|bytes| bytes > GRAIN as u64), "{said}");
    }

    #[test]
    fn any_flipped_byte_of_a_grain_is_seen() {
        if tool("python3").is_none() {
            return;
        }
        let (_, file) = disk();
        let size = u32_at(&file, FIRST + 8);
        // All bits of it: those behind the end of the last block mean nothing.
        for at in [0, 1, 2, size / 2, size - 5, size - 4, size - 1] {
            found("grain of LBA 0", |_, file| file[FIRST + 12 + at] ^= 0xFF);
        }
    }

    #[test]
    fn a_disk_that_differs_by_one_byte_is_seen() {
        if tool("python3").is_none() {
            return;
        }
        found("LBA 128 inflates to other", |raw, _| raw[GRAIN + 6] ^= 1);
        found("LBA 128 inflates to other", |raw, _| raw[GRAIN + 7] ^= 1);
        // Between grains, and behind the last.
        found("not zero", |raw, _| raw[5 * GRAIN] = 1);
        found("not zero", |raw, _| raw[SIZE - 1] = 1);
        found("disk of", |raw, _| raw.truncate(SIZE - GRAIN));
    }

    #[test]
    fn damaged_tables_and_records_are_seen() {
        if tool("python3").is_none() {
            return;
        }
        // The footer is the sector before the last; bytes 56.. of it are the directory's sector.
        let table = |file: &[u8]| {
            let directory = u32_at(file, file.len() - 1024 + 56) * 512;
            u32_at(file, directory) * 512
        };
        found("LBA 0: the tables do not point", |_, file| {
            let entry = table(file);
            file[entry..entry + 4].fill(0);
        });
        found("1 table entries without a grain", |_, file| {
            let entry = table(file) + 4 * 5;
            file[entry] = 1;
        });
        found("LBA", |_, file| file[FIRST] = 64);
        found("padding is not zero", |_, file| {
            let end = FIRST + 12 + u32_at(file, FIRST + 8);
            file[end] = 1;
        });
        found("magic", |_, file| file[0] = 0);
        found("magic", |_, file| file.extend([0; 512]));
    }
}
