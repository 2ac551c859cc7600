//! What wimlib writes, read here and compared with what went in, with wimlib's own words, and with testkit's own reader
//! of wimlib's metadata.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use sha1::{Digest, Sha1};
use testkit::content::{Random, program, text};
use testkit::tree::{Listing, Node, Tree};
use testkit::wimfile::{Hash, ITEM_EXTENDED_ATTRIBUTES, ITEM_OBJECT_ID, extended_attributes};
use testkit::{args, fixture, tool};
use wimforge_wim::verify::{self, Integrity, Progress, Report};
use wimforge_wim::{BlobId, Codec, DentryId, Image, Source, Storage, StreamRef, Wim};

fn open(path: &Path) -> Wim {
    Wim::open(Arc::new(File::open(path).unwrap())).unwrap()
}

fn check(wim: &Wim) -> Report {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap()
}

/// An image in the form that testkit compares.
fn tree(wim: &Wim, image: &Image) -> Tree {
    let hash = |stream: &StreamRef| match stream {
        StreamRef::Empty => Hash::default(),
        StreamRef::Blob { id, .. } => wim.blob(*id).sha1,
        StreamRef::Missing(sha1) => *sha1,
    };
    let mut tree = Tree::default();
    let mut paths: Vec<Vec<u16>> = Vec::new();
    for (index, dentry) in image.dentries().iter().enumerate() {
        let inode = image.inode(dentry.inode);
        let mut path = match index {
            0 => Vec::new(),
            _ => paths[dentry.parent.0 as usize].clone(),
        };
        if path != [u16::from(b'/')] {
            path.push(u16::from(b'/'));
        }
        path.extend(&dentry.name);
        paths.push(path.clone());
        let mut tagged = Vec::new();
        if let Some(object) = &inode.object_id {
            tagged.push((
                ITEM_OBJECT_ID,
                [&object.id[..], object.birth.as_ref().map_or(&[], |b| &b[..])].concat(),
            ));
        }
        let eas: Vec<_> = inode
            .eas
            .iter()
            .map(|ea| (std::str::from_utf8(ea.name).unwrap(), u8::from(ea.need) * 0x80, ea.value))
            .collect();
        if !eas.is_empty() {
            tagged.push((ITEM_EXTENDED_ATTRIBUTES, extended_attributes(&eas)));
        }
        tagged.extend(inode.tagged.iter().map(|item| (item.tag, item.data.to_vec())));
        let node = Node {
            attributes: inode.attributes,
            short_name: dentry.short_name.to_vec(),
            security: inode.security.map(|id| image.security()[id as usize].to_vec().into()),
            times: [inode.created.0, inode.accessed.0, inode.written.0],
            data: inode.data.as_ref().map_or(Hash::default(), hash),
            streams: inode.named.iter().map(|named| (named.name.to_vec(), hash(&named.stream))).collect(),
            reparse: inode.reparse.as_ref().map(|reparse| (reparse.tag, hash(&reparse.stream))),
            link_group: if inode.links.len() > 1 { u64::from(dentry.inode.0) + 1 } else { 0 },
            tagged,
        };
        assert!(tree.nodes.insert(path, node).is_none());
    }
    tree
}

