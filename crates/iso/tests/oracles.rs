//! Images that other people's programs write, read by ours and by 7-Zip.

mod common;

use common::*;
use disk::ReadAt as _;
use testkit::{args, tool};
use wimforge_iso::TreeKind;

#[test]
fn udf_of_genisoimage_is_read_as_7zip_reads_it() {
    let tree = medium();
    let scratch = scratch(&tree);
    if genisoimage(&["-udf", "-iso-level", "3", "-D", "-V", "SSS_X64FREE_EN-US"], &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    assert_eq!((iso.tree_kind(), iso.version(), iso.label()), (TreeKind::Udf, "1.02", "SSS_X64FREE_EN-US"));
    assert_eq!(iso.trees(), [TreeKind::Udf, TreeKind::Iso9660]);
    assert_same(&read_ours(&iso), &tree);
    let Some(theirs) = read_7zip(&scratch.image, &scratch.folder.path().join("out")) else { return };
    assert_same(&theirs, &tree);
    // Every file lies in one piece, where its bytes are.
    let file = iso.file(&iso.find("SOURCES\\Install.WIM").unwrap().unwrap()).unwrap();
    let range = file.contiguous().unwrap();
    let image = std::fs::read(&scratch.image).unwrap();
    let wim = tree["sources/install.wim"].as_deref().unwrap();
    assert_eq!(&image[range.start as usize..range.end as usize], wim);
}

/// What Windows media look like: all files in UDF, and in ISO 9660 only a text that says so. To genisoimage, what is
/// hidden from Joliet is hidden from UDF.
#[test]
fn hidden_iso9660_tree() {
    let tree = medium();
    let mut both = tree.clone();
    both.insert("README.TXT".to_owned(), Some(b"This disc contains a \"UDF\" file system".to_vec()));
    let scratch = scratch(&both);
    let mut options = vec!["-udf", "-iso-level", "3", "-D", "-hide-joliet", "README.TXT"];
    for name in tree.keys().filter(|path| !path.contains('/')) {
        options.extend(["-hide", name]);
    }
    if genisoimage(&options, &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    assert_eq!(iso.tree_kind(), TreeKind::Udf);
    assert!(iso.reason().contains("UDF before"), "{}", iso.reason());
    assert_same(&read_ours(&iso), &tree);
    let stub = open_tree(&scratch.image, TreeKind::Iso9660);
    assert_eq!(read_ours(&stub).into_keys().collect::<Vec<_>>(), ["README.TXT"]);
    assert!(iso.find("README.TXT").unwrap().is_none());
    assert_eq!(read_ours(&open_tree(&scratch.image, TreeKind::Udf)).len(), tree.len());
}

#[test]
fn joliet_of_genisoimage() {
    let tree = medium();
    let scratch = scratch(&tree);
    if genisoimage(&["-J", "-joliet-long", "-D", "-V", "A label"], &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    assert_eq!((iso.tree_kind(), iso.version(), iso.label()), (TreeKind::Joliet, "level 3", "A label"));
    assert_eq!(iso.trees(), [TreeKind::Joliet, TreeKind::Iso9660]);
    assert_same(&read_ours(&iso), &tree);
    let Some(theirs) = read_7zip(&scratch.image, &scratch.folder.path().join("out")) else { return };
    assert_same(&theirs, &tree);
    assert!(iso.find("sources/INSTALL.WIM").unwrap().is_some());
    assert!(iso.find("sources/install.wim/x").unwrap().is_none());
    assert!(iso.find("日本語/ファイル.TXT").unwrap().is_some());
}

/// Rock Ridge with directories deeper than eight levels: genisoimage moves them, xorriso is told to do it.
#[test]
fn rock_ridge_of_genisoimage() {
    let tree = medium();
    let scratch = scratch(&tree);
    if genisoimage(&["-R"], &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    assert_eq!(iso.trees(), [TreeKind::RockRidge, TreeKind::Iso9660]);
    let mut ours = read_ours(&iso);
    assert_eq!(ours.remove("rr_moved"), Some(None), "the directory that the moved ones lie in");
    assert_same(&ours, &tree);
    let deep = iso.find("a/b/c/d/e/f/g/h/i/j/deep.txt").unwrap().unwrap();
    assert!(deep.modified.is_some());
}

#[test]
fn plain_names_of_genisoimage() {
    let mut tree = medium();
    tree.retain(|path, _| path.is_ascii() && path.matches('/').count() < 4 && !path.contains("a file"));
    let scratch = scratch(&tree);
    if genisoimage(&["-iso-level", "1"], &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    assert_eq!(iso.trees(), [TreeKind::Iso9660]);
    let ours = read_ours(&iso);
    assert_eq!(ours.len(), tree.len());
    assert_eq!(ours["SOURCES/INSTALL.WIM"], tree["sources/install.wim"]);
    assert_eq!(ours["BOOTMGR"], tree["bootmgr"], "without the dot that the standard wants");
    let Some(theirs) = read_7zip(&scratch.image, &scratch.folder.path().join("out")) else { return };
    assert_same(&ours, &theirs);
}

/// What tools for remastering write: no UDF, files of several extents.
#[test]
fn xorriso_trees() {
    let Some(xorriso) = tool("xorriso") else { return };
    let tree = medium();
    let scratch = scratch(&tree);
    let image = |options: &[&str]| {
        let _ = std::fs::remove_file(&scratch.image);
        let mut command: Vec<&std::ffi::OsStr> =
            ["-as", "mkisofs", "-quiet"].map(std::ffi::OsStr::new).to_vec();
        command.extend(options.iter().map(|option| std::ffi::OsStr::new(*option)));
        command.extend(args!["-o", &scratch.image, &scratch.tree]);
        xorriso.run(command);
        open(&scratch.image)
    };
    let joliet = image(&["-J", "-joliet-long", "-iso-level", "3"]);
    assert_eq!(joliet.trees(), [TreeKind::Joliet, TreeKind::RockRidge, TreeKind::Iso9660]);
    assert_same(&read_ours(&joliet), &tree);
    assert_same(&read_ours(&open_tree(&scratch.image, TreeKind::RockRidge)), &tree);
    if let Some(theirs) = read_7zip(&scratch.image, &scratch.folder.path().join("out")) {
        assert_same(&read_ours(&joliet), &theirs);
    }
    let rock_ridge = image(&["-R"]);
    assert_eq!(rock_ridge.tree_kind(), TreeKind::RockRidge);
    assert_same(&read_ours(&rock_ridge), &tree);
}

/// Volumes of mkudffs, of every version and block size that it makes, all of which nobody has put a file in.
#[test]
fn empty_volumes_of_mkudffs() {
    let Some(mkudffs) = tool("mkudffs") else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("x.udf");
    let mut opened = 0;
    for media in ["hd", "dvd", "cdrom"] {
        for revision in ["1.01", "1.02", "1.50", "2.00", "2.01", "2.50", "2.60"] {
            for block in ["512", "1024", "2048", "4096"] {
                let _ = std::fs::remove_file(&image);
                std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
                let (media, udfrev, blocksize) = (
                    format!("--media-type={media}"),
                    format!("--udfrev={revision}"),
                    format!("--blocksize={block}"),
                );
                let made = mkudffs
                    .command()
                    .args([&*media, &*udfrev, &*blocksize, "--label=Übung"])
                    .arg(&image)
                    .output()
                    .unwrap();
                if !made.status.success() {
                    continue;
                }
                opened += 1;
                let iso = open(&image);
                assert_eq!((iso.tree_kind(), iso.version(), iso.label()), (TreeKind::Udf, revision, "Übung"));
                let names = read_ours(&iso).into_keys().collect::<Vec<_>>();
                assert!(names.is_empty() || names == ["lost+found"], "{names:?}");
            }
        }
    }
    assert!(opened >= 12, "{opened} volumes");
}

#[test]
fn reads_do_not_go_past_files() {
    let tree = medium();
    let scratch = scratch(&tree);
    if genisoimage(&["-udf"], &scratch).is_none() {
        return;
    }
    let iso = open(&scratch.image);
    let file = iso.file(&iso.find("sources/boot.wim").unwrap().unwrap()).unwrap();
    assert_eq!(file.size().unwrap(), 2048);
    assert!(file.read_exact_at(&mut [0; 2], 2047).is_err());
    assert!(file.read_exact_at(&mut [0; 2], u64::MAX).is_err());
    assert!(iso.file(iso.root()).is_err());
    assert_eq!(iso.find("").unwrap().unwrap().name(), "");
    assert_eq!(iso.find("/./sources//").unwrap().unwrap().name(), "sources");
    assert!(iso.find("sources/..").unwrap().is_none());
}
