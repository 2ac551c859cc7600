//! Every operation of a scene fails, in every way that fits it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use testkit::faults::{
    Action, Class, EACCES, EINTR, EIO, EMFILE, ENOSPC, Fault, SIGINT, SIGKILL, SIGTERM, Seen,
};

use crate::folder::{self, Contents};
use crate::inputs::{Inputs, PROGRAM, inputs, scratch};
use crate::judge::{self, Verdict};
use crate::scene::Scene;

/// No run takes a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// About how many faults a test run tries of a scene, besides the first and the last of each kind.
const SAMPLE: u64 = 50;
/// How many of each kind, at either end, are tried when a number of them was asked for.
const ENDS: u64 = 10;

/// How a run ended, and what it left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) after: Contents,
    pub(crate) seen: Seen,
}

/// A scene that is set.
pub(crate) struct Stage<'a> {
    pub(crate) scene: &'a Scene,
    inputs: &'a Inputs,
    folder: tempfile::TempDir,
    pub(crate) before: Contents,
    /// What there is after the command ran twice.
    twice: OnceCell<Contents>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(scene: &'a Scene, inputs: &'a Inputs) -> Self {
        let folder = scratch();
        for input in scene.inputs {
            let (name, from) = input.split_once('=').unwrap_or((input, input));
            let to = folder.path().join(name);
            std::fs::copy(inputs.path(from), &to).expect(from);
            // Not what a new file gets.
            std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o640)).expect("a mode");
        }
        let before = folder::read(folder.path());
        Self { scene, inputs, folder, before, twice: OnceCell::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path of the folder, from there on.
    pub(crate) fn name_of<'p>(&self, path: &'p Path) -> Cow<'p, str> {
        let folder = self.folder().canonicalize().expect("a folder");
        path.strip_prefix(folder).unwrap_or(path).to_string_lossy()
    }

    /// What there is after the command ran on its own result. The folder is left as that.
    pub(crate) fn twice(&self, reference: &Ended) -> &Contents {
        self.twice.get_or_init(|| {
            let now = folder::read(self.folder());
            folder::restore(self.folder(), &now, &reference.after);
            let again = self.run(None, self.scene.args);
            let after = again.after.clone();
            folder::restore(self.folder(), &after, &now);
            assert_eq!(again.code, Some(0), "{}: {}", self.scene.name, again.stderr);
            after
        })
    }

    /// Runs the command from the beginning, and reads what it leaves.
    pub(crate) fn run(&self, fault: Option<Fault>, args: &[&str]) -> Ended {
        // As `/proc/self/fd` names it.
        let folder = self.folder().canonicalize().expect("a folder");
        let victim = self.scene.victim.map(|victim| folder.join(victim));
        // In the same folder, since renaming needs the same file system.
        let other = folder.join("swapped");
        if fault.is_some_and(|fault| fault.action == Action::Swap) {
            std::fs::copy(self.inputs.path("copied.bin"), &other).expect("a file");
        }
        // Another one for each stage: tests of the same scene run at the same time.
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let name = name.as_str();
        let victim = victim.as_deref().map(|victim| (victim, &*other));
        let environment = self.inputs.shim.environment(name, &folder, fault, victim);
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.args(args).current_dir(&folder).envs(environment).timeout(PATIENCE);
        command.env("LC_ALL", "C").env("TMPDIR", &folder);
        let output = command.output().expect("the program runs");
        let _ = std::fs::remove_file(&other);
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            after: folder::read(self.folder()),
            seen: self.inputs.shim.seen(name),
        }
    }

    /// Makes the folder what it was before the command.
    pub(crate) fn restore(&self, now: &Contents) {
        folder::restore(self.folder(), now, &self.before);
    }
}

/// What fits a class, besides `EIO`, a dying device and signals, which fit all.
const FITTING: &[(Class, &[Action])] = &[
    (Class::Read, &[Action::Half, Action::Error(EINTR)]),
    (Class::Write, &[Action::Half, Action::Error(EINTR), Action::Error(ENOSPC), Action::Full]),
    (Class::Open, &[Action::Error(EMFILE), Action::Error(EACCES), Action::Error(EINTR)]),
    (Class::Sync, &[Action::Error(ENOSPC), Action::Error(EINTR)]),
    (Class::Rename, &[Action::Error(EACCES), Action::Error(ENOSPC)]),
    (Class::Truncate, &[Action::Error(ENOSPC), Action::Error(EINTR)]),
    (Class::Make, &[Action::Error(ENOSPC), Action::Error(EACCES)]),
    (Class::Unlink, &[Action::Error(EACCES)]),
    (Class::Dup, &[Action::Error(EMFILE)]),
];

/// All faults of a scene.
fn faults(scene: &Scene, seen: &Seen) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |class: Option<Class>, count: u64, action: Action| {
        faults.extend((1..=count).map(|n| Fault { class, n, action }));
    };
    for class in Class::ALL {
        add(Some(class), seen.count(class), Action::Error(EIO));
    }
    for (class, actions) in FITTING {
        actions.iter().for_each(|&action| add(Some(*class), seen.count(*class), action));
    }
    for action in
        [Action::ErrorFrom(EIO), Action::Signal(SIGKILL), Action::Signal(SIGTERM), Action::Signal(SIGINT)]
    {
        add(None, seen.any, action);
    }
    if scene.victim.is_some() {
        for action in [Action::Shrink, Action::Grow, Action::Scribble, Action::Swap] {
            add(Some(Class::Read), seen.count(Class::Read), action);
        }
    }
    faults
}

