//! Volumes that were lived on: formatted by `mkntfs` over a pattern, written, deleted from and written again through
//! ntfs-3g, and then given remains in every place that nobody reads.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};
use testkit::reader::Mount;
use testkit::{args, tool};
use wimforge_ntfs_writer::parse::{self, Body, kind};
use wimforge_ntfs_writer::read;

use super::common::noise;

/// What lies where nothing is used. No file has it.
pub(crate) const MARK: &[u8; 16] = b"<<not-used-mark>>".first_chunk().unwrap();

/// How often the pattern is found, at any place.
pub(crate) fn marks(image: &[u8]) -> usize {
    // The middle of it: what lies at the end of a sector may be cut off.
    image.windows(8).filter(|bytes| *bytes == &MARK[4..12]).count()
}

/// Text that LZNT1 makes small.
fn words(seed: u64, len: usize) -> Vec<u8> {
    (0..).flat_map(|i: u64| format!("line {} of {seed}\n", i * 7919 % 1009).into_bytes()).take(len).collect()
}

/// Makes a volume of `len` bytes with clusters of `cluster` bytes and lives on it; `None`, visibly, without the tools.
pub(crate) fn volume(path: &Path, len: usize, cluster: u32) -> Option<()> {
    let (mkntfs, setfattr) = (tool("mkntfs")?, tool("setfattr")?);
    let pattern: Vec<u8> = MARK.iter().copied().cycle().take(1 << 20).collect();
    let mut file = File::create(path).unwrap();
    for _ in 0..len >> 20 {
        file.write_all(&pattern).unwrap();
    }
    drop(file);
    let cluster_text = cluster.to_string();
    mkntfs.run(args!["-Q", "-F", "-q", "-c", &cluster_text, "-L", "lived", path]);
    let options = "rw,compression,streams_interface=windows,big_writes";
    let first = Mount::new(path, options)?;
    let root = first.path().to_owned();
    let put = |name: &str, data: &[u8]| std::fs::write(root.join(name), data).unwrap();
    // Sizes around the ends of sectors, clusters, records and units.
    for (i, size) in [0, 1, 100, 500, 700, 900, 4095, 4096, 4097, 65_535, 65_536, 65_537, 200_001, 1_000_003]
        .into_iter()
        .enumerate()
    {
        put(&format!("size {size}.bin"), &noise(i as u64 + 1, size));
        put(&format!("size {size}.bin:stream"), &noise(i as u64 + 100, size / 2 + 3));
    }
    if cluster <= 4096 {
        let packed = root.join("packed");
        std::fs::create_dir(&packed).unwrap();
        setfattr.run(args!["-h", "-v", "0x00000800", "-n", "system.ntfs_attrib_be", &packed]);
        for (i, size) in [5_000, 65_536, 70_000, 300_000, 1_234_567].into_iter().enumerate() {
            std::fs::write(packed.join(format!("text {size}.txt")), words(i as u64, size)).unwrap();
            // Units that stay as they are beside those that get smaller.
            let mixed = [words(i as u64, size), noise(i as u64 + 50, size)].concat();
            std::fs::write(packed.join(format!("mixed {size}.txt")), mixed).unwrap();
        }
    }
    let mut sparse = File::create(root.join("sparse.bin")).unwrap();
    for at in [0u64, 1 << 20, 5 << 20, (9 << 20) + 777] {
        sparse.seek(SeekFrom::Start(at)).unwrap();
        sparse.write_all(&noise(at + 9, 30_000)).unwrap();
    }
    sparse.set_len(12 << 20).unwrap();
    drop(sparse);
    // A directory with blocks of which most are given back.
    for directory in ["many", "few"] {
        std::fs::create_dir(root.join(directory)).unwrap();
        for i in 0..1500 {
            let name = format!("{directory}/a name that is long enough to fill blocks with {i:05}.txt");
            put(&name, format!("small content {i} {}", "x".repeat(i % 300)).as_bytes());
        }
    }
    for i in 0..40 {
        put(&format!("deleted {i}.bin"), &MARK.repeat(6000));
        put(&format!("deleted {i}.txt"), &MARK.repeat(20));
        // Interleaved with what stays, so that both are in pieces.
        put(&format!("stays {i}.bin"), &noise(1000 + i, 10_000));
    }
    drop(first);

    let again = Mount::new(path, options)?;
    let root = again.path();
    for i in 0..40 {
        std::fs::remove_file(root.join(format!("deleted {i}.bin"))).unwrap();
        std::fs::remove_file(root.join(format!("deleted {i}.txt"))).unwrap();
    }
    for i in (0..1500).filter(|i| i % 60 != 0) {
        let name = format!("few/a name that is long enough to fill blocks with {i:05}.txt");
        std::fs::remove_file(root.join(name)).unwrap();
    }
    for i in (0..1500).step_by(3) {
        let name = format!("many/a name that is long enough to fill blocks with {i:05}.txt");
        std::fs::remove_file(root.join(name)).unwrap();
    }
    OpenOptions::new()
        .write(true)
        .open(root.join("size 200001.bin"))
        .and_then(|file| file.set_len(70_001))
        .unwrap();
    std::fs::rename(root.join("size 4097.bin"), root.join("few/renamed.bin")).unwrap();
    std::fs::hard_link(root.join("size 65537.bin"), root.join("few/linked.bin")).unwrap();
    std::fs::write(root.join("written later.bin"), noise(77, 3_000_000)).unwrap();
    Some(())
}

