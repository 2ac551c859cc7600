//! Drawings of the disk and of volumes, to scale.

use crate::canvas::{Area, Drawing, Font, WIDTH};
use crate::model::{Cells, Class, Explained, Place, PlaceKind, Volume};
use crate::style::fill;
use crate::words::{human, percent, share};

/// Places that are listed.
const LISTED: usize = 24;
/// What lies on a disk is at least so wide, to be seen at all.
const LEAST: f64 = 1.5;

/// The whole disk: partitions, what is in them, what is stored.
pub(crate) fn disk(explained: &Explained) -> Drawing {
    let description = explained.places.iter().map(sentence).collect::<Vec<_>>().join(". ");
    let mut drawing = Drawing::new("The disk, to scale", description);
    let scale = |at: u64| share(at, explained.disk_size) * WIDTH;
    let mut y = 0.0;
    boxes(&mut drawing, explained, scale);
    y += 48.0;
    strip(&mut drawing, &explained.cells, explained.disk_size, Area::new(0.0, y, WIDTH, 44.0));
    y += 48.0;
    drawing.rect(
        Area::new(0.0, y, WIDTH, 8.0),
        "track",
        "What the container stores: dark. What it leaves out: light.",
    );
    let unit = explained.cells.unit;
    for run in runs(&explained.cells, |cell| cell.stored > 0) {
        let (from, to) = (scale(run.start as u64 * unit), scale(run.end as u64 * unit));
        drawing.rect(Area::new(from, y, to - from, 8.0), "stored", "stored");
    }
    y += 12.0;
    for quarter in 0..=4u64 {
        let at = (u128::from(explained.disk_size) * u128::from(quarter) / 4) as u64;
        let text = human(at);
        let x = f64::from(quarter as u32) * WIDTH / 4.0;
        match quarter {
            0 => {
                drawing.label((x, y), 120.0, Font::Small, "soft", "0");
            }
            4 => drawing.label_to((x, y), 120.0, Font::Small, "soft", &text),
            _ => {
                drawing.label((x + 3.0, y), 120.0, Font::Small, "soft", &text);
                drawing.rect(Area::new(x - 0.5, y - 3.0, 1.0, 12.0), "arrow", "");
            }
        }
    }
    y += 24.0;
    let mut classes: Vec<Class> = explained.cells.cells.iter().map(|cell| cell.class).collect();
    classes.extend(explained.volumes.iter().flat_map(|volume| volume.parts.iter().map(|part| part.class)));
    classes.push(Class::Free);
    let entries: Vec<(&str, String)> = Class::ALL
        .into_iter()
        .filter(|class| classes.contains(class))
        .map(|class| (fill(class), class.label().to_owned()))
        .chain([("stored", "stored by the container".to_owned())])
        .collect();
    y += legend(&mut drawing, y, &entries, 5);
    y += 8.0;
    y += list(&mut drawing, explained, y);
    drawing.height = y;
    drawing
}

fn sentence(place: &Place) -> String {
    let number = place.number.map_or_else(String::new, |number| format!("partition {number} "));
    format!("{number}{} at {}, {}", place.name, human(place.start), human(place.size))
}

/// The partitions as boxes with their names, as far as there is room.
fn boxes(drawing: &mut Drawing, explained: &Explained, scale: impl Fn(u64) -> f64) {
    let mut last = 0.0;
    for place in &explained.places {
        // Partitions that overlap are drawn side by side.
        let from = scale(place.start).max(last);
        let to = scale(place.start.saturating_add(place.size)).max(from);
        let partition = place.kind == PlaceKind::Partition;
        let width = if partition { (to - from).max(LEAST) } else { to - from };
        let area = Area::new(from, 0.0, width.min(WIDTH - from).max(0.0), 44.0);
        last = from + area.w;
        if area.w < 0.05 {
            continue;
        }
        drawing.rect(area, if partition { "box" } else { "paper" }, sentence(place));
        if partition {
            drawing.rect(area.inset(0.5), "edge", sentence(place));
            let number = place.number.map_or_else(String::new, |number| format!("{number} "));
            let room = area.w - 10.0;
            drawing.label((area.x + 5.0, 5.0), room, Font::Normal, "ink", &format!("{number}{}", place.name));
            drawing.label((area.x + 5.0, 24.0), room, Font::Small, "soft", &human(place.size));
        }
    }
}

/// Places as lines of words: what is too narrow for a label is here, too.
fn list(drawing: &mut Drawing, explained: &Explained, top: f64) -> f64 {
    let mut y = top;
    let columns = [
        (0.0, 24.0),
        (28.0, 190.0),
        (222.0, 290.0),
        (516.0, 100.0),
        (620.0, 100.0),
        (724.0, 130.0),
        (858.0, 140.0),
    ];
    for ((x, room), head) in columns.into_iter().zip(["", "place", "kind", "at", "size", "in use", "stored"])
    {
        drawing.label((x, y), room, Font::Small, "soft", head);
    }
    y += 18.0;
    for place in explained.places.iter().take(LISTED) {
        let used = place
            .used
            .map_or_else(String::new, |used| format!("{} ({})", human(used), percent(used, place.size)));
        let cells = [
            place.number.map_or_else(String::new, |number| number.to_string()),
            place.name.clone(),
            place.detail.clone(),
            human(place.start),
            human(place.size),
            used,
            human(place.stored),
        ];
        for (number, ((x, room), cell)) in columns.into_iter().zip(cells).enumerate() {
            let class = if number < 2 { "ink" } else { "soft" };
            drawing.label((x, y), room, Font::Small, class, &cell);
        }
        y += 17.0;
        if let Some(problem) = &place.problem {
            drawing.label((28.0, y), WIDTH - 30.0, Font::Small, "i-broken", &format!("! {problem}"));
            y += 17.0;
        }
    }
    let more = explained.places.len().saturating_sub(LISTED);
    if more > 0 {
        drawing.label((28.0, y), WIDTH - 30.0, Font::Small, "soft", &format!("and {more} more"));
        y += 17.0;
    }
    y - top
}

