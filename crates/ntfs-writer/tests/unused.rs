//! What is unused of volumes that were lived on: all of it, and nothing else. Judged by ntfs-3g, its tools, sleuthkit, 7-Zip
//! and a Linux kernel.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "unused/lived.rs"]
mod lived;

use std::path::Path;
use std::sync::Arc;

use disk::ReadAt;
use sha1::{Digest as _, Sha1};
use testkit::{args, reader, tool};
use wimforge_ntfs_writer::check::{self, Code, check};
use wimforge_ntfs_writer::unused::{Error, Options, Unused, unused};

fn find(image: &[u8]) -> Result<Unused, Error> {
    find_with(image, &Options::default())
}

fn find_with(image: &[u8], options: &Options) -> Result<Unused, Error> {
    let source: Arc<dyn ReadAt> = Arc::new(image.to_vec());
    unused(&source, options)
}

/// Makes all of it zero.
fn apply(image: &mut [u8], unused: &Unused) {
    for range in &unused.ranges {
        image[range.start as usize..range.end as usize].fill(0);
    }
    for patch in &unused.patches {
        let at = patch.offset as usize;
        patch.apply(&mut image[at..at + patch.len as usize]).unwrap();
    }
}

/// Every block that sleuthkit takes for free, and what it finds behind the ends of files, is zero.
fn sleuthkit_finds_nothing(path: &Path) {
    let (Some(blkls), Some(fls)) = (tool("blkls"), tool("fls")) else { return };
    for (what, option) in [("free blocks", "-A"), ("ends of files", "-s")] {
        let output = blkls.run(args!["-f", "ntfs", option, path]);
        let byte = output.stdout.iter().position(|&byte| byte != 0);
        assert_eq!(byte, None, "{what}: of {} bytes", output.stdout.len());
    }
    let text = fls.text(args!["-r", "-p", "-d", "-f", "ntfs", path]);
    assert_eq!(text.lines().filter(|line| !line.contains("$Orphan")).count(), 0, "deleted names: {text}");
}

/// All that 7-Zip reads, as a hash. (It cannot read what ntfs-3g makes of sparse files, before as after.)
fn seven_zip(path: &Path) -> Option<(u64, Vec<u8>)> {
    let output = tool("7zz")?.command().args(args!["x", "-so", "-bd", "-x![SYSTEM]", path]).output().unwrap();
    assert!(output.stdout.len() > 1 << 20, "{}", String::from_utf8_lossy(&output.stderr));
    Some((output.stdout.len() as u64, Sha1::digest(&output.stdout).to_vec()))
}

/// The strictest check finds nothing behind the end of anything, but what attributes of files are padded with, and what
/// mirrored records have.
fn only_padding_is_left(image: &[u8], mirrored: u64) {
    let strict = check(&image, &check::Options::ours()).unwrap();
    let left = |finding: &&check::Finding| {
        finding.code == Code::Slack
            && !finding.text.contains("behind the mapping pairs")
            && finding.record.is_none_or(|record| record >= mirrored)
    };
    let left: Vec<_> = strict.findings.iter().filter(left).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn all_that_is_unused_and_nothing_else() {
    for (cluster, len) in [(4096, 96 << 20), (512, 64 << 20), (65_536, 128 << 20)] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("volume.img");
        let Some(()) = lived::volume(&path, len, cluster) else { return };
        let mut image = std::fs::read(&path).unwrap();
        let early = check(&image, &check::Options::default()).unwrap();
        assert!(early.is_clean(), "{early}");
        lived::poison(&mut image);
        std::fs::write(&path, &image).unwrap();
        let poisoned = check(&image, &check::Options::default()).unwrap();
        assert!(poisoned.is_clean(), "{poisoned}");
        let before = lived::everything(&path).unwrap();
        let seven = seven_zip(&path);
        let marks = lived::marks(&image);
        assert!(marks > 100_000, "{marks}");

        let found = find(&image).unwrap();
        apply(&mut image, &found);
        let left = lived::marks(&image);
        if left > 0 {
            let at = image.windows(8).position(|bytes| bytes == &lived::MARK[4..12]).unwrap();
            panic!("{left} marks of {marks}, the first at {at:#x} of {:#x}", image.len());
        }
        std::fs::write(&path, &image).unwrap();
        assert_eq!(lived::everything(&path).unwrap(), before);
        sleuthkit_finds_nothing(&path);
        reader::ntfsprogs(&path);
        assert_eq!(seven_zip(&path), seven);
        only_padding_is_left(&image, u64::from(cluster / 1024).max(4));
        assert!(check(&image, &check::Options::default()).unwrap().is_clean());
        // Others go on writing to it, into the blocks and records that were given back.
        if cluster == 4096 {
            if let Some(report) = testkit::kernel::ntfs3(&path, "many") {
                assert_eq!(report.complaints, Vec::<String>::new());
                let written = std::fs::read(report.written()).unwrap();
                let found = check(&written, &check::Options::default()).unwrap();
                assert!(found.is_clean(), "{found}");
            }
            for directory in ["few", "many"] {
                reader::ntfs_3g_writes(&path, directory);
            }
            reader::ntfsprogs(&path);
            let written = std::fs::read(&path).unwrap();
            let found = check(&written, &check::Options::default()).unwrap();
            assert!(found.is_clean(), "{found}");
        }
        let again = find(&image).unwrap();
        assert_eq!(again.ranges, found.ranges);
        assert!(again.patches.is_empty(), "{:?}", again.patches);
    }
}
