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
            // What cannot be removed stays: files in the making of a run before, or what was replaced.
            if ended.seen.hit.as_ref().is_some_and(|(class, _)| matches!(class, Class::Unlink | Class::List))
            {
                after.retain(|name, _| !in_the_making(name) && !name.contains(".replaced"));
            }
            same(&result, &after)?;
            if stage.scene.name == "cat" && ended.stdout != reference.stdout {
                return Err("other bytes on standard output".to_owned());
            }
            survived(fault, ended)
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
            if !matches!(code, 1 | 3 | 4) {
                return Err(format!("exit code {code}"));
            }
            says(ended, &[victim])?;
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        // What cannot be read of a volume is a finding, for which the volume is refused as it would be for damage.
        (Some(4), _, Action::Error(_) | Action::ErrorFrom(_))
            if reads(ended)
                && matches!(stage.scene.name, "compact_copy" | "compact_in_place" | "convert_size") =>
        {
            same(&before, &after).map(|()| Verdict::Failed)
        }
        (Some(1), _, Action::Error(number)) if number != EINTR => {
            names(ended, number)?;
            if unlinks(ended) {
                after.retain(|name, _| !name.ends_with(".wimforge-probe"));
            }
            // The last step: all is in place, and nobody knows whether the names outlast a loss of power.
            if of_a_folder(ended) && after == result {
                return Ok(Verdict::Failed);
            }
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        (Some(1), _, Action::Full) => {
            names(ended, ENOSPC)?;
            left(stage.scene.leaves, &before, &result, &after).map(|()| Verdict::Failed)
        }
        // Commands that go on past what cannot be read, and list it, have found a fault.
        (Some(3), _, Action::Error(_) | Action::ErrorFrom(_) | Action::Full)
            if matches!(stage.scene.args[0], "check" | "verify" | "extract") && reads(ended) =>
        {
            let printed = String::from_utf8_lossy(&ended.stdout).into_owned() + &ended.stderr;
            if !printed.contains("os error") {
                return Err("it does not say what the system said".to_owned());
            }
            if let Action::ErrorFrom(_) = fault.action {
                return left_by_a_kill(stage, reference, &ended.after).map(|()| Verdict::Failed);
            }
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

/// Success is right where the fault is one that can be made good, or hit what is not needed.
fn survived(fault: Fault, ended: &Ended) -> Result<Verdict, String> {
    let Some((class, path)) = &ended.seen.hit else { return Ok(Verdict::NotReached) };
    // The result is the same, or it would not be here. So what failed was not needed (whether there are holes, whether
    // something is in the way), or there is another way (a copy of a structure, a copy where no link can be made). What was
    // written or flushed was needed. A directory is opened to be flushed; one that may not be read cannot be.
    let needed = match class {
        Class::Write | Class::Sync | Class::Rename | Class::Truncate | Class::Dup => true,
        Class::Open => path.is_dir() && fault.action != Action::Error(EACCES),
        _ => false,
    };
    match fault.action {
        Action::Error(EINTR) | Action::Half => Ok(Verdict::Survived),
        Action::Error(_) | Action::ErrorFrom(_) | Action::Full if needed => {
            Err(format!("it succeeded although a {} failed", class.name()))
        }
        _ => Ok(Verdict::Survived),
    }
}

/// Whether the fault hit a read.
fn reads(ended: &Ended) -> bool {
    ended.seen.hit.as_ref().is_some_and(|(class, _)| *class == Class::Read)
}

/// Whether the fault hit a removal.
fn unlinks(ended: &Ended) -> bool {
    ended.seen.hit.as_ref().is_some_and(|(class, _)| *class == Class::Unlink)
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
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // It has no name, or one of chance for a moment.
    if name.ends_with(" (deleted)") || name.starts_with(".tmp") {
        return says(ended, &["temporary file"]);
    }
    // `extract` looks whether the folder tells upper case from lower case, and names the folder.
    if name == ".wimforge-probe" {
        return Ok(());
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
        let (Item::File(old), Item::File(new), Item::File(found)) = (&before[name], &result[name], item)
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
    let replaced = named.keys().any(|name| name.starts_with("out.vmdk.replaced"));
    let named: Contents = named.into_iter().filter(|(name, _)| !name.contains(".replaced")).collect();
    if replaced && !stage.scene.name.ends_with("_over") {
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
    if writes_new && !args.contains(&"--force") && !matches!(args[0], "cat" | "verify" | "check") {
        args.push("--force");
    }
    let again = stage.run(None, &args);
    if again.code != Some(0) {
        return Err(format!("the next run fails: {}", again.stderr.trim()));
    }
    if stage.scene.leaves == Leaves::OldOrNew && named != stage.before {
        // A hive that is written once more counts once more.
        return match again.after.keys().eq(reference.after.keys()) {
            true => Ok(()),
            false => Err(format!("after the next run there are {:?}", again.after.keys())),
        };
    }
    same(&reference.after, &again.after).map_err(|problem| format!("after the next run {problem}"))
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
