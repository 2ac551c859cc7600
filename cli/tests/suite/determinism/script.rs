//! Command lines and the digests of what they wrote: a text file, read, run and written.
//!
//! * `# name` begins a section, which is run in a folder of its own with all inputs;
//! * a line that is not indented is a command line of the program, after assignments for its environment;
//! * an indented line is a digest and the file that has it, `-` for standard output. What a command prints is compared
//!   when it wrote no file: reports of work say how long it took.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// What surrounds a run, none of which may matter.
pub(super) struct Surroundings {
    /// Where the folders of sections are made; the usual place for temporary files if empty.
    pub(super) place: PathBuf,
    /// Makes the inputs.
    pub(super) put_inputs: fn(&Path),
    /// A program that starts the program, with its arguments.
    pub(super) wrapper: Vec<OsString>,
    /// The whole environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Options for commands that do work.
    pub(super) resources: Vec<&'static str>,
    /// The sections to run; all if empty.
    pub(super) sections: Vec<&'static str>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            place: std::env::temp_dir(),
            put_inputs: super::put_inputs,
            wrapper: Vec::new(),
            environment: Vec::new(),
            resources: Vec::new(),
            sections: Vec::new(),
        }
    }
}

/// A command line, and what it wrote: names and digests.
#[derive(Debug)]
struct Step {
    line: String,
    wrote: BTreeMap<String, String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Script {
    sections: Vec<(String, Vec<Step>)>,
}

impl Script {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the script");
        let mut sections: Vec<(String, Vec<Step>)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(name) = line.strip_prefix("# ") {
                sections.push((name.to_owned(), Vec::new()));
                continue;
            }
            let steps = &mut sections.last_mut().expect("a section comes first").1;
            match line.strip_prefix("  ") {
                Some(found) => {
                    let (digest, name) = found.split_once("  ").expect("a digest and a name");
                    let step = steps.last_mut().expect("a command comes first");
                    step.wrote.insert(name.to_owned(), digest.to_owned());
                }
                None => steps.push(Step { line: line.to_owned(), wrote: BTreeMap::new() }),
            }
        }
        Self { sections }
    }

    pub(super) fn write(&self, path: &Path) {
        let mut text = String::new();
        for (name, steps) in &self.sections {
            let _ = writeln!(text, "{}# {name}", if text.is_empty() { "" } else { "\n" });
            for step in steps {
                let _ = writeln!(text, "{}", step.line);
                step.wrote.iter().for_each(|(name, digest)| {
                    let _ = writeln!(text, "  {digest}  {name}");
                });
            }
        }
        fs::write(path, text).expect("written");
    }

    /// Runs it, sections at the same time.
    #[track_caller]
    pub(super) fn run(&self, surroundings: &Surroundings) -> Self {
        let wanted = |name: &str| surroundings.sections.is_empty() || surroundings.sections.contains(&name);
        let sections = std::thread::scope(|scope| {
            let run = |steps| scope.spawn(move || run_section(steps, surroundings));
            let wanted = self.sections.iter().filter(|(name, _)| wanted(name));
            let running: Vec<_> = wanted.map(|(name, steps)| (name.clone(), run(steps))).collect();
            running
                .into_iter()
                .map(|(name, thread)| (name, thread.join().expect("a command failed; see above")))
                .collect()
        });
        Self { sections }
    }

    /// Where `found`, which may be a part of it, is something else.
    pub(super) fn differences(&self, found: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, steps) in &found.sections {
            let meant = self.sections.iter().find(|(known, _)| known == name);
            let (_, meant) = meant.expect("it was run from this one");
            for (meant, found) in meant.iter().zip(steps) {
                if meant.wrote != found.wrote {
                    let names: Vec<&str> =
                        meant.wrote.keys().chain(found.wrote.keys()).map(String::as_str).collect();
                    let mut names: Vec<&str> = names
                        .into_iter()
                        .filter(|&name| meant.wrote.get(name) != found.wrote.get(name))
                        .collect();
                    names.sort_unstable();
                    names.dedup();
                    differences.push(format!("  {name}: wimforge {}: {}", meant.line, names.join(", ")));
                }
            }
        }
        differences
    }
}

fn run_section(steps: &[Step], surroundings: &Surroundings) -> Vec<Step> {
    // The name is the same everywhere it matters, and another each time where it must not.
    let folder = tempfile::tempdir_in(&surroundings.place).expect("a folder");
    let place = folder.path().join("here");
    (surroundings.put_inputs)(&place);
    steps.iter().map(|step| run_step(&step.line, &place, surroundings)).collect()
}

fn run_step(line: &str, folder: &Path, surroundings: &Surroundings) -> Step {
    let is_assignment =
        |word: &str| word.split_once('=').is_some_and(|(name, _)| name == name.to_uppercase());
    let mut words = line.split_whitespace().peekable();
    let mut environment = surroundings.environment.clone();
    while let Some(assignment) = words.next_if(|word| is_assignment(word)) {
        let (name, value) = assignment.split_once('=').expect("checked above");
        environment.push((name.into(), value.into()));
    }
    let program = super::program();
    let mut command = match surroundings.wrapper.split_first() {
        None => program,
        Some((first, more)) => {
            let mut command = Command::new(first);
            command.args(more).arg(program.get_program()).args(program.get_args());
            command
        }
    };
    let does_work = words.peek().is_some_and(|word| ["build", "convert", "compact"].contains(word));
    command.args(words).args(surroundings.resources.iter().filter(|_| does_work));
    // Standard input is none, so that nothing can be asked of it.
    command.current_dir(folder).env_clear().envs(environment).stdin(std::process::Stdio::null());
    let before = files(folder);
    let output = command.output().expect("the program runs");
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "wimforge {line}: {:?}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let mut wrote = BTreeMap::new();
    for (path, state) in files(folder) {
        if before.get(&path) != Some(&state) {
            let name = path.strip_prefix(folder).expect("it lies there").to_str().expect("names of ours");
            wrote.insert(name.to_owned(), digest_of_file(&path));
        }
    }
    if wrote.is_empty() {
        wrote.insert("-".to_owned(), hex(&Sha256::digest(&output.stdout)));
    }
    Step { line: line.to_owned(), wrote }
}

/// All files below a folder, and what changes when they are written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt as _;

    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("metadata");
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                let state = (metadata.len(), metadata.modified().expect("a time"), metadata.ino());
                found.insert(entry.path(), state);
            }
        }
    }
    found
}

fn digest_of_file(path: &Path) -> String {
    let mut file = fs::File::open(path).expect("a file");
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece).expect("read") {
            0 => return hex(&hash.finalize()),
            len => hash.update(&piece[..len]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
