//! Files that Windows compresses behind NTFS's back, and files that it encrypts.
//!
//! A compressed resource of a WIM has the form of the stream in which Windows keeps such a file, so wimlib is the
//! compressor: what our reader decodes was made by somebody else.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{REPARSE, SPARSE, Tree, noise};
use testkit::wimfile::Layout;
use testkit::{args, content, tool};
use wimforge_ntfs_writer::Options as Write;
use wimforge_ntfs_writer::read::{Error, Options, Volume};

const WOF: u32 = 0x8000_0017;
const STREAM: &str = "WofCompressedData";

/// The compressed form of `data` by wimlib; `None` when it does not get smaller.
fn compress(data: &[u8], codec: &str, chunk: u32, scratch: &Path) -> Option<Vec<u8>> {
    let wimlib = tool("wimlib-imagex")?;
    let (folder, wim) = (scratch.join("folder"), scratch.join("one.wim"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("file"), data).unwrap();
    let (codec, chunk) = (format!("--compress={codec}"), format!("--chunk-size={chunk}"));
    let _ = std::fs::remove_file(&wim);
    wimlib.run(args!["capture", "--quiet", &folder, &wim, "one", &codec, &chunk, "--no-acls"]);
    let layout = Layout::of(&wim);
    let resource = layout.resources.iter().find(|resource| !resource.metadata)?;
    let range = resource.range.start as usize..resource.range.end as usize;
    resource.compressed.then(|| std::fs::read(&wim).unwrap()[range].to_vec())
}

fn add(tree: &mut Tree, name: &str, len: usize, codec: u32, packed: Vec<u8>) {
    let file = tree.file(0, name, vec![0; len]);
    tree.files[file].attributes |= SPARSE | REPARSE;
    tree.files[file].named.push((STREAM.into(), packed));
    let words = [1u32, 2, 1, codec];
    tree.files[file].reparse = Some((WOF, words.iter().flat_map(|word| word.to_le_bytes()).collect()));
}

fn image(tree: &Tree) -> Vec<u8> {
    tree.image(Write { created: common::times(1).created, ..Write::default() }, 1 << 20)
}

#[test]
fn what_wimlib_compressed_is_decoded() {
    if tool("wimlib-imagex").is_none() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut tree = Tree::default();
    let mut meant = Vec::new();
    for (number, codec, chunk) in
        [(0, "XPRESS", 4096), (1, "LZX", 32_768), (2, "XPRESS", 8192), (3, "XPRESS", 16_384)]
    {
        for len in [200, 4096, 4097, 32_768, 100_000, 1_265_648] {
            let mixed: Vec<u8> = noise(9, len / 2).into_iter().chain(vec![7; len - len / 2]).collect();
            for (kind, data) in
                [("text", content::text(5, len)), ("program", content::program(6, len)), ("mixed", mixed)]
            {
                let Some(packed) = compress(&data, codec, chunk, scratch.path()) else { continue };
                let name = format!("{kind} {len} {codec} {chunk}");
                add(&mut tree, &name, len, number, packed);
                meant.push((name, data));
            }
        }
    }
    assert!(meant.len() > 50, "{}", meant.len());
    let image = image(&tree);
    let volume = Volume::open(Arc::new(image.clone()), Options::default()).unwrap();
    for (name, data) in &meant {
        let file = volume.find(name).unwrap();
        assert_eq!(file.reparse(&volume).unwrap(), None, "{name}");
        let mut reader = file.open(&volume, &[]).unwrap();
        assert_eq!(reader.size(), data.len() as u64, "{name}");
        let mut found = vec![0; data.len()];
        reader.read_at(0, &mut found).unwrap();
        assert!(found == *data, "{name}");
        // From the middle, backwards and across chunks.
        for start in [data.len() - 1, data.len() / 2, data.len() / 3, 1] {
            let end = data.len().min(start + 9999);
            let mut part = vec![0; end - start];
            reader.read_at(start as u64, &mut part).unwrap();
            assert!(part == data[start..end], "{name} from {start}");
        }
        assert!(reader.read_at(data.len() as u64, &mut [0]).is_err());
    }
    // As it lies there.
    let raw = Volume::open(Arc::new(image), Options { raw: true }).unwrap();
    let (name, data) = &meant[0];
    let file = raw.find(name).unwrap();
    assert_eq!(file.reparse(&raw).unwrap().unwrap().tag, WOF);
    let mut zeros = vec![1; data.len()];
    file.open(&raw, &[]).unwrap().read_at(0, &mut zeros).unwrap();
    assert!(zeros.iter().all(|&byte| byte == 0));
    assert!(file.open(&raw, &common::units(STREAM)).unwrap().size() < data.len() as u64);
}

#[test]
fn damaged_chunks_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let data = content::text(5, 50_000);
    let Some(packed) = compress(&data, "XPRESS", 4096, scratch.path()) else { return };
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packed = packed.clone();
        change(&mut packed);
        let mut tree = Tree::default();
        add(&mut tree, "file", data.len(), 0, packed);
        let volume = Volume::open(Arc::new(image(&tree)), Options::default()).unwrap();
        let file = volume.find("file").unwrap();
        let mut buf = vec![0; data.len()];
        let result = file.open(&volume, &[]).and_then(|mut reader| reader.read_at(0, &mut buf));
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        error.to_string()
    };
    // 13 chunks have 12 entries of 4 bytes.
    let text = error(&|packed| packed[3] = 0x7F);
    assert!(text.contains("chunk 0 lies at 0x0..0x7f") && text.contains(STREAM), "{text}");
    assert!(error(&|packed| packed[4..8].fill(0)).contains("chunk 1 lies at"));
    assert!(error(&|packed| packed.truncate(40)).contains("WOF chunk table"));
    assert!(error(&|packed| packed.truncate(1000)).contains("lies at"));
    assert!(error(&|packed| packed[48..300].fill(0)).contains("chunk 0: "));
}

#[test]
fn encrypted_files_are_refused() {
    let mut tree = Tree::default();
    tree.file(0, "secret", noise(1, 5000));
    let mut image = image(&tree);
    let open = |image: &[u8]| Volume::open(Arc::new(image.to_vec()), Options::default()).unwrap();
    let at = open(&image).find("secret").unwrap().offset() as usize;
    // The unnamed stream is the last attribute; its flags lie 12 bytes behind its beginning.
    let used = u32::from_le_bytes(image[at + 24..at + 28].try_into().unwrap()) as usize;
    let data =
        (56..used).step_by(8).find(|&offset| image[at + offset..at + offset + 4] == [0x80, 0, 0, 0]).unwrap();
    image[at + data + 13] |= 0x40;
    let volume = open(&image);
    let file = volume.find("secret").unwrap();
    let error = file.open(&volume, &[]).unwrap().read_at(0, &mut [0; 10]).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("EFS"), "{error}");
}
