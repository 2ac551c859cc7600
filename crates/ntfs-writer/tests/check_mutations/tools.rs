//! What other people's tools say of a mutation.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Output;

use testkit::{Tool, args, reader::Mount, tool};
use wimforge_ntfs_writer::check::{Options, Report, Severity, check};

use super::image::Image;
use super::kernel;
use super::table::Mutation;

/// What a tool said: whether it complained, and what else it printed or gave.
pub struct Outcome {
    pub complained: bool,
    /// It would not go on at all.
    pub refused: bool,
    pub output: u64,
}

impl Outcome {
    /// In a word, beside what was said of the unchanged volume.
    const fn against(&self, normal: &Self) -> &'static str {
        if self.refused && !normal.refused {
            "refuses"
        } else if self.complained && !normal.complained {
            "yes"
        } else if self.output != normal.output {
            "differs"
        } else {
            "-"
        }
    }
}

/// A judge of volumes.
struct Judge {
    name: String,
    asks: &'static str,
    ask: Box<dyn Fn(&Path) -> Outcome>,
}

pub fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn simple(
    tool: Tool,
    arguments: &'static [&'static str],
    complaints: &'static [&'static str],
) -> Box<dyn Fn(&Path) -> Outcome> {
    Box::new(move |image| {
        let output = tool.command().args(arguments).arg(image).output().unwrap();
        let text = words(&output);
        let complained = !output.status.success() || complaints.iter().any(|word| text.contains(word));
        Outcome { complained, refused: false, output: hash(&output.stdout) }
    })
}

/// Mounts, lists, finds every name again and reads every byte.
fn ntfs_3g(image: &Path) -> Outcome {
    let mount = std::panic::catch_unwind(|| Mount::new(image, "ro"));
    let Ok(Some(mount)) = mount else { return Outcome { complained: true, refused: true, output: 0 } };
    let mut complained = false;
    let mut seen = Vec::new();
    let mut pending = vec![PathBuf::new()];
    let mut steps = 0;
    while let Some(directory) = pending.pop() {
        let Ok(entries) = mount.path().join(&directory).read_dir() else {
            complained = true;
            continue;
        };
        for entry in entries {
            let Ok(entry) = entry else {
                complained = true;
                break;
            };
            steps += 1;
            let path = directory.join(entry.file_name());
            let Ok(metadata) = entry.path().symlink_metadata() else {
                complained = true;
                continue;
            };
            let content = if metadata.is_file() {
                std::fs::read(entry.path()).map(hash).inspect_err(|_| complained = true).ok()
            } else {
                None
            };
            // A loop of directories has no end.
            if metadata.is_dir() && path.components().count() < 60 && steps < 20_000 {
                pending.push(path.clone());
            }
            seen.push((path, metadata.len(), content));
        }
    }
    seen.sort();
    Outcome { complained, refused: false, output: hash(seen) }
}

/// Lists and reads everything through libfsntfs.
const LIBFSNTFS: &str = r#"
import hashlib, sys
import pyfsntfs
volume = pyfsntfs.volume()
volume.open(sys.argv[1])
total = hashlib.md5()
steps = 0
def walk(entry, depth):
    global steps
    steps += 1
    if depth > 60 or steps > 20000 or depth == 1 and entry.name.startswith("$"):
        return
    total.update(repr((entry.name, entry.size)).encode())
    if not entry.has_directory_entries_index() and entry.size and entry.size < 1 << 24:
        entry.seek(0)
        while True:
            piece = entry.read(65536)
            if not piece:
                break
            total.update(piece)
    for i in range(entry.number_of_alternate_data_streams):
        stream = entry.get_alternate_data_stream(i)
        if stream.get_size() < 1 << 24:
            total.update(repr(stream.name).encode() + stream.read(stream.get_size()))
    for i in range(entry.number_of_sub_file_entries):
        walk(entry.get_sub_file_entry(i), depth + 1)
walk(volume.get_root_directory(), 0)
print(total.hexdigest())
"#;

fn judges(scratch: &Path) -> Vec<Judge> {
    let mut judges = Vec::new();
    let mut add = |name: &str, asks, ask| judges.push(Judge { name: name.into(), asks, ask });
    if let Some(path) = std::env::var_os("NTFSCK") {
        let run = move |image: &Path| {
            let output = std::process::Command::new(&path).arg("-n").arg(image).output().unwrap();
            Outcome { complained: !output.status.success(), refused: false, output: 0 }
        };
        add(
            "ntfsck",
            "`ntfsck -n` of ntfsprogs-plus, exit code",
            Box::new(run) as Box<dyn Fn(&Path) -> Outcome>,
        );
    }
    if let Some(fix) = tool("ntfsfix") {
        let complaints = &["FAILED", "ERROR", "differ", "would", "corrupt"];
        add("ntfsfix", "`ntfsfix -n`", simple(fix, &["-n"], complaints));
    }
    if tool("ntfs-3g").is_some() && Path::new("/dev/fuse").exists() {
        add("ntfs-3g", "`mount -o ro`: list, stat every name, read every byte", Box::new(ntfs_3g));
    }
    if let Some(seven_zip) = tool("7zz") {
        let run = move |image: &Path| {
            let test = seven_zip.command().args(args!["t", image]).output().unwrap();
            let list = seven_zip.command().args(args!["l", "-slt", image]).output().unwrap();
            let text = words(&test);
            let complained = !test.status.success() || text.contains("WARNING") || text.contains("ERROR");
            Outcome { complained, refused: text.contains("Cannot open"), output: hash(&list.stdout) }
        };
        add("7zz", "`7zz t`, `7zz l -slt`", Box::new(run));
    }
    if let Some(fls) = tool("fls") {
        let run = move |image: &Path| {
            let output = fls.command().args(args!["-r", "-p", "-f", "ntfs", image]).output().unwrap();
            let complained = !output.status.success() || !output.stderr.is_empty();
            let refused = output.stdout.is_empty();
            Outcome { complained, refused, output: hash(&output.stdout) }
        };
        add("sleuthkit", "`fls -r -p`", Box::new(run));
    }
    if let Some(python) = std::env::var_os("LIBFSNTFS_PYTHON") {
        let script = scratch.join("libfsntfs.py");
        std::fs::write(&script, LIBFSNTFS).unwrap();
        let run = move |image: &Path| {
            let output = std::process::Command::new(&python).arg(&script).arg(image).output().unwrap();
            Outcome { complained: !output.status.success(), refused: false, output: hash(&output.stdout) }
        };
        add("libfsntfs", "Python: list, read every stream", Box::new(run));
    }
    judges
}