/// Reads the file `name` of image 1 in one go.
fn content(wim: &Wim, image: &Image, name: &str) -> Vec<u8> {
    match image.inode(image.dentry(image.lookup(name).expect(name)).inode).data {
        Some(StreamRef::Blob { id, .. }) => wim.reader().read_all(id, u64::MAX).expect(name),
        Some(StreamRef::Empty) => Vec::new(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Bytes that compress well in places and not at all in others.
fn mixed(seed: u64, size: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::new();
    while bytes.len() < size {
        let len = 1 + random.below(size / 3 + 1);
        match random.below(4) {
            0 => bytes.extend(text(random.next_u64(), len)),
            1 => bytes.extend(program(random.next_u64(), len)),
            2 => bytes.extend(vec![0; len]),
            _ => bytes.extend(random.bytes(len)),
        }
    }
    bytes.truncate(size);
    bytes
}

/// Every codec at every chunk size that wimlib writes, with files of sizes around multiples of the chunk size.
#[test]
fn every_codec_and_chunk_size() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let xpress = (12..=16).map(|order| ("XPRESS", Codec::Xpress, 1_usize << order));
    let lzx = (15..=21).map(|order| ("LZX", Codec::Lzx, 1_usize << order));
    let lzms = (15..=20).map(|order| ("LZMS", Codec::Lzms, 1_usize << order));
    for (name, codec, chunk) in [("none", Codec::None, 0)].into_iter().chain(xpress).chain(lzx).chain(lzms) {
        let dir = tempfile::tempdir().unwrap();
        let (source, wim) = (dir.path().join("source"), dir.path().join("x.wim"));
        std::fs::create_dir(&source).unwrap();
        let unit = chunk.max(4096);
        let sizes = [0, 1, 100, unit - 1, unit, unit + 1, 2 * unit, 2 * unit + 17];
        let files: BTreeMap<String, Vec<u8>> =
            sizes.iter().enumerate().map(|(n, &size)| (format!("{size}"), mixed(n as u64, size))).collect();
        for (name, bytes) in &files {
            std::fs::write(source.join(name), bytes).unwrap();
        }
        let compress = format!("--compress={name}");
        let chunk_size = format!("--chunk-size={chunk}");
        let mut capture = vec!["capture", "--check", "--quiet", &compress];
        if chunk != 0 {
            capture.push(&chunk_size);
        }
        let out = wimlib.command().args(capture).args([&source, &wim]).output().unwrap();
        assert!(out.status.success(), "{name} {chunk}: {}", String::from_utf8_lossy(&out.stderr));

        let what = format!("{name} {chunk}");
        let opened = open(&wim);
        assert_eq!((opened.header().codec, opened.header().chunk_size as usize), (codec, chunk), "{what}");
        let image = opened.image(1).unwrap();
        for (name, bytes) in &files {
            assert!(content(&opened, &image, name) == *bytes, "{what}: {name}");
        }
        let report = check(&opened);
        assert!(report.is_intact(), "{what}: {report:?}");
        assert_eq!((report.warnings, image.warnings()), (vec![], &[][..]), "{what}");
        assert!(matches!(report.integrity, Integrity::Checked { pieces: 1.., .. }), "{what}");
        if codec != Codec::None {
            let compressed = opened.blobs().iter().filter(|blob| blob.stored_size < blob.size).count();
            assert!(compressed >= 4, "{what}: the decoder has nothing to do");
        }
    }
}

/// The committed sample with two images, field by field.
#[test]
fn the_small_images() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    for (file, images) in [("nano-small.wim", 1), ("nano-small-two.wim", 2)] {
        let path = testkit::testdata(file);
        let wim = open(&path);
        assert_eq!(wim.image_count(), images);
        assert_eq!(wim.warnings(), []);
        for index in 1..=images {
            let image = wim.image(index).unwrap();
            assert_eq!(image.warnings(), []);
            let Some(expected) = Tree::of_wim(&path, index) else { return };
            let found = tree(&wim, &image);
            expected.compare(&found).assert_none();
            same_as_listed(&wim, &image, &Listing::of_wim(&wimlib, &path, index));
        }
        same_as_info(&wim, &wimlib.text(args!["info", &path]));
        assert!(check(&wim).is_intact());
    }
}

/// What `wimlib-imagex dir --detailed` says of each path.
fn same_as_listed(wim: &Wim, image: &Image, listing: &Listing) {
    assert_eq!(image.dentries().len(), listing.paths.len());
    for id in (0..image.dentries().len() as u32).map(DentryId) {
        let path = image.path(id).replace('\\', "/");
        let listed = &listing.paths.get(&path).unwrap_or_else(|| panic!("{path} is not listed")).fields;
        let dentry = image.dentry(id);
        let inode = image.inode(dentry.inode);
        let hash = |stream: &StreamRef| match stream {
            StreamRef::Empty => hex(&[0; 20]),
            StreamRef::Blob { id, .. } => hex(&wim.blob(*id).sha1),
            StreamRef::Missing(_) => "missing".to_owned(),
        };
        let mut found = BTreeMap::from([
            ("Attributes".to_owned(), format!("{:#010x}", inode.attributes)),
            ("Link Count".to_owned(), inode.links.len().to_string()),
            ("Short Name".to_owned(), format!("{:?}", String::from_utf16_lossy(&dentry.short_name))),
        ]);
        if let Some(security) = inode.security {
            found.insert("Security Descriptor".to_owned(), hex(&image.security()[security as usize]));
        }
        if let Some(reparse) = &inode.reparse {
            found.insert("Reparse Tag".to_owned(), format!("{:#x}", reparse.tag));
            found.insert("reparse".to_owned(), hash(&reparse.stream));
        } else {
            found.insert("stream".to_owned(), inode.data.as_ref().map_or_else(|| hex(&[0; 20]), hash));
        }
        for named in &inode.named {
            let name = String::from_utf16_lossy(&named.name);
            found.insert(format!("stream {name}"), hash(&named.stream));
        }
        for (title, value) in &found {
            assert_eq!(listed.get(title), Some(value), "{path}: {title}");
        }
        let streams =
            |titles: Vec<&String>| titles.iter().filter(|title| title.starts_with("stream ")).count();
        assert_eq!(streams(listed.keys().collect()), streams(found.keys().collect()), "{path}");
    }
}

/// What `wimlib-imagex info` says of the images, which it reads from the XML, and what the images themselves say.
fn same_as_info(wim: &Wim, info: &str) {
    let mut index = 0;
    let mut seen = 0;
    for line in info.lines() {
        let Some((title, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let xml = wim.xml().image(index);
        let number = |count: Option<u64>| count.unwrap().to_string();
        seen += 1;
        match title {
            "GUID" => assert_eq!(value.replace("0x", ""), hex(&wim.header().guid.0)),
            "Image Count" => assert_eq!(value, wim.image_count().to_string()),
            "Compression" => assert_eq!(value, wim.header().codec.to_string()),
            "Chunk Size" => assert_eq!(value, format!("{} bytes", wim.header().chunk_size)),
            "Index" => index = value.parse().unwrap(),
            "Name" => assert_eq!(Some(value), xml.unwrap().name.as_deref()),
            "Directory Count" => assert_eq!(value, number(xml.unwrap().dir_count)),
            "File Count" => assert_eq!(value, number(xml.unwrap().file_count)),
            "Total Bytes" => assert_eq!(value, number(xml.unwrap().total_bytes)),
            "Hard Link Bytes" => assert_eq!(value, number(xml.unwrap().hard_link_bytes)),
            _ => seen -= 1,
        }
    }
    assert!(seen >= 10, "info has changed:\n{info}");
    for index in 1..=wim.image_count() {
        let (image, xml) = (wim.image(index).unwrap(), wim.xml().image(index).unwrap());
        let directory = |id: u32| {
            let inode = image.inode(image.dentry(DentryId(id)).inode);
            inode.is_directory() && inode.reparse.is_none()
        };
        let (directories, files): (Vec<u32>, Vec<u32>) =
            (0..image.dentries().len() as u32).partition(|&id| directory(id));
        assert_eq!(xml.dir_count, Some(directories.len() as u64));
        assert_eq!(xml.file_count, Some(files.len() as u64));
        assert!(xml.creation_time.is_some() && xml.modification_time.is_some());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 30,000 names in a directory, 300 links, 60 streams, and a file with thousands of chunks of which parts are read in
/// any order; what no volume keeps (object ids, extended attributes); through wimlib's export.
#[test]
fn the_rich_images() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (fixture, options) in [
        (fixture::rich(), ["--compress=XPRESS", "--chunk-size=4096"]),
        (fixture::ids_and_attributes(), ["--compress=LZX", "--chunk-size=32768"]),
        (fixture::many(3000), ["--compress=LZX", "--chunk-size=65536"]),
    ] {
        let (plain, path) = (dir.path().join("plain.wim"), dir.path().join("exported.wim"));
        fixture.save(&plain);
        wimlib.run(args!["export", &plain, "1", &path, options[0], options[1]]);
        let wim = open(&path);
        let image = wim.image(1).unwrap();
        assert_eq!((wim.warnings(), image.warnings()), (&[][..], &[][..]));
        let Some(expected) = Tree::of_wim(&path, 1) else { return };
        expected.compare(&tree(&wim, &image)).assert_none();
        // And the file before wimlib had it.
        let before = open(&plain);
        let before = tree(&before, &before.image(1).unwrap());
        before.compare(&tree(&wim, &image)).assert_none();
        assert!(check(&wim).is_intact());
        if let Some(large) = image.lookup("large.bin") {
            let Some(StreamRef::Blob { id, .. }) = image.inode(image.dentry(large).inode).data else {
                panic!("no data")
            };
            any_range(&wim, id);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

/// Ranges of all sizes, in any order and in sequence, by one reader, against the whole that its hash vouches for.
fn any_range(wim: &Wim, id: BlobId) {
    let whole = wim.reader().read_all(id, u64::MAX).unwrap();
    assert_eq!(Sha1::digest(&whole)[..], wim.blob(id).sha1);
    let chunk = wim.chunk_size_of(id).unwrap() as usize;
    assert!(whole.len() / chunk > 2500, "more chunks than one window into the chunk table has");
    let mut reader = wim.reader();
    let mut random = Random::new(11);
    let mut buffer = vec![0; whole.len()];
    for round in 0..600 {
        let limit = [1, 16, chunk, 3 * chunk, 100 * chunk, whole.len()][round % 6];
        let start = match round % 5 {
            0 => random.below(whole.len() / chunk) * chunk,
            _ => random.below(whole.len()),
        };
        let len = (1 + random.below(limit)).min(whole.len() - start);
        reader.read_at(id, start as u64, &mut buffer[..len]).unwrap();
        assert!(buffer[..len] == whole[start..start + len], "{start} {len}");
    }
    for step in [777, chunk, 5 * chunk + 1] {
        for (start, part) in (0..).step_by(step).zip(whole.chunks(step)).take(20_000) {
            reader.read_at(id, start, &mut buffer[..part.len()]).unwrap();
            assert!(buffer[..part.len()] == *part);
        }
    }
    reader.read_at(id, whole.len() as u64, &mut []).unwrap();
    assert!(reader.read_at(id, whole.len() as u64, &mut [0]).is_err());
}

/// What wimlib can make of one file with two images: codecs, chunk sizes, solid or not, pipable, split.
fn matrix() -> Vec<Vec<&'static str>> {
    let codecs: [&[&str]; 9] = [
        &["--compress=none"],
        &["--compress=XPRESS", "--chunk-size=4096"],
        &["--compress=XPRESS", "--chunk-size=65536"],
        &["--compress=LZX", "--chunk-size=32768"],
        &["--compress=LZX", "--chunk-size=2097152"],
        &["--compress=LZMS", "--chunk-size=32768"],
        &["--compress=LZMS", "--chunk-size=131072"],
        &["--compress=LZMS", "--chunk-size=1048576"],
        &["--compress=LZX", "--check"],
    ];
    let solid: [&[&str]; 7] = [
        &[],
        &["--check"],
        &["--solid-chunk-size=32768"],
        &["--solid-compress=LZX", "--solid-chunk-size=32768"],
        &["--solid-compress=LZX", "--solid-chunk-size=2097152"],
        &["--solid-compress=XPRESS", "--solid-chunk-size=4096"],
        &["--compress=XPRESS", "--solid-compress=LZMS", "--solid-chunk-size=262144"],
    ];
    let mut all = Vec::new();
    for codec in codecs {
        all.push(codec.to_vec());
        all.push([codec, &["--pipable"]].concat());
        all.push([codec, &["split"]].concat());
    }
    all.extend(solid.iter().map(|solid| [&["--solid"], *solid].concat()));
    all
}

/// Everything that wimlib can write, with streams, links, reparse points and two images: wimlib, 7-Zip and this crate
/// find the same names with the same properties and hashes, and this crate finds the contents that the hashes name.
#[test]
fn the_matrix() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.wim");
    fixture::two_images().save(&plain);
    let expected: Vec<Tree> = (1..=2).filter_map(|index| Tree::of_wim(&plain, index)).collect();
    for options in matrix() {
        let path = dir.path().join("x.wim");
        let (split, options): (Vec<&str>, Vec<&str>) = options.iter().partition(|option| **option == "split");
        let what = format!("{options:?} {split:?}");
        wimlib.run(
            [
                &args!["export", "--quiet", &plain, "all", &path][..],
                &options.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>(),
            ]
            .concat(),
        );
        let parts = dir.path().join("parts");
        let wim = if split.is_empty() {
            open(&path)
        } else {
            std::fs::create_dir(&parts).unwrap();
            wimlib.run(args!["split", "--quiet", &path, &parts.join("x.swm"), "0.1"]);
            let files = std::fs::read_dir(&parts).unwrap().map(|entry| entry.unwrap().path());
            let sources: Vec<Source> =
                files.map(|path| Arc::new(File::open(path).unwrap()) as Source).collect();
            assert!(sources.len() > 2, "{what}");
            Wim::open_set(sources).unwrap()
        };
        assert_eq!(wim.image_count(), 2, "{what}");
        assert_eq!(wim.warnings(), [], "{what}");
        let solid = wim.blobs().iter().all(|blob| matches!(blob.storage, Storage::Solid { .. }));
        assert_eq!(solid, options.contains(&"--solid"), "{what}");
        let mut images = Vec::new();
        for (expected, index) in expected.iter().zip(1..) {
            let image = wim.image(index).unwrap();
            let found = tree(&wim, &image);
            expected.compare(&found).assert_none();
            same_as_listed(&wim, &image, &Listing::of_wim(&wimlib, &path, index));
            images.push(found);
        }
        let report = check(&wim);
        assert!(report.is_intact() && report.warnings.is_empty(), "{what}: {report:?}");
        // All contents once more, as a pass reads them: shared chunks, with little memory and with much.
        for memory in [0, 1 << 30] {
            wim.set_memory(memory);
            let mut reader = wim.reader();
            for (blob, id) in wim.blobs().iter().zip((0..).map(BlobId)) {
                let found = reader.read_all(id, u64::MAX).unwrap();
                assert_eq!(Sha1::digest(found)[..], blob.sha1, "{what}");
            }
        }
        if !split.is_empty() {
            // It finds the other parts by their names.
            same_as_seven_zip(&images, &parts.join("x.swm"), true);
            std::fs::remove_dir_all(&parts).unwrap();
        } else if !options.contains(&"--pipable") {
            same_as_seven_zip(&images, &path, false);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

/// What 7-Zip lists, and that it can decode all of it.
fn same_as_seven_zip(images: &[Tree], path: &Path, split: bool) {
    let Some(seven_zip) = tool("7zz") else { return };
    let text = if split {
        // It takes the end of the data in any part for that of the first, so that one must not be shorter.
        let part = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        part.set_len(part.metadata().unwrap().len() + (1 << 20)).unwrap();
        let run = |args: &[OsString]| {
            let output = seven_zip.command().args(args).output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let tested = run(&["t".into(), "-bd".into(), path.into()]);
        assert!(tested.contains("Everything is Ok") && tested.contains("Volumes = "), "{tested}");
        run(&["l".into(), "-slt".into(), "-ba".into(), "-sns-".into(), path.into()])
    } else {
        seven_zip.run(args!["t", "-bd", path]);
        seven_zip.text(args!["l", "-slt", "-ba", "-sns-", path])
    };
    let mut listed = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("Path = ") {
            name = Some(path.to_owned());
        } else if let Some(sha1) = line.strip_prefix("SHA-1 = ") {
            listed.insert(name.take().expect("its path comes before"), sha1.to_lowercase());
        }
    }
    let mut compared = 0;
    for (image, index) in images.iter().zip(1..) {
        for (path, node) in &image.nodes {
            let path = format!("{index}{}", testkit::tree::show(path));
            let sha1 = listed.get(path.trim_end_matches('/'));
            let sha1 = sha1.unwrap_or_else(|| panic!("7-Zip does not list {path}"));
            if node.reparse.is_none() && node.data != Hash::default() {
                assert_eq!(*sha1, hex(&node.data), "{path}");
                compared += 1;
            }
        }
    }
    assert!(compared > 100);
    assert!(listed.remove("[1].xml").is_some(), "7-Zip shows the XML data as a file");
    assert_eq!(listed.len(), images.iter().map(|image| image.nodes.len()).sum::<usize>());
}

/// Bytes of small solid and pipable files at random, and files cut anywhere: errors or the right content, no panic.
#[test]
fn damaged_solid_and_pipable_files() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = testkit::testdata("nano-small.wim");
    for options in [
        ["--solid", "--solid-compress=LZMS", "--solid-chunk-size=32768"],
        ["--solid", "--solid-compress=LZX", "--solid-chunk-size=32768"],
        ["--solid", "--solid-compress=XPRESS", "--solid-chunk-size=4096"],
        ["--pipable", "--compress=LZX", "--chunk-size=32768"],
    ] {
        let path = dir.path().join("x.wim");
        let [a, b, c] = options;
        wimlib.run(args!["export", "--quiet", &source, "all", &path, a, b, c]);
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let open = |bytes: &[u8]| Wim::open(Arc::new(bytes.to_vec()));
        let contents = open(&good).unwrap().blobs().iter().map(|blob| blob.offset).min().unwrap() as usize;
        let mut random = Random::new(9);
        let mut found = 0;
        for round in 0..150 {
            let mut bytes = good.clone();
            // A third in the first kilobytes, where the header and the chunk table of a solid resource are.
            let limit = if round % 3 == 0 { 1500 } else { bytes.len() - contents };
            let at = contents + random.below(limit.min(bytes.len() - contents));
            bytes[at] ^= 1 << random.below(8);
            let Ok(wim) = open(&bytes) else {
                found += 1;
                continue;
            };
            let report = check(&wim);
            found += u32::from(!report.is_intact());
            let mut reader = wim.reader();
            for (blob, id) in wim.blobs().iter().zip((0..).map(BlobId)) {
                let damaged = report.damaged.iter().any(|damage| damage.blob == id);
                let right =
                    reader.read_all(id, u64::MAX).is_ok_and(|found| Sha1::digest(found)[..] == blob.sha1);
                assert_eq!(damaged, !right, "{options:?} {at:#x}");
            }
        }
        assert!(found > 120, "{options:?}: {found}");
        for len in (0..good.len()).step_by(1009).chain(good.len() - 300..good.len()) {
            assert!(open(&good[..len]).is_err(), "{options:?}: {len} of {}", good.len());
        }
    }
}
