//! The files of `testdata/hostile`: what each is answered with, and that it takes no more work than it deserves.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use testkit::hostile::{self, Answer, Family, Fixture};
use wimforge_wim::verify::{self, Progress, Report};
use wimforge_wim::{Error, Source, StreamRef, Wim};

/// The committed files are what the code makes: neither changes without the other.
#[test]
fn committed_files_are_what_the_code_makes() {
    let directory = testkit::testdata("hostile");
    let again = "`cargo run -p wimforge-testkit --bin oracle -- hostile testdata/hostile` writes them";
    let mut expected: Vec<_> = Vec::new();
    for fixture in hostile::fixtures() {
        for (path, (_, bytes)) in fixture.paths().iter().zip(&fixture.files) {
            let path = directory.join(path);
            let found =
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; {again}", path.display()));
            assert!(found == *bytes, "{} is not what the code makes; {again}", path.display());
            expected.push(path);
        }
    }
    let readme = directory.join("README.md");
    assert!(fs::read_to_string(&readme).unwrap() == hostile::readme(), "the README; {again}");
    expected.push(readme);
    expected.sort();
    let mut found = Vec::new();
    list(&directory, &mut found);
    found.sort();
    assert_eq!(found, expected, "nothing else is there");
}

fn list(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, found) } else { found.push(path) }
    }
}

fn open(fixture: &Fixture) -> Result<Wim, Error> {
    let sources =
        fixture.files.iter().map(|(_, bytes)| Arc::new(bytes.clone()) as Source).collect::<Vec<_>>();
    // A single part is what the command line opens, too, after it looked for the others.
    match sources.len() {
        1 if fixture.class != 10 => Wim::open(sources.into_iter().next().unwrap()),
        _ => Wim::open_set(sources),
    }
}

fn family(error: &Error) -> Option<Family> {
    match error.root() {
        Error::Malformed { .. } => Some(Family::Malformed),
        Error::Unsupported { .. } => Some(Family::Unsupported),
        Error::Limit { .. } => Some(Family::Limit),
        Error::Hash { .. } => Some(Family::Hash),
        Error::MissingPart { .. } => Some(Family::MissingPart),
        _ => None,
    }
}

fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        text += &format!(": {source}");
        cause = source;
    }
    text
}

/// Verifies with a budget of 1 MiB: whatever needs more goes one by one. The work is what the blob table says, once.
fn check(wim: &Wim) -> Report {
    wim.set_memory(1 << 20);
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap();
    assert!(checked.into_inner() <= verify::total_bytes(wim));
    report
}

/// Reads every file of every image, as far as it goes: how many there are, and what is wrong with some.
fn walk(wim: &Wim) -> (usize, Vec<String>) {
    let (mut files, mut wrong) = (0, Vec::new());
    let mut reader = wim.reader();
    for index in 1..=wim.image_count() {
        let Ok(image) = wim.image(index) else { continue };
        for inode in image.inodes() {
            for stream in inode.streams() {
                files += 1;
                match stream {
                    StreamRef::Empty => {}
                    StreamRef::Missing(sha1) => wrong.push(format!("missing {sha1:02x?}")),
                    StreamRef::Blob { id: blob, .. } => {
                        // All kinds of ranges; sizes are claims, so no buffer is made for them.
                        let size = wim.blob(*blob).size;
                        for start in [0, size / 2, size.saturating_sub(7)] {
                            let mut buffer = vec![0; (size - start).min(4096) as usize];
                            wrong.extend(reader.read_at(*blob, start, &mut buffer).err().map(|e| text(&e)));
                        }
                    }
                }
            }
        }
    }
    (files, wrong)
}