fn ours(report: &Report, mutation: &Mutation) -> String {
    let of = |severity| report.findings.iter().any(|f| f.severity == severity && f.code == mutation.code);
    let severity =
        [Severity::Error, Severity::Warning, Severity::Note].into_iter().find(|&severity| of(severity));
    severity.map_or("-".into(), |severity| severity.to_string())
}

pub fn table(base: &Image, mutations: &[Mutation]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("volume.img");
    let judges = judges(scratch.path());
    let ask_all = |bytes: &[u8]| -> Vec<Outcome> {
        judges
            .iter()
            .map(|judge| {
                // Some of them write, whatever they are told.
                std::fs::write(&file, bytes).unwrap();
                (judge.ask)(&file)
            })
            .collect()
    };
    let normal = ask_all(&base.bytes);
    let images: Vec<Vec<u8>> = std::iter::once(base.bytes.clone())
        .chain(mutations.iter().map(|mutation| {
            let mut image = base.clone();
            (mutation.apply)(&mut image);
            image.bytes
        }))
        .collect();
    let kernel = kernel::ntfs3(&images, scratch.path());
    let mut text = String::from(INTRODUCTION);
    text += "\n| mutation | code | wimforge | of unknown origin |";
    for judge in &judges {
        write!(text, " {} |", judge.name).unwrap();
    }
    text += " ntfs3 |\n|--|--|--|--|";
    text += &"--|".repeat(judges.len() + 1);
    text.push('\n');
    let mut seen = vec![0; judges.len() + 1];
    let mut alone = 0;
    for (number, (mutation, image)) in mutations.iter().zip(&images[1..]).enumerate() {
        let strict = check(image, &Options::ours()).unwrap();
        let plain = check(image, &Options::default()).unwrap();
        let (strict, plain) = (ours(&strict, mutation), ours(&plain, mutation));
        write!(text, "| {} | `{}` | {strict} | {plain} |", mutation.what, mutation.code).unwrap();
        let mut said: Vec<&str> =
            ask_all(image).iter().zip(&normal).map(|(outcome, normal)| outcome.against(normal)).collect();
        said.push(kernel.as_ref().map_or("not run", |kernel| kernel[number + 1].against(&kernel[0])));
        for (word, seen) in said.iter().zip(&mut seen) {
            *seen += usize::from(matches!(*word, "refuses" | "yes"));
            write!(text, " {word} |").unwrap();
        }
        alone += usize::from(!said.iter().any(|word| matches!(*word, "refuses" | "yes")));
        text.push('\n');
    }
    write!(text, "| **reported, of {}** | | {} | |", mutations.len(), mutations.len()).unwrap();
    for count in &seen {
        write!(text, " {count} |").unwrap();
    }
    text += "\n\n";
    writeln!(text, "{alone} of the {} mutations are reported by none of the other tools.\n", mutations.len())
        .unwrap();
    text += "How each tool was asked:\n\n";
    for (judge, normal) in judges.iter().zip(&normal) {
        let base = if normal.complained { " (complains of the unchanged volume, too)" } else { "" };
        writeln!(text, "- {}: {}{base}", judge.name, judge.asks).unwrap();
    }
    text += match kernel {
        Some(_) => {
            "- ntfs3: Linux in QEMU, `mount -t ntfs3 -o ro`: hash every file, list; the kernel's messages\n  (built without WOF, \
             it cannot read the file of that kind, in the unchanged volume either)\n"
        }
        None => "- ntfs3: not run, for want of the kernel that `crates/testkit/fetch-kernel.sh` fetches\n",
    };
    text
}

const INTRODUCTION: &str = "# What checkers of NTFS see

Each line is one change to a volume that this project wrote: one field, or one entry, with the fixups made right again.
`wimforge check` must name each by the code in the second column; `crates/ntfs-writer/tests/check_mutations.rs` proves
that. The third column is its severity for volumes that wimforge made itself, the fourth for volumes of unknown origin,
where what volumes of Windows also have is a note or not looked at.

The other columns: **yes**, the tool reports an error; **refuses**, it does not open the volume; **differs**, it says
nothing, but lists or reads something else than before, or notices a changed time; **-**, no difference at all.

The table is written by `scripts/ntfs-checkers`.
";