/// Everything that ntfs-3g shows of a volume: path to hash.
pub(crate) fn everything(path: &Path) -> Option<BTreeMap<String, String>> {
    let mount = Mount::new(path, "ro,streams_interface=windows,show_sys_files")?;
    let getfattr = tool("getfattr")?;
    let mut found = BTreeMap::new();
    let mut pending = vec![String::new()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(mount.path().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{directory}/{}", entry.file_name().to_string_lossy());
            let name = name.trim_start_matches('/').to_owned();
            // Their content is what was changed.
            if ["$MFT", "$MFTMirr", "$LogFile", "$BadClus", "$Boot"].contains(&name.as_str()) {
                continue;
            }
            let mut sha = Sha1::new();
            let file_path = entry.path();
            for attribute in ["system.ntfs_attrib_be", "system.ntfs_times_be", "system.ntfs_acl"] {
                let arguments = args!["--absolute-names", "-h", "-e", "hex", "-n", attribute, &file_path];
                let output = getfattr.command().args(arguments).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                sha.update(text.split_once("=0x").map_or("", |text| text.1));
            }
            if entry.file_type().unwrap().is_dir() {
                pending.push(name.clone());
            } else if name.starts_with('$') && File::open(&file_path).is_err() {
                // Files without an unnamed stream.
            } else {
                let mut file = File::open(&file_path).unwrap();
                let mut buffer = vec![0; 1 << 16];
                loop {
                    match file.read(&mut buffer).unwrap() {
                        0 => break,
                        read => sha.update(&buffer[..read]),
                    }
                }
            }
            if let Ok(stream) = std::fs::read(format!("{}:stream", entry.path().display())) {
                sha.update(stream);
            }
            found.insert(name, sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    Some(found)
}

/// Puts the pattern into every place that nobody reads and that a file system leaves as it was: behind the ends of
/// values, of records, and of index entries.
pub(crate) fn poison(image: &mut [u8]) {
    let source: Arc<dyn disk::ReadAt> = Arc::new(image.to_vec());
    let volume = read::Volume::open(source, read::Options { raw: true }).unwrap();
    let cluster = u64::from(volume.boot().cluster_size);
    let size = volume.boot().record_size as usize;
    let mft = volume.file(0).unwrap().raw_stream(&volume, &[]).unwrap().unwrap();
    let mirrored = volume.file(1).unwrap().raw_stream(&volume, &[]).unwrap().unwrap().size() / size as u64;
    let place = |runs: &[parse::Run], at: u64| {
        let run = runs.iter().find(|run| (run.vcn..run.vcn + run.clusters).contains(&(at / cluster)))?;
        Some(((run.lcn? + at / cluster - run.vcn) * cluster + at % cluster) as usize)
    };
    let mark = |image: &mut [u8], from: usize, to: usize| {
        for (byte, mark) in image[from..to].iter_mut().zip(MARK.iter().cycle()) {
            *byte = *mark;
        }
    };
    for number in 0..mft.size() / size as u64 {
        let at = place(mft.runs(), number * size as u64).unwrap();
        let mut plain = image[at..at + size].to_vec();
        if parse::unprotect(&mut plain, "record").is_err() {
            continue;
        }
        let record = parse::record(&plain).unwrap();
        if record.in_use() {
            let runs_of = |body: &parse::NonResident<'_>| -> Vec<parse::Run> {
                parse::runs(body.pairs, body.lowest_vcn, volume.boot().clusters).map(Result::unwrap).collect()
            };
            for attribute in record.attributes().map(Result::unwrap) {
                let Body::NonResident(body) = &attribute.body else { continue };
                let plain_value = attribute.flags & 0x40FF == 0;
                if number != 8 && plain_value && body.lowest_vcn == 0 {
                    let runs = runs_of(body);
                    for at in body.size..body.allocated {
                        if let Some(at) = place(&runs, at) {
                            image[at] = MARK[at % 16];
                        }
                    }
                }
                if attribute.kind == kind::INDEX_ALLOCATION {
                    poison_blocks(image, &runs_of(body), body.size, &volume, &place);
                }
            }
        }
        // Those that are mirrored stay as they are.
        if number >= mirrored {
            let mut new = plain.clone();
            mark(&mut new, record.header.used as usize, size);
            protect_again(&mut image[at..at + size], &new);
        }
    }
}

fn poison_blocks(
    image: &mut [u8],
    runs: &[parse::Run],
    size: u64,
    volume: &read::Volume,
    place: &dyn Fn(&[parse::Run], u64) -> Option<usize>,
) {
    let block = volume.boot().index_block_size as usize;
    for number in 0..size / block as u64 {
        let Some(at) = place(runs, number * block as u64) else { continue };
        // A block in pieces is left alone here.
        if (place(runs, number * block as u64 + block as u64 - 1)) != Some(at + block - 1) {
            continue;
        }
        let mut plain = image[at..at + block].to_vec();
        if parse::unprotect(&mut plain, "block").is_err() {
            continue;
        }
        let Ok(node) = parse::block(&plain).map(|block| block.node.offset + block.node.len) else { continue };
        for (i, byte) in plain[node..].iter_mut().enumerate() {
            *byte = MARK[i % 16];
        }
        protect_again(&mut image[at..at + block], &plain);
    }
}

/// Puts `plain` in the place of `bytes`, under the same update sequence number.
fn protect_again(bytes: &mut [u8], plain: &[u8]) {
    let array = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let number = [bytes[array], bytes[array + 1]];
    let before: Vec<u8> = bytes[array..array + 2 + bytes.len() / 256].to_vec();
    bytes.copy_from_slice(plain);
    bytes[array..array + before.len()].copy_from_slice(&before);
    for i in 0..bytes.len() / 512 {
        let end = (i + 1) * 512 - 2;
        bytes.copy_within(end..end + 2, array + 2 + 2 * i);
        bytes[end..end + 2].copy_from_slice(&number);
    }
}