/// Neighbouring cells of which something is true.
fn runs(cells: &Cells, wanted: impl Fn(&crate::model::Cell) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (number, _) in cells.cells.iter().enumerate().filter(|(_, cell)| wanted(cell)) {
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

/// Cells side by side: each as high as it is full.
fn strip(drawing: &mut Drawing, cells: &Cells, size: u64, area: Area) {
    drawing.rect(area, "c-free", "free");
    row(drawing, cells, 0..cells.cells.len(), area, |number| {
        share((number as u64).saturating_mul(cells.unit), size)
    });
}

/// A row of cells; `at` says where each begins, between 0 and 1.
fn row(
    drawing: &mut Drawing,
    cells: &Cells,
    range: std::ops::Range<usize>,
    area: Area,
    at: impl Fn(usize) -> f64,
) {
    // How high, in whole pixels: neighbours that look alike are one shape.
    let look = |number: usize| {
        let cell = cells.cells[number];
        if cell.used == 0 {
            return None;
        }
        let height = (share(cell.used, cells.unit) * area.h).ceil().clamp(2.0, area.h);
        Some((cell.class, height as u32))
    };
    let mut next = range.start;
    while next < range.end {
        let first = next;
        let looks = look(first);
        while next < range.end && look(next) == looks {
            next += 1;
        }
        let Some((class, height)) = looks else { continue };
        let height = f64::from(height);
        let (from, to) = (area.x + at(first) * area.w, area.x + at(next) * area.w);
        let used: u64 = cells.cells[first..next].iter().map(|cell| cell.used).sum();
        let tip = format!(
            "{}: {} of {} at {}",
            class.label(),
            human(used),
            human(cells.unit.saturating_mul((next - first) as u64)),
            human((first as u64).saturating_mul(cells.unit))
        );
        drawing.rect(Area::new(from, area.y + area.h - height, to - from, height), fill(class), tip);
    }
}

/// Coloured squares with words, in columns; returns the height.
pub(crate) fn legend(drawing: &mut Drawing, top: f64, entries: &[(&str, String)], columns: usize) -> f64 {
    let width = WIDTH / columns as f64;
    for (number, (class, text)) in entries.iter().enumerate() {
        let (x, y) = ((number % columns) as f64 * width, top + (number / columns) as f64 * 19.0);
        drawing.rect(Area::new(x, y + 2.0, 11.0, 11.0), *class, "");
        drawing.label((x + 16.0, y), width - 24.0, Font::Small, "ink", text);
    }
    entries.len().div_ceil(columns) as f64 * 19.0
}

/// Cells in a row of a volume's map.
const COLUMNS: usize = 120;
/// Height of such a row.
const ROW: f64 = 15.0;

/// A volume: which clusters hold what.
pub(crate) fn volume(volume: &Volume) -> Drawing {
    // Windows allows 32 letters.
    let label: String = volume.label.chars().take(32).collect();
    let label = if label.is_empty() { label } else { format!(" {label}") };
    let title = format!("Clusters of volume {}{label}, {}", volume.partition, volume.file_system);
    let words: Vec<String> =
        volume.parts.iter().map(|part| format!("{}: {}", part.label, human(part.bytes))).collect();
    let mut drawing = Drawing::new(title, words.join(", "));
    let cells = &volume.cells;
    let count = cells.cells.len();
    let rows = count.div_ceil(COLUMNS);
    for number in 0..rows {
        let range = number * COLUMNS..((number + 1) * COLUMNS).min(count);
        let y = number as f64 * ROW;
        let width = (range.end - range.start) as f64 / COLUMNS as f64 * WIDTH;
        drawing.rect(Area::new(0.0, y, width, ROW - 2.0), "c-free", "free");
        let first = range.start;
        let area = Area::new(0.0, y, WIDTH, ROW - 2.0);
        row(&mut drawing, cells, range, area, |at| (at - first) as f64 / COLUMNS as f64);
    }
    let mut y = rows as f64 * ROW + 2.0;
    let text = format!(
        "left to right, top to bottom; a piece is {}, as high as it is full, in the colour of most of it; {} of {} in use ({})",
        human(cells.unit),
        human(volume.used),
        human(volume.size),
        percent(volume.used, volume.size)
    );
    drawing.label((0.0, y), WIDTH, Font::Small, "soft", &text);
    y += 22.0;
    let entries: Vec<(&str, String)> = volume
        .parts
        .iter()
        .map(|part| {
            let pieces = if part.pieces > 1 { format!(", {} pieces", part.pieces) } else { String::new() };
            (fill(part.class), format!("{} {}{pieces}", part.label, human(part.bytes)))
        })
        .collect();
    y += legend(&mut drawing, y, &entries, 3);
    drawing.height = y;
    drawing
}
