//! What a plan says of itself: its image, and what is changed in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use picture::{Change, ChangedFolder, ChangedHive, Changes, Done};

use crate::{Action, Summary};

/// Folders with changed files that are listed, and how deep they are told apart.
const FOLDERS: usize = 24;
const DEPTH: usize = 4;
/// Reasons that are listed of each.
const REASONS: usize = 2;
/// Changed files that are listed.
const FILES: usize = 30;

/// What is built, in a few words.
pub(super) fn about(summary: &Summary) -> Vec<String> {
    let about = &summary.about;
    let mut words = vec![format!("plan of a disk, as {}", summary.format)];
    words.extend(summary.image_name.clone().map(|name| format!("image {} {name:?}", summary.image)));
    words.extend(about.product.clone());
    words.extend(about.installation.clone());
    words.extend(about.build.map(|build| match about.revision {
        Some(revision) => format!("build {build}.{revision}"),
        None => format!("build {build}"),
    }));
    words.extend(about.architecture.map(str::to_owned));
    words
}

/// What differs from the image on purpose.
pub(super) fn of(summary: &Summary) -> Option<Changes> {
    let mut changes = Changes { registry: registry(summary), done: done(summary), ..Changes::default() };
    let mut folders: BTreeMap<(u32, &str), ChangedFolder> = BTreeMap::new();
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for change in &summary.changes {
        // Only directories are added without a length.
        let is_folder = change.action == Action::Added && change.size.is_none();
        let path = change.path.trim_end_matches('\\');
        let folder = if is_folder { path } else { path.rsplit_once('\\').map_or("", |(folder, _)| folder) };
        let folder = shallow(folder);
        let key = (change.partition, folder);
        let found = folders.entry(key).or_insert_with(|| ChangedFolder {
            partition: change.partition,
            path: if folder.is_empty() { "\\".to_owned() } else { folder.to_owned() },
            ..ChangedFolder::default()
        });
        let (all, here) = match change.action {
            Action::Added => (&mut changes.added, &mut found.added),
            Action::Changed => (&mut changes.changed, &mut found.changed),
            Action::Removed => (&mut changes.removed, &mut found.removed),
        };
        for tally in [all, here] {
            tally.bytes = tally.bytes.saturating_add(change.size.unwrap_or(0));
            tally.files += u64::from(!is_folder);
            tally.folders += u64::from(is_folder);
        }
        if is_folder {
            continue;
        }
        files.push(change);
        if seen.insert((key, &change.reason)) {
            if found.reasons.len() < REASONS {
                found.reasons.push(change.reason.clone());
            } else {
                found.more_reasons += 1;
            }
        }
    }
    // The way to a folder in which something is new is not worth a line.
    let has_files = |folder: &ChangedFolder| {
        [folder.added, folder.changed, folder.removed].iter().any(|tally| tally.files > 0)
    };
    changes.folders = folders.into_values().filter(has_files).collect();
    changes.folders.sort_by_key(|folder| {
        let bytes = folder.added.bytes.saturating_add(folder.changed.bytes);
        (Reverse(bytes), folder.partition, folder.path.clone())
    });
    changes.more_folders = changes.folders.len().saturating_sub(FOLDERS) as u64;
    changes.folders.truncate(FOLDERS);
    files.sort_by_key(|change| (Reverse(change.size), change.partition, &change.path));
    changes.more_files = files.len().saturating_sub(FILES) as u64;
    changes.files = files.into_iter().take(FILES).map(one).collect();
    (!changes.is_empty()).then_some(changes)
}

/// The first folders of a path.
fn shallow(path: &str) -> &str {
    let end = path.match_indices('\\').map(|(at, _)| at).filter(|&at| at > 0).nth(DEPTH - 1);
    &path[..end.unwrap_or(path.len())]
}

fn one(change: &crate::Change) -> Change {
    let action = match change.action {
        Action::Added => "added",
        Action::Changed => "changed",
        Action::Removed => "removed",
    };
    Change {
        partition: change.partition,
        path: change.path.clone(),
        action: action.to_owned(),
        size: change.size,
        reason: change.reason.clone(),
    }
}

fn registry(summary: &Summary) -> Vec<ChangedHive> {
    let hives = summary.customized.registry.iter();
    let hives = hives.map(|hive| ChangedHive {
        hive: hive.hive.to_owned(),
        by: hive.by.clone(),
        keys_created: hive.keys_created,
        keys_deleted: hive.keys_deleted,
        values_set: hive.values_set,
        values_deleted: hive.values_deleted,
        keys: hive.keys.clone(),
        more: hive.more_keys,
    });
    hives.collect()
}

/// What else was done, by subject.
fn done(summary: &Summary) -> Vec<Done> {
    let report = &summary.customized;
    let mut done = Vec::new();
    let mut add = |what: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            done.push(Done { what: what.to_owned(), lines });
        }
    };
    let files = |number: u64| format!("{number} file{}", if number == 1 { "" } else { "s" });
    add("first boot", report.first_boot.clone());
    let drivers = report.drivers.iter().map(|driver| {
        let when = if driver.boot_critical { "; Windows starts from it" } else { "" };
        format!("{} ({}, {}): {}{when}", driver.inf, driver.class, driver.version, files(driver.files as u64))
    });
    add("drivers", drivers.collect());
    let packages = report
        .packages
        .iter()
        .map(|package| format!("{}: {}", package.identity.as_deref().unwrap_or(&package.path), package.way));
    add("packages", packages.collect());
    let copies = report.copies.iter();
    let copies = copies.map(|copy| format!("{} from {}: {}", copy.to, copy.from, files(copy.files)));
    add("copies", copies.collect());
    let secrets = report.secrets.iter();
    let secrets = secrets.map(|secret| format!("{}: {}, until {}", secret.path, secret.what, secret.until));
    add("files with secrets", secrets.collect());
    done
}