/// An even sample of about `len`, different for each scene and the same every time: of each kind the first and the last
/// `ends`, and every k-th of all.
fn sample(scene: &Scene, faults: &[Fault], len: u64, ends: u64) -> Vec<Fault> {
    let step = (faults.len() as u64).div_ceil(len).max(1);
    let offset = scene.name.bytes().map(u64::from).sum::<u64>();
    let kind = |fault: &Fault| (fault.class, fault.action);
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    faults.iter().for_each(|fault| *counts.entry(kind(fault)).or_default() += 1);
    let chosen = |&(at, fault): &(u64, &Fault)| {
        fault.n <= ends || fault.n + ends > counts[&kind(fault)] || (at + offset).is_multiple_of(step)
    };
    (0..).zip(faults).filter(chosen).map(|(_, fault)| *fault).collect()
}

/// Those that are tried: all, about as many as asked for, or a few.
fn tried(scene: &Scene, faults: Vec<Fault>) -> Vec<Fault> {
    match std::env::var("WIMFORGE_FAULTS") {
        Ok(all) if all == "all" => faults,
        Ok(len) => {
            let len = len.parse().expect("WIMFORGE_FAULTS is `all` or a number");
            if faults.len() as u64 <= len { faults } else { sample(scene, &faults, len, ENDS) }
        }
        Err(_) => sample(scene, &faults, SAMPLE, 1),
    }
}

/// Lets a scene fail, and judges what is left each time.
pub(crate) fn campaign(scene: Scene) {
    let Some(inputs) = inputs() else { return };
    let stage = Stage::new(&scene, inputs);
    let reference = stage.run(None, scene.args);
    assert_eq!(reference.code, Some(0), "{}: {}", scene.name, reference.stderr);
    stage.restore(&reference.after);
    let again = stage.run(None, scene.args);
    assert_eq!(
        folder::differences(&reference.after, &again.after),
        [""; 0],
        "{} is not determined",
        scene.name
    );
    stage.restore(&again.after);

    let faults = faults(&scene, &reference.seen);
    let there_are = faults.len();
    let mut wrong = Vec::new();
    let mut ends: BTreeMap<String, BTreeMap<Verdict, u64>> = BTreeMap::new();
    for fault in tried(&scene, faults) {
        let ended = stage.run(Some(fault), scene.args);
        let verdict = judge::judge(&stage, &reference, fault, &ended);
        let kind = format!("{}:{}", fault.class.map_or("any", Class::name), judge::action(fault.action));
        match verdict {
            Ok(verdict) => *ends.entry(kind).or_default().entry(verdict).or_default() += 1,
            Err(what) => {
                let hit = ended.seen.hit.map(|(class, path)| format!("{} {}", class.name(), path.display()));
                wrong.push(format!(
                    "{fault} ({}): {what}\n    {}",
                    hit.unwrap_or_default(),
                    ended.stderr.trim()
                ));
            }
        }
        stage.restore(&folder::read(stage.folder()));
    }
    report(&scene, &reference.seen, there_are, &ends);
    assert!(wrong.is_empty(), "{}: {} faults\n{}", scene.name, wrong.len(), wrong.join("\n"));
}

/// Lets a command fail that is refused, at every operation that it does until then: it touches nothing.
pub(crate) fn refused(scene: &Scene) {
    let Some(inputs) = inputs() else { return };
    let stage = Stage::new(scene, inputs);
    let reference = stage.run(None, scene.args);
    assert_eq!(reference.code, Some(2), "{}: {}", scene.name, reference.stderr);
    assert!(reference.stderr.contains("--force"), "{}: {}", scene.name, reference.stderr);
    for n in 1..=reference.seen.any {
        for action in [Action::Error(EIO), Action::Error(EACCES), Action::ErrorFrom(EIO)] {
            let fault = Fault { class: None, n, action };
            let ended = stage.run(Some(fault), scene.args);
            let what = format!("{} {fault}: {}", scene.name, ended.stderr);
            assert!(matches!(ended.code, Some(1 | 2)), "{:?}: {what}", ended.code);
            assert_eq!(folder::differences(&stage.before, &ended.after), [""; 0], "{what}");
        }
    }
}

/// The numbers, on standard output.
#[expect(clippy::print_stdout, reason = "the numbers of a campaign are its result")]
fn report(scene: &Scene, seen: &Seen, there_are: usize, ends: &BTreeMap<String, BTreeMap<Verdict, u64>>) {
    let counts = Class::ALL.iter().filter(|&&class| seen.count(class) > 0);
    let counts: Vec<String> =
        counts.map(|&class| format!("{} {}", class.name(), seen.count(class))).collect();
    let points: u64 = ends.values().flat_map(|ends| ends.values()).sum();
    let mut text = format!(
        "{}: {} operations ({}), {points} of {there_are} faults\n",
        scene.name,
        seen.any,
        counts.join(", ")
    );
    for (kind, ends) in ends {
        let ends: Vec<String> = ends.iter().map(|(verdict, count)| format!("{verdict:?} {count}")).collect();
        text += &format!("  {kind}: {}\n", ends.join(", "));
    }
    println!("{text}");
}
