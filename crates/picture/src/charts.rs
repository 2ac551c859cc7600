//! Drawings of what is stored and of how well files are compressed: bars beside words.

use crate::canvas::{Area, Drawing, Font, WIDTH, drawable};
use crate::changes::{ChangedFolder, Changes};
use crate::measure;
use crate::model::{Container, Explained, Extension, PlaceKind, Volume};
use crate::words::{count, human, percent, share};

/// Where bars begin, and how long they may be.
const BAR: f64 = 300.0;
const LENGTH: f64 = 480.0;
/// Height of a line.
const LINE: f64 = 24.0;
/// Lines of a list.
const LISTED: usize = 12;
/// Keys of a hive, and lines of what else was done, that are listed.
const KEYS: usize = 8;
const DONE: usize = 6;
/// Lines of one of them, and their height.
const WRAPPED: usize = 2;
const ROW: f64 = 18.0;
/// Where they begin, and where the values of a key do.
const NAMES: f64 = 150.0;
const VALUES: f64 = 520.0;
/// The classes of what is new, and of what has another content.
const ADDED: &str = "c-dirs";
const CHANGED: &str = "c-records";

/// A bar: a name, what is drawn dark of what is drawn light of the whole, and words.
struct Bar<'a> {
    name: String,
    light: u64,
    dark: u64,
    whole: u64,
    class: &'a str,
    words: String,
}

fn bar(drawing: &mut Drawing, y: f64, bar: &Bar<'_>) {
    drawing.label((0.0, y), BAR - 12.0, Font::Normal, "ink", &bar.name);
    let area = Area::new(BAR, y + 1.0, LENGTH, 14.0);
    drawing.rect(area, "track", "");
    let part = |bytes: u64| {
        let width = share(bytes, bar.whole) * LENGTH;
        Area { w: if bytes > 0 { width.max(1.0) } else { 0.0 }, ..area }
    };
    drawing.rect(part(bar.light), "plain", bar.words.clone());
    drawing.rect(part(bar.dark), bar.class, bar.words.clone());
    drawing.label((BAR + LENGTH + 12.0, y), WIDTH - BAR - LENGTH - 12.0, Font::Small, "soft", &bar.words);
}

/// What the container stores, by partition, and what others would.
pub(crate) fn export(explained: &Explained) -> Drawing {
    let export = &explained.export;
    let verb = if explained.planned { "will store" } else { "stores" };
    let title = format!(
        "What {} {verb}: {} of {}",
        export.container,
        human(export.stored),
        human(explained.disk_size)
    );
    let mut bars = Vec::new();
    let partitions = explained.places.iter().filter(|place| place.kind == PlaceKind::Partition);
    let largest = explained.places.iter().map(|place| place.size).max().unwrap_or(0);
    for place in partitions.take(LISTED) {
        let number = place.number.unwrap_or(0);
        bars.push(Bar {
            name: format!("partition {number} {}", place.name),
            light: place.size,
            dark: place.stored,
            whole: largest,
            class: "stored",
            words: format!("{} of {}", human(place.stored), human(place.size)),
        });
    }
    if export.stored_free > 0 {
        bars.push(Bar {
            name: "stored, though free".to_owned(),
            light: export.stored,
            dark: export.stored_free,
            whole: largest,
            class: "sign-warning",
            words: format!("{}: compact", human(export.stored_free)),
        });
    }
    for Container { name, bytes } in &export.containers {
        bars.push(Bar {
            name: format!("as {name}"),
            light: explained.disk_size,
            dark: *bytes,
            whole: explained.disk_size,
            class: "c-files",
            words: format!("{} ({})", human(*bytes), percent(*bytes, explained.disk_size)),
        });
    }
    if let Some(sample) = &export.sample {
        bars.push(Bar {
            name: "compressed vmdk, estimated".to_owned(),
            light: explained.disk_size,
            dark: sample.estimate,
            whole: explained.disk_size,
            class: "c-packed",
            words: format!("{} ({})", human(sample.estimate), percent(sample.packed, sample.plain)),
        });
    }
    if let Some(size) = export.file_size {
        bars.push(Bar {
            name: "the file takes".to_owned(),
            light: explained.disk_size,
            dark: size,
            whole: explained.disk_size,
            class: "c-files",
            words: human(size),
        });
    }
    let words: Vec<String> = bars.iter().map(|bar| format!("{}: {}", bar.name, bar.words)).collect();
    let mut drawing = Drawing::new(title, words.join(", "));
    for (number, one) in bars.iter().enumerate() {
        bar(&mut drawing, number as f64 * LINE, one);
    }
    drawing.height = bars.len() as f64 * LINE;
    drawing
}