#[test]
fn answers() {
    let mut problems = Vec::new();
    for fixture in hostile::fixtures() {
        let name = format!("{}: {}", fixture.class, fixture.name);
        if let Err(problem) = answer(fixture) {
            problems.push(format!("{name}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn answer(fixture: &Fixture) -> Result<(), String> {
    let ensure = |condition: bool, found: &dyn std::fmt::Debug| {
        if condition { Ok(()) } else { Err(format!("{:?}, found {found:?}", fixture.answer)) }
    };
    let wim = match (open(fixture), fixture.answer) {
        (Err(error), Answer::Refused(expected, words)) => {
            // Which part is missing when one is there twice, only who looked for files can say.
            let same = family(&error) == Some(expected)
                || (expected == Family::MissingPart && matches!(error, Error::Part { .. }));
            let says = text(&error).contains(words) || expected == Family::MissingPart;
            return ensure(same && says, &text(&error));
        }
        (Err(error), _) => return ensure(false, &text(&error)),
        (Ok(wim), _) => wim,
    };
    let (files, wrong) = walk(&wim);
    let report = check(&wim);
    let of_images = report.images.iter().flat_map(|image| &image.warnings);
    let warnings: Vec<String> = report.warnings.iter().chain(of_images).map(ToString::to_string).collect();
    match fixture.answer {
        Answer::Refused(..) => ensure(false, &"it opens"),
        Answer::NoImage(expected, words) => {
            ensure(!report.is_intact(), &report)?;
            let error = wim.image(1).map(drop).expect_err("that is what the answer says");
            ensure(family(&error) == Some(expected) && text(&error).contains(words), &text(&error))
        }
        Answer::Damaged(words) => {
            ensure(report.images.iter().all(|image| image.dentries.is_ok()), &report)?;
            ensure(report.damaged.len() + report.missing.len() == 1, &report)?;
            ensure(files > 1, &files)?;
            ensure(!wrong.is_empty() && wrong.len() <= 3, &wrong)?;
            let found = match (&report.damaged[..], &report.missing[..]) {
                ([damage], _) => text(&damage.error),
                (_, missing) => {
                    let sha1: String = missing[0].sha1.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("content with SHA-1 {sha1}")
                }
            };
            ensure(found.contains(words), &found)
        }
        Answer::Recovered(words) => {
            ensure(report.is_intact() && wrong.is_empty(), &(&report, &wrong))?;
            let said = warnings.iter().any(|warning| warning.contains(words));
            ensure(if words.is_empty() { true } else { said }, &warnings)
        }
    }
}

/// A file that ends, or fails, while it is read: errors, never old bytes.
struct Shrinking {
    bytes: Vec<u8>,
    /// Reads that are still answered in full; then the file has this length.
    reads: AtomicUsize,
    then: usize,
}

impl disk::ReadAt for Shrinking {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let left = self.reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let len = if left.is_ok() { self.bytes.len() } else { self.then };
        self.bytes[..len].read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        // As it was when it was opened.
        Ok(self.bytes.len() as u64)
    }
}

#[test]
fn files_that_end_while_they_are_read() {
    let bytes = fs::read(testkit::testdata("nano-small.wim")).unwrap();
    let good = Wim::open(Arc::new(bytes.clone())).unwrap();
    let names = good.image(1).unwrap().dentries().len();
    let (mut refused, mut found) = (0, 0);
    for reads in 0..12 {
        for then in [0, 100, 208, 5000, bytes.len() / 2, bytes.len() - 1] {
            let source = Shrinking { bytes: bytes.clone(), reads: reads.into(), then };
            let wim = match Wim::open(Arc::new(source)) {
                Ok(wim) => wim,
                Err(error) => {
                    assert!(matches!(error, Error::Io { .. }), "{error}");
                    refused += 1;
                    continue;
                }
            };
            match wim.image(1) {
                Ok(image) => assert_eq!(image.dentries().len(), names),
                Err(error) => assert!(matches!(error.root(), Error::Io { .. }), "{error}"),
            }
            let report = check(&wim);
            for damage in &report.damaged {
                assert!(matches!(damage.error, Error::Io { .. }), "{}", damage.error);
            }
            found += usize::from(!report.is_intact());
        }
    }
    assert!(refused > 10 && found > 10, "{refused} {found}");
}
