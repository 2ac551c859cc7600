//! Trees, and other people's tools that put them into images and read them out again.
#![allow(dead_code, reason = "every test uses a part")]

pub(crate) mod udf;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::ReadAt as _;
use testkit::content::{Random, program, text};
use testkit::{Tool, args, tool};
use wimforge_iso::{EntryKind, Iso, IsoFile, TreeKind};

/// Path with `/`, and content; `None` for a directory.
pub(crate) type Listing = BTreeMap<String, Option<Vec<u8>>>;

/// A folder shaped like a Windows medium, small, with what is hard for readers.
pub(crate) fn medium() -> Listing {
    let mut tree = Listing::new();
    let mut file = |path: &str, content: Vec<u8>| {
        for (at, _) in path.match_indices('/') {
            tree.insert(path[..at].to_owned(), None);
        }
        tree.insert(path.to_owned(), Some(content));
    };
    file("bootmgr", program(1, 5000));
    file("setup.exe", program(2, 70_000));
    file("sources/install.wim", Random::new(3).bytes(300_001));
    file("sources/boot.wim", Random::new(4).bytes(2048));
    file("sources/empty.txt", Vec::new());
    file("sources/$OEM$/$1/one.txt", b"1".to_vec());
    file("NanoServer/NanoServer.wim", Random::new(5).bytes(4096));
    file("NanoServer/Packages/en-us/Microsoft-NanoServer-Guest-Package_en-us.cab", text(6, 2047));
    file("efi/microsoft/boot/fonts/wgl4_boot.ttf", text(7, 2049));
    file("with space & more/Große Datei – Übersicht.txt", text(8, 100));
    file("日本語/ファイル.txt", text(9, 100));
    file("a/b/c/d/e/f/g/h/i/j/deep.txt", b"deep".to_vec());
    for number in 0..150 {
        file(
            &format!("many/a file with a long name, number {number:03}.dat"),
            vec![number; usize::from(number)],
        );
    }
    tree.insert("empty directory".to_owned(), None);
    tree
}

/// Writes a tree to the host.
pub(crate) fn write(tree: &Listing, root: &Path) {
    for (path, content) in tree {
        let place = root.join(path);
        match content {
            None => fs::create_dir_all(place).expect("a directory"),
            Some(content) => {
                fs::create_dir_all(place.parent().expect("below the root")).expect("a directory");
                fs::write(place, content).expect("a file");
            }
        }
    }
}

/// Reads a tree from the host.
pub(crate) fn read_host(root: &Path) -> Listing {
    let mut tree = Listing::new();
    let mut stack = vec![root.to_owned()];
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
            if path.is_dir() {
                stack.push(path);
                tree.insert(name, None);
            } else {
                tree.insert(name, Some(fs::read(path).expect("a file")));
            }
        }
    }
    tree
}

pub(crate) fn open(image: &Path) -> Iso {
    Iso::open(Arc::new(File::open(image).expect("the image"))).expect("an image")
}

pub(crate) fn open_tree(image: &Path, kind: TreeKind) -> Iso {
    Iso::open_tree(Arc::new(File::open(image).expect("the image")), kind).expect("the tree")
}

pub(crate) fn content(file: &IsoFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.size().expect("known")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("the file");
    bytes
}

/// Everything that our reader finds.
pub(crate) fn read_ours(iso: &Iso) -> Listing {
    let mut tree = Listing::new();
    let mut path: Vec<String> = Vec::new();
    for step in iso.walk(iso.root()) {
        let step = step.expect("a sound image");
        path.truncate(step.depth);
        path.push(step.entry.name());
        let name = path.join("/");
        let known = match step.entry.kind {
            EntryKind::Directory => None,
            EntryKind::File => {
                let bytes = content(&iso.file(&step.entry).expect("a file"));
                assert_eq!(bytes.len() as u64, step.entry.size, "{name}");
                Some(bytes)
            }
            other => panic!("{name} is {other:?}"),
        };
        assert!(tree.insert(name.clone(), known).is_none(), "{name} twice");
    }
    tree
}

/// Everything that 7-Zip extracts.
pub(crate) fn read_7zip(image: &Path, directory: &Path) -> Option<Listing> {
    let zip = tool("7zz")?;
    let mut out = std::ffi::OsString::from("-o");
    out.push(directory);
    zip.run(args!["x", "-y", &out, image]);
    Some(read_host(directory))
}

pub(crate) fn assert_same(found: &Listing, expected: &Listing) {
    let paths = |tree: &Listing| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(found), paths(expected));
    for (path, content) in expected {
        assert!(found[path] == *content, "{path} differs");
    }
}

/// A scratch folder with a tree in `tree`, and where an image of it goes.
pub(crate) struct Scratch {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) tree: PathBuf,
    pub(crate) image: PathBuf,
}

pub(crate) fn scratch(tree: &Listing) -> Scratch {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("tree");
    fs::create_dir(&place).expect("a folder");
    write(tree, &place);
    Scratch { tree: place, image: folder.path().join("image.iso"), folder }
}

/// genisoimage, if it is there, and what it writes for a tree with these options.
pub(crate) fn genisoimage(options: &[&str], scratch: &Scratch) -> Option<()> {
    let tool: Tool = tool("genisoimage")?;
    let mut command: Vec<&std::ffi::OsStr> =
        vec!["-quiet".as_ref(), "-input-charset".as_ref(), "utf-8".as_ref()];
    command.extend(options.iter().map(|option| std::ffi::OsStr::new(*option)));
    command.extend(args!["-o", &scratch.image, &scratch.tree]);
    tool.run(command);
    Some(())
}
