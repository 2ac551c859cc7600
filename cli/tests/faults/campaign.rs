//! Every operation of a scene fails, in every way that fits it.

use std::collections::BTreeMap;
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
}

impl<'a> Stage<'a> {
    pub(crate) fn new(scene: &'a Scene, inputs: &'a Inputs) -> Self {
        let folder = scratch();
        for input in scene.inputs {
            let (name, from) = input.split_once('=').unwrap_or((input, input));
            std::fs::copy(inputs.path(from), folder.path().join(name)).expect(from);
        }
        let before = folder::read(folder.path());
        Self { scene, inputs, folder, before }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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
        let name = self.scene.name;
        let victim = victim.as_deref().map(|victim| (victim, &*other));
        let environment = self.inputs.shim.environment(name, &folder, fault, victim);
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.args(args).current_dir(&folder).envs(environment).env("LC_ALL", "C").timeout(PATIENCE);
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

/// An even sample, different for each scene and the same every time: of each kind the first, the last and every k-th.
fn sample(scene: &Scene, faults: &[Fault]) -> Vec<Fault> {
    let step = (faults.len() as u64).div_ceil(SAMPLE).max(1);
    let offset = scene.name.bytes().map(u64::from).sum::<u64>();
    let kind = |fault: &Fault| (fault.class, fault.action);
    let chosen = |(at, fault): (usize, &Fault)| {
        let first = at == 0 || kind(&faults[at - 1]) != kind(fault);
        let last = faults.get(at + 1).is_none_or(|next| kind(next) != kind(fault));
        first || last || (at as u64 + offset).is_multiple_of(step)
    };
    faults.iter().enumerate().filter(|&(at, fault)| chosen((at, fault))).map(|(_, fault)| *fault).collect()
}

/// Whether all faults are tried.
fn all() -> bool {
    std::env::var_os("WIMFORGE_FAULTS").is_some_and(|value| value == "all")
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

    let mut faults = faults(&scene, &reference.seen);
    if !all() {
        faults = sample(&scene, &faults);
    }
    let mut wrong = Vec::new();
    let mut ends: BTreeMap<String, BTreeMap<Verdict, u64>> = BTreeMap::new();
    for fault in faults {
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
    report(&scene, &reference.seen, &ends);
    assert!(wrong.is_empty(), "{}: {} faults\n{}", scene.name, wrong.len(), wrong.join("\n"));
}

/// The numbers, on standard output.
#[expect(clippy::print_stdout, reason = "the numbers of a campaign are its result")]
fn report(scene: &Scene, seen: &Seen, ends: &BTreeMap<String, BTreeMap<Verdict, u64>>) {
    let counts = Class::ALL.iter().filter(|&&class| seen.count(class) > 0);
    let counts: Vec<String> =
        counts.map(|&class| format!("{} {}", class.name(), seen.count(class))).collect();
    let points: u64 = ends.values().flat_map(|ends| ends.values()).sum();
    let mut text =
        format!("{}: {} operations ({}), {points} faults\n", scene.name, seen.any, counts.join(", "));
    for (kind, ends) in ends {
        let ends: Vec<String> = ends.iter().map(|(verdict, count)| format!("{verdict:?} {count}")).collect();
        text += &format!("  {kind}: {}\n", ends.join(", "));
    }
    println!("{text}");
}