/// Files whose compressed length is known, the most bytes first.
pub(crate) fn compressed(volume: &Volume) -> Vec<&Extension> {
    let mut known: Vec<_> = volume.extensions.iter().filter(|extension| extension.plain > 0).collect();
    known.sort_by_key(|extension| std::cmp::Reverse(extension.plain));
    known
}

/// How well files are compressed, by the endings of their names.
pub(crate) fn compression(volume: &Volume) -> Option<Drawing> {
    let packing = volume.packing.as_ref()?;
    let known = compressed(volume);
    let whole = known.first()?.plain;
    let title = format!(
        "Compression of volume {}: {} in {} ({})",
        volume.partition,
        human(packing.plain),
        human(packing.packed),
        percent(packing.packed, packing.plain)
    );
    let mut drawing = Drawing::new(title, format!("By the {}", packing.method));
    let mut y = 0.0;
    for extension in known.into_iter().take(LISTED) {
        let name = if extension.name.is_empty() { "no ending" } else { &extension.name };
        let words = format!(
            "{} to {}, {}",
            human(extension.plain),
            human(extension.packed),
            percent(extension.packed, extension.plain)
        );
        let name = format!("{name}, {}", count(extension.files, "file"));
        bar(
            &mut drawing,
            y,
            &Bar { name, light: extension.plain, dark: extension.packed, whole, class: "c-files", words },
        );
        y += LINE;
    }
    let hardly = match packing.incompressible {
        0 => String::new(),
        bytes => format!("; {} hardly get smaller", human(bytes)),
    };
    let words = format!("blue: compressed, grey: as it is; {}{hardly}", packing.method);
    drawing.label((0.0, y), WIDTH, Font::Small, "soft", &words);
    drawing.height = y + 18.0;
    Some(drawing)
}

/// The title of what a build changes.
pub(crate) fn changes_title(changes: &Changes) -> String {
    let mut words = Vec::new();
    for (tally, done) in [(changes.added, "added"), (changes.changed, "changed")] {
        if tally.files > 0 {
            words.push(format!("{} {done} ({})", count(tally.files, "file"), human(tally.bytes)));
        }
    }
    if changes.removed.files > 0 {
        words.push(format!("{} removed", count(changes.removed.files, "file")));
    }
    let hives = changes.registry.len() as u64;
    if hives > 0 {
        words.push(format!("{} of the registry", count(hives, "hive")));
    }
    match words.is_empty() {
        true => "What the build changes".to_owned(),
        false => format!("What the build changes: {}", words.join(", ")),
    }
}

