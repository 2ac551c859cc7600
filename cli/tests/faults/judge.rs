//! What a run that met a fault may say and leave.

use std::path::Path;

use testkit::faults::{Action, Class, EACCES, EINTR, EIO, EMFILE, ENOSPC, Fault, SIGKILL};

use crate::campaign::{Ended, Stage};
use crate::folder::{Contents, Item, differences};
use crate::scene::Leaves;

/// How a run ended that is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It succeeded, and the result is the same as without a fault.
    Survived,
    /// It failed, said so, and left what it may.
    Failed,
    /// A signal ended it, in the same way.
    Interrupted,
    /// The operation did not come: threads do not always do the same.
    NotReached,
}

/// A kind of fault, for the report.
pub(crate) fn action(action: Action) -> String {
    match action {
        Action::Error(EINTR) => "EINTR".to_owned(),
        Action::Error(EIO) => "EIO".to_owned(),
        Action::Error(EMFILE) => "EMFILE".to_owned(),
        Action::Error(ENOSPC) => "ENOSPC".to_owned(),
        Action::Error(_) => "EACCES".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Whether it is all right, and how it ended; else what is wrong.
pub(crate) fn judge(
    stage: &Stage<'_>,
    reference: &Ended,
    fault: Fault,
    ended: &Ended,
) -> Result<Verdict, String> {
    if ended.stderr.contains("panicked") || ended.stderr.contains("RUST_BACKTRACE") {
        return Err("it panicked".to_owned());
    }
    let changes_input =
        matches!(fault.action, Action::Shrink | Action::Grow | Action::Scribble | Action::Swap);
    let (mut before, mut result, mut after) =
        (stage.before.clone(), reference.after.clone(), ended.after.clone());
    if changes_input {
        // What was done to it is not the program's doing.
        let victim = stage.scene.victim.unwrap_or_default();
        for contents in [&mut before, &mut result, &mut after] {
            contents.remove(victim);
        }
    }
    match (ended.code, ended.signal, fault.action) {
        (Some(0), _, _) => {
            // The new disk is in place: what cannot be removed of the one that it replaced is, by the next run.
            if replaces(stage) && hits(ended, &[Class::Unlink, Class::List]) {
                after.retain(|name, _| !is_replaced(name));
            }
            same(&result, &after)?;
            if matches!(stage.scene.name, "cat" | "build_stdout") && ended.stdout != reference.stdout {
                return Err("other bytes on standard output".to_owned());
            }
            survived(stage, fault, ended)
        }
        (_, Some(SIGKILL), Action::Signal(SIGKILL)) => {
            left_by_a_kill(stage, reference, &ended.after).map(|()| Verdict::Interrupted)
        }
        // Who has nothing to clean up may leave the signal to the system.
        (_, Some(signal), Action::Signal(sent)) if signal == sent => {
            same(&before, &after).map(|()| Verdict::Interrupted)
        }
        (Some(130), _, Action::Signal(_)) => {
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Interrupted)
        }
        (Some(code), _, Action::Shrink | Action::Grow | Action::Scribble | Action::Swap) => {
            let victim = stage.scene.victim.unwrap_or_default();
            // What is written over, or another file, may be of a kind that the command does not take.
            let other_kind = matches!(fault.action, Action::Scribble | Action::Swap);
            if !(matches!(code, 1 | 3) || code == 4 && other_kind) {
                return Err(format!("exit code {code}"));
            }
            says(ended, &[victim])?;
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        (Some(1), _, Action::Error(number)) if number != EINTR => {
            names(ended, number)?;
            // What could not be removed is there, and nothing else.
            if let Some((Class::Unlink, path)) = &ended.seen.hit {
                after.remove(&*stage.name_of(path));
            }
            // The last step: all is in place, and nobody knows whether the names outlast a loss of power.
            if of_a_folder(ended)
                && after == result
                && before != result
                && stage.scene.leaves != Leaves::WholeFiles
            {
                says(ended, &["may not outlast a loss of power"])?;
                return Ok(Verdict::Failed);
            }
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        (Some(1), _, Action::Full) => {
            names(ended, ENOSPC)?;
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        // Nothing can be removed any more; and what was opened cannot be told from a pipe.
        (Some(1), _, Action::ErrorFrom(number)) => {
            says(ended, &[&format!("os error {number}")])?;
            left_by_a_kill(stage, reference, &ended.after).map(|()| Verdict::Failed)
        }
        (code, signal, _) => Err(format!("exit code {code:?}, signal {signal:?}")),
    }
}

/// What the result does not need, or what there is another way to; `number` is the error. Success although anything else failed
/// is a failure that was not noticed.
fn is_dispensable(stage: &Stage<'_>, fault: Fault, class: Class, path: &Path, number: i32) -> bool {
    let once = matches!(fault.action, Action::Error(_));
    let name = stage.name_of(path);
    match class {
        // What something is, asked before it is opened, which then says more; and at the end, how long the output is. That no
        // output that exists is written over for this is a test of its own.
        Class::Stat => true,
        // Holes, which are read like the rest where nobody tells of them.
        Class::Seek => true,
        // Directories that may not be read are not flushed (`disk::sync_directory_of`).
        Class::Open if path.is_dir() => number == EACCES,
        // `bcd set` looks whether it is a disk first; who opens it as a store finds out the rest.
        Class::Open | Class::Read if stage.scene.name == "bcd_set" => fault.n == 1 && name == "BCD",
        // A header of a VHDX has a copy, and records that cannot be read all at once are read one by one. Whoever judges a
        // disk (`check`) tells of it nevertheless; a WIM has no copies of anything.
        Class::Read => once && stage.scene.args[0] != "check" && DISKS.contains(&&*name),
        // The new disk is there, and the next run removes the old one.
        Class::Unlink | Class::List => replaces(stage) && is_replaced(&name),
        // Where no link can be made there is a copy, and the report says so.
        Class::Make => matches!(&*name, "out/second name.txt" | "out/folder/streams.txt"),
        // Only an administrator can give files away; a user's hive is the user's in any case.
        Class::Attributes => name.ends_with(".partial"),
        Class::Write | Class::Sync | Class::Rename | Class::Truncate | Class::Dup | Class::Open => false,
    }
}

/// Disks that are read.
const DISKS: [&str; 3] = ["disk.vhdx", "disk.raw", "rubbish.raw"];

/// Success is right where the fault is one that can be made good, or hit what can be done without.
fn survived(stage: &Stage<'_>, fault: Fault, ended: &Ended) -> Result<Verdict, String> {
    let Some((class, path)) = &ended.seen.hit else { return Ok(Verdict::NotReached) };
    let number = match fault.action {
        Action::Error(number) | Action::ErrorFrom(number) => number,
        Action::Full => ENOSPC,
        // Signals that came too late, and inputs that were read by then.
        _ => return Ok(Verdict::Survived),
    };
    if number == EINTR || is_dispensable(stage, fault, *class, path, number) {
        return Ok(Verdict::Survived);
    }
    Err(format!("it succeeded although a {} of {} failed", class.name(), stage.name_of(path)))
}

/// Whether the fault hit one of these.
fn hits(ended: &Ended, classes: &[Class]) -> bool {
    ended.seen.hit.as_ref().is_some_and(|(class, _)| classes.contains(class))
}

/// Whether a disk in several files takes the place of another.
fn replaces(stage: &Stage<'_>) -> bool {
    stage.scene.name.starts_with("build_vmdk_split") && stage.scene.name.ends_with("_over")
}

/// Whether a name is one of what was replaced.
fn is_replaced(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.ends_with(".replaced"))
}

/// Whether the fault hit the flushing of a folder.
fn of_a_folder(ended: &Ended) -> bool {
    let hit = ended.seen.hit.as_ref();
    hit.is_some_and(|(class, path)| matches!(class, Class::Sync | Class::Open) && path.is_dir())
}

/// It says `error: ` and all of these.
fn says(ended: &Ended, words: &[&str]) -> Result<(), String> {
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with("note: ")).collect();
    let errors = errors.join("\n");
    if !errors.lines().any(|line| line.starts_with("error: ")) {
        return Err("no error in words".to_owned());
    }
    match words.iter().find(|word| !errors.contains(**word)) {
        Some(word) => Err(format!("it does not say {word:?}")),
        None => Ok(()),
    }
}

/// It names the file that failed, and the cause.
fn names(ended: &Ended, number: i32) -> Result<(), String> {
    says(ended, &[&format!("os error {number}")])?;
    let Some((_, path)) = &ended.seen.hit else { return Err("nothing was hit".to_owned()) };
    if path.is_dir() {
        // It is made for a file without a name, listed, or flushed; or it is one of what is extracted.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let words = ["temporary file", "loss of power", "flushing", "listing", "writing out.", &*name];
        return match words.iter().any(|word| ended.stderr.contains(word)) {
            true => Ok(()),
            false => Err("it does not say what it needed the folder for".to_owned()),
        };
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // It has no name, or one of chance for a moment.
    if name.ends_with(" (deleted)") || name.starts_with(".tmp") {
        return says(ended, &["temporary file"]);
    }
    // `extract` looks whether the folder tells upper case from lower case: nobody knows that name, so it is the folder's.
    if name == ".wimforge-probe" || name == ".WIMFORGE-PROBE" {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        return says(ended, &[&folder.to_string_lossy()]);
    }
    let name = name.strip_suffix(".partial").unwrap_or(&name);
    // A folder for what is replaced has the name of the disk.
    says(ended, &[name.strip_suffix(".replaced").unwrap_or(name)])
}

fn same(expected: &Contents, found: &Contents) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("the folder is not as it has to be: {}", differences(expected, found).join("; ")))
}

/// What an orderly failure leaves.
fn left(leaves: Leaves, before: &Contents, result: &Contents, after: &Contents) -> Result<(), String> {
    match leaves {
        Leaves::Nothing => same(before, after),
        Leaves::OldOrNew => same(before, after).or_else(|problem| same(result, after).map_err(|_| problem)),
        Leaves::Mixture => mixture(before, result, after),
        Leaves::WholeFiles => whole_files(before, result, after),
        Leaves::Prefix(names) => {
            let mut stage = before.clone();
            let mut problem = same(&stage, after);
            for name in names {
                stage.insert((*name).to_owned(), result[*name].clone());
                problem = problem.or_else(|problem| same(&stage, after).map_err(|_| problem));
            }
            problem
        }
    }
}

/// Each thing is as it was or as it is to be.
fn whole_files(before: &Contents, result: &Contents, after: &Contents) -> Result<(), String> {
    let known = |name: &String, item| before.get(name) == Some(item) || result.get(name) == Some(item);
    let odd: Vec<&String> =
        after.iter().filter(|(name, item)| !known(name, item)).map(|(name, _)| name).collect();
    if odd.is_empty() { Ok(()) } else { Err(format!("half of {odd:?}")) }
}

/// Each byte is as it was or as it is to be.
fn mixture(before: &Contents, result: &Contents, after: &Contents) -> Result<(), String> {
    if !after.keys().eq(before.keys()) {
        return Err(format!("other files: {:?}", after.keys()));
    }
    for (name, item) in after {
        let (Item::File(old, _), Item::File(new, _), Item::File(found, _)) =
            (&before[name], &result[name], item)
        else {
            return Err(format!("{name} is another thing"));
        };
        let odd =
            found.iter().zip(old.iter().zip(new)).position(|(byte, (old, new))| byte != old && byte != new);
        if let Some(at) = odd.or((found.len() != old.len()).then_some(found.len())) {
            return Err(format!("{name}: byte {at:#x} is neither old nor new"));
        }
    }
    Ok(())
}

/// Whether a name is one of files in the making.
fn in_the_making(name: &str) -> bool {
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.ends_with(".partial")
}

/// What a process leaves that could not clean up: files in the making besides, which are gone after the next run.
fn left_by_a_kill(stage: &Stage<'_>, reference: &Ended, after: &Contents) -> Result<(), String> {
    let named: Contents = after
        .iter()
        .filter(|(name, _)| !in_the_making(name))
        .map(|(name, item)| (name.clone(), item.clone()))
        .collect();
    // A disk in several files that is being replaced is whole in its folder, or under its names.
    let replaced = named.keys().any(|name| is_replaced(name));
    let named: Contents = named.into_iter().filter(|(name, _)| !is_replaced(name)).collect();
    if replaced && !replaces(stage) {
        return Err("it replaces what was not there".to_owned());
    }
    match stage.scene.leaves {
        // Files that are extracted are written under their names.
        Leaves::WholeFiles => {}
        Leaves::Nothing | Leaves::Prefix(_) => {
            // Each name is old or new: those of a disk in several files come one after the other.
            whole_files(&stage.before, &reference.after, &named)?;
            sets(stage, reference, &named)?;
        }
        leaves => left(leaves, &stage.before, &reference.after, &named)?,
    }
    let mut args = stage.scene.args.to_vec();
    let writes_new = matches!(stage.scene.leaves, Leaves::Nothing | Leaves::WholeFiles | Leaves::Prefix(_));
    let creates = writes_new
        && !args.contains(&"--force")
        && !matches!(args[0], "cat" | "verify" | "check")
        && !args.contains(&"-");
    // (What is extracted may go between folders that are there.)
    if creates && named != stage.before && stage.scene.leaves != Leaves::WholeFiles {
        // Something has its name: the same command says what to do, and touches nothing.
        let refused = stage.run(None, &args);
        let again: Contents = refused
            .after
            .into_iter()
            .filter(|(name, _)| !in_the_making(name) && !is_replaced(name))
            .collect();
        if refused.code != Some(2) || says_force(&refused.stderr).is_err() {
            return Err(format!("the next run does not ask for --force: {}", refused.stderr.trim()));
        }
        same(&named, &again).map_err(|problem| format!("the next run was refused, and {problem}"))?;
    }
    if creates && named != stage.before {
        args.push("--force");
    }
    let again = stage.run(None, &args);
    if again.code != Some(0) {
        return Err(format!("the next run fails: {}", again.stderr.trim()));
    }
    // A hive that is written once more counts once more.
    let twice = stage.scene.leaves == Leaves::OldOrNew && named != stage.before;
    let expected = if twice { stage.twice(reference) } else { &reference.after };
    same(expected, &again.after).map_err(|problem| format!("after the next run {problem}"))
}

/// It says what writes over what is there.
fn says_force(stderr: &str) -> Result<(), ()> {
    if stderr.contains("error: ") && stderr.contains("--force") { Ok(()) } else { Err(()) }
}

/// Of a disk in several files: a new descriptor is not there without the new extents, and an old one is not there without
/// the old ones.
fn sets(stage: &Stage<'_>, reference: &Ended, named: &Contents) -> Result<(), String> {
    let main = "out.vmdk";
    let Some(descriptor) = named.get(main) else { return Ok(()) };
    if !stage.scene.name.starts_with("build_vmdk_split") {
        return Ok(());
    }
    let (whole, what) = match reference.after.get(main) == Some(descriptor) {
        true => (&reference.after, "new"),
        false => (&stage.before, "old"),
    };
    for (name, item) in whole.iter().filter(|(name, _)| name.starts_with("out")) {
        if named.get(name) != Some(item) {
            return Err(format!("the {what} descriptor is there, and not the {what} {name}"));
        }
    }
    Ok(())
}
