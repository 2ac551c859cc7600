//! What a plan says of itself: its image, and what is changed in it.

use picture::{Change, Changes};

use crate::{Action, Summary};

/// Changed files that are listed.
const LISTED: usize = 30;

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
    let mut changes = Changes::default();
    let mut files: Vec<_> = summary.changes.iter().collect();
    for change in &files {
        let size = change.size.unwrap_or(0);
        let sum = match change.action {
            Action::Added => &mut changes.added,
            Action::Changed => &mut changes.changed,
            Action::Removed => {
                changes.removed += 1;
                continue;
            }
        };
        *sum = (sum.0 + 1, sum.1 + size);
    }
    files.sort_by_key(|change| (std::cmp::Reverse(change.size), change.partition, &change.path));
    changes.more = files.len().saturating_sub(LISTED) as u64;
    changes.files = files
        .into_iter()
        .take(LISTED)
        .map(|change| Change {
            partition: change.partition,
            path: change.path.clone(),
            action: match change.action {
                Action::Added => "added",
                Action::Changed => "changed",
                Action::Removed => "removed",
            }
            .to_owned(),
            size: change.size,
            reason: change.reason.clone(),
        })
        .collect();
    changes.done = done(summary);
    let nothing = changes.files.is_empty() && changes.done.is_empty();
    (!nothing).then_some(changes)
}

/// What else was done, by subject.
fn done(summary: &Summary) -> Vec<(String, Vec<String>)> {
    let report = &summary.customized;
    let mut done = Vec::new();
    let mut add = |what: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            done.push((what.to_owned(), lines));
        }
    };
    add("first boot", report.first_boot.clone());
    let registry = report.registry.iter().map(|hive| {
        format!(
            "{}: {} keys made, {} deleted; {} values set, {} deleted; by {}",
            hive.hive,
            hive.keys_created,
            hive.keys_deleted,
            hive.values_set,
            hive.values_deleted,
            hive.by.join(", ")
        )
    });
    add("registry", registry.collect());
    let drivers = report.drivers.iter().map(|driver| {
        let when = if driver.boot_critical { "; Windows starts from it" } else { "" };
        format!("{} ({}, {}): {} files{when}", driver.inf, driver.class, driver.version, driver.files)
    });
    add("drivers", drivers.collect());
    let packages = report
        .packages
        .iter()
        .map(|package| format!("{}: {}", package.identity.as_deref().unwrap_or(&package.path), package.way));
    add("packages", packages.collect());
    let copies =
        report.copies.iter().map(|copy| format!("{} from {}: {} files", copy.to, copy.from, copy.files));
    add("copies", copies.collect());
    let secrets =
        report.secrets.iter().map(|secret| format!("{}: {}, {}", secret.path, secret.what, secret.until));
    add("files with secrets", secrets.collect());
    done
}