/// What a build changes: folders with new files, the registry, and what else was done.
pub(crate) fn changes(explained: &Explained) -> Option<Drawing> {
    let changes = explained.changes.as_ref()?;
    let done: Vec<String> =
        changes.done.iter().map(|done| format!("{}: {}", done.what, done.lines.len())).collect();
    let mut drawing = Drawing::new(changes_title(changes), done.join(", "));
    let mut y = folders(&mut drawing, changes);
    for hive in &changes.registry {
        y = subject(&mut drawing, y, &format!("registry, {}", hive.hive), &[hive.words()], 0);
        for key in hive.keys.iter().take(KEYS) {
            let path = if key.path.is_empty() { "\\" } else { &key.path };
            let lines =
                measure::wrapped(&drawable(&key.words()), Font::Small.size(), WIDTH - VALUES, WRAPPED);
            drawing.label_end((NAMES + 12.0, y), VALUES - NAMES - 24.0, Font::Small, "soft", path);
            for line in &lines {
                drawing.label((VALUES, y), WIDTH - VALUES, Font::Small, "ink", line);
                y += ROW;
            }
            if lines.is_empty() {
                y += ROW;
            }
        }
        let more = hive.more + hive.keys.len().saturating_sub(KEYS) as u64;
        if more > 0 {
            drawing.label(
                (NAMES + 12.0, y),
                WIDTH,
                Font::Small,
                "soft",
                &format!("and {}", more_of(more, "key")),
            );
            y += ROW;
        }
    }
    for done in &changes.done {
        let more = done.lines.len().saturating_sub(DONE);
        y = subject(&mut drawing, y, &done.what, &done.lines[..done.lines.len() - more], more as u64);
    }
    drawing.height = y;
    Some(drawing)
}

/// `3 more keys`.
fn more_of(number: u64, what: &str) -> String {
    format!("{number} more {what}{}", if number == 1 { "" } else { "s" })
}

/// Folders, by the bytes in them that the image has not; returns where that ends.
fn folders(drawing: &mut Drawing, changes: &Changes) -> f64 {
    let whole = changes.folders.iter().map(ChangedFolder::bytes).max().unwrap_or(0).max(1);
    let mut y = 0.0;
    for folder in changes.folders.iter().take(LISTED) {
        let name = format!("{}:{}", folder.partition, folder.path);
        drawing.label_end((0.0, y), BAR - 12.0, Font::Normal, "ink", &name);
        let area = Area::new(BAR, y + 1.0, LENGTH, 14.0);
        drawing.rect(area, "track", "");
        let tip = format!("{name}\n{}\n{}", folder.words(), folder.why());
        let mut x = BAR;
        for (tally, class) in [(folder.added, ADDED), (folder.changed, CHANGED)] {
            if tally.bytes > 0 {
                // What is there at all is seen.
                let w = (share(tally.bytes, whole) * LENGTH).max(1.0).min(BAR + LENGTH - x);
                drawing.rect(Area { x, w, ..area }, class, tip.clone());
                x += w;
            }
        }
        let words = format!("{}, {}", folder.words(), human(folder.bytes()));
        drawing.label((BAR + LENGTH + 12.0, y), WIDTH - BAR - LENGTH - 12.0, Font::Small, "soft", &words);
        y += LINE;
    }
    if changes.folders.is_empty() {
        return y;
    }
    for (x, class, word) in [(BAR, ADDED, "added"), (BAR + 90.0, CHANGED, "changed")] {
        drawing.rect(Area::new(x, y + 2.0, 10.0, 10.0), class, "");
        drawing.label((x + 16.0, y), 70.0, Font::Small, "ink", word);
    }
    let more = changes.more_folders + changes.folders.len().saturating_sub(LISTED) as u64;
    if more > 0 {
        drawing.label((0.0, y), BAR - 12.0, Font::Small, "soft", &format!("and {}", more_of(more, "folder")));
    }
    y + LINE
}

/// Lines beside the name of what they are about; returns where they end.
fn subject(drawing: &mut Drawing, mut y: f64, name: &str, lines: &[String], more: u64) -> f64 {
    drawing.label((0.0, y), NAMES - 10.0, Font::Small, "soft", name);
    for line in lines {
        for part in measure::wrapped(&drawable(line), Font::Small.size(), WIDTH - NAMES, WRAPPED) {
            drawing.label((NAMES, y), WIDTH - NAMES, Font::Small, "ink", &part);
            y += ROW;
        }
    }
    if more > 0 {
        drawing.label((NAMES, y), WIDTH - NAMES, Font::Small, "soft", &format!("and {more} more"));
        y += ROW;
    }
    y + 6.0
}
