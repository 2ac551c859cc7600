//! Drawings of what is stored and of how well files are compressed: bars beside words.

use crate::canvas::{Area, Drawing, Font, WIDTH};
use crate::model::{Explained, PlaceKind, Volume};
use crate::words::{human, percent, share};

/// Where bars begin, and how long they may be.
const BAR: f64 = 300.0;
const LENGTH: f64 = 480.0;
/// Height of a line.
const LINE: f64 = 24.0;
/// Lines of a list.
const LISTED: usize = 12;

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
    for (name, bytes) in &export.containers {
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

/// How well files are compressed, by the endings of their names.
pub(crate) fn compression(volume: &Volume) -> Option<Drawing> {
    let packing = volume.packing.as_ref()?;
    let known: Vec<_> =
        volume.extensions.iter().filter(|extension| extension.plain > 0).take(LISTED).collect();
    let whole = known.iter().map(|extension| extension.plain).max()?;
    let title = format!(
        "Compression of volume {}: {} in {} ({})",
        volume.partition,
        human(packing.plain),
        human(packing.packed),
        percent(packing.packed, packing.plain)
    );
    let mut drawing = Drawing::new(title, format!("By the {}", packing.method));
    let mut y = 0.0;
    for extension in known {
        let name = if extension.name.is_empty() { "no ending" } else { &extension.name };
        let words = format!(
            "{} to {}, {}",
            human(extension.plain),
            human(extension.packed),
            percent(extension.packed, extension.plain)
        );
        let name = format!("{name}, {} files", extension.files);
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
    drawing.label((0.0, y), WIDTH, Font::Small, "soft", &format!("{}{hardly}", packing.method));
    drawing.height = y + 18.0;
    Some(drawing)
}

/// What a build changes: the largest files.
pub(crate) fn changes(explained: &Explained) -> Option<Drawing> {
    let changes = explained.changes.as_ref()?;
    let title = format!(
        "What the build changes: {} added ({}), {} changed ({}), {} removed",
        changes.added.0,
        human(changes.added.1),
        changes.changed.0,
        human(changes.changed.1),
        changes.removed
    );
    let done: Vec<String> =
        changes.done.iter().map(|(what, lines)| format!("{what}: {}", lines.len())).collect();
    let mut drawing = Drawing::new(title, done.join(", "));
    let whole = changes.files.iter().filter_map(|change| change.size).max().unwrap_or(1).max(1);
    let mut y = 0.0;
    for change in changes.files.iter().take(LISTED) {
        let name = change.path.rsplit('\\').next().unwrap_or(&change.path);
        let size = change.size.unwrap_or(0);
        let class = match change.action.as_str() {
            "added" => "c-dirs",
            "changed" => "c-records",
            _ => "c-boot",
        };
        let size_words = change.size.map_or_else(String::new, |size| format!(" {}", human(size)));
        let words = format!("{}{size_words}", change.action);
        bar(&mut drawing, y, &Bar { name: name.to_owned(), light: 0, dark: size, whole, class, words });
        y += LINE;
    }
    for (what, lines) in &changes.done {
        for line in lines.iter().take(4) {
            drawing.label((0.0, y), 120.0, Font::Small, "soft", what);
            drawing.label((130.0, y), WIDTH - 130.0, Font::Small, "ink", line);
            y += 18.0;
        }
    }
    drawing.height = y;
    Some(drawing)
}
