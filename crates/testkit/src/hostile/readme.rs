//! The README of `testdata/hostile`.

use std::fmt::Write;

use super::{Answer, CLASSES, Family, Fixture, fixtures};

const HEAD: &str = "\
# Hostile files

WIMs that no honest tool writes, one fault in each. They are what readers of this and related formats are known to
have stumbled over (wimlib, 7-Zip, libmspack, WIMGAPI), and every field that a reader could believe without asking.
Nothing here is from Microsoft or from anybody's program; all of it comes out of `crates/testkit/src/hostile`.

`cargo run -p wimforge-testkit --bin oracle -- hostile testdata/hostile` writes them again, this page included, and
`cargo test` compares: they are what the code says, byte for byte. Two tests read all of them:
`crates/wim/tests/it/hostile.rs` (open, walk, read, verify; the work that is done is counted) and
`cli/tests/suite/hostile.rs` (`info`, `ls`, `cat`, `extract`, `verify`, `build --dry-run`, in 3 GiB of address space).

What is expected:

* **refused**: it does not open; every command ends with this error (exit code 1, or 4 if it is unsupported: most
  commands know disks, too, and call a file with another signature unsupported).
* **no image**: `info` works; whatever needs the image ends with this error (1; 3 if a hash is wrong), `verify` with 3.
* **damaged**: one file's content cannot be had. `ls` lists everything, `cat` and `extract` get all other files;
  `extract` and `verify` end with 3 and name the file.
* **recovered**: all of it can be used (0). A warning says what was worked around, if there was anything.

`build --dry-run` ends as `ls` does, unless *build* says otherwise: a volume has rules that a listing does not have.
";

const TAIL: &str = "
What is too large for a file here is code: 100,000 solid resources in one run (`crates/wim/tests/it/solid.rs`),
directories 20,000 deep (`hostile::deep`, in `cli/tests/suite/bad_input.rs`), blobs around 4 GiB
(`crates/wim/tests/it/structures.rs`). Every truncation and every changed byte of small valid chunks is tried in
`crates/codec/tests`.
";

const IO: &str = "
No files, but code: a source that ends while it is read, or that fails at any offset
(`crates/wim/tests/it/hostile.rs`), reads that return less than was asked for (`crates/disk`), content beyond 4 GiB
(`crates/wim/tests/it/structures.rs`), a pipe and a directory instead of a file, a file that is cut while the program
reads it (`cli/tests/suite/hostile.rs`).
";

/// The page, in Markdown.
pub fn readme() -> String {
    let fixtures = fixtures();
    let mut page = HEAD.to_owned();
    for (class, (directory, title)) in CLASSES.iter().enumerate() {
        let _ = write!(page, "\n## {}. {title} (`{directory}`)\n", class + 1);
        if class + 1 == CLASSES.len() {
            page += IO;
            continue;
        }
        page += "\n| file | what is wrong | what a reader does that believes it | what wimforge answers |\n";
        page += "|---|---|---|---|\n";
        for fixture in fixtures.iter().filter(|fixture| fixture.class == class + 1) {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                files(fixture),
                cell(fixture.wrong),
                cell(fixture.naive),
                answer(fixture)
            );
        }
    }
    page += TAIL;
    page
}

fn files(fixture: &Fixture) -> String {
    if fixture.is_set() {
        let names: Vec<String> = fixture.files.iter().map(|(name, _)| format!("`{name}`")).collect();
        return format!("`{}/` {}", fixture.name, names.join(", "));
    }
    format!("`{}`", fixture.files[0].0)
}

fn answer(fixture: &Fixture) -> String {
    let of = |family| match family {
        Family::Malformed => "malformed",
        Family::Unsupported => "unsupported",
        Family::Limit => "limit",
        Family::Hash => "wrong hash",
        Family::MissingPart => "not found",
    };
    let mut text = match fixture.answer {
        Answer::Refused(family, words) => format!("refused, {}: {}", of(family), code(words)),
        Answer::NoImage(family, words) => format!("no image, {}: {}", of(family), code(words)),
        Answer::Damaged(words) => format!("damaged: {}", code(words)),
        Answer::Recovered("") => "recovered".to_owned(),
        Answer::Recovered(words) => format!("recovered: {}", code(words)),
    };
    if let Some(code) = fixture.build {
        let _ = write!(text, "; *build*: {code}");
    }
    text
}

fn code(words: &str) -> String {
    format!("`{}`", cell(words.trim()))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
