//! The treemap of a volume's files.

use crate::canvas::{Area, Drawing, Font, WIDTH, drawable};
use crate::model::{Item, ItemKind, Volume};
use crate::style::HUES;
use crate::treemap::squarified;
use crate::words::{human, percent};

/// Height of the map, and of one with few files.
const HEIGHT: f64 = 560.0;
const LOW: f64 = 260.0;
/// So many boxes are few.
const FEW: usize = 16;
/// Lines of a name.
const LINES: usize = 3;
/// Height of the strip with a folder's name.
const HEAD: f64 = 17.0;
/// Smaller boxes are not drawn.
const LEAST: f64 = 2.5;
/// The class of a box, by the folder at the top that it is in.
const CLASSES: [&str; HUES] = ["t t0", "t t1", "t t2", "t t3", "t t4", "t t5", "t t6", "t t7"];

/// Files by folder: areas are clusters.
pub(crate) fn files(volume: &Volume) -> Drawing {
    let top: Vec<String> = volume
        .tree
        .items
        .iter()
        .take(12)
        .map(|item| {
            format!("{} {} ({})", item.name, human(item.bytes), percent(item.bytes, volume.tree.bytes))
        })
        .collect();
    let title =
        format!("Files of volume {} by folder: {} in clusters", volume.partition, human(volume.tree.bytes));
    let mut drawing = Drawing::new(title, top.join(", "));
    let height = if boxes(&volume.tree) <= FEW { LOW } else { HEIGHT };
    let area = Area::new(0.0, 0.0, WIDTH, height);
    drawing.rect(area, "track", "");
    inside(&mut drawing, &volume.tree.items, area, None, "");
    drawing.height = height;
    drawing
}

/// How many boxes there are that hold no others.
fn boxes(item: &Item) -> usize {
    if item.items.is_empty() { 1 } else { item.items.iter().map(boxes).sum() }
}

/// What lies in a folder. Boxes have the hue of their folder, or else folders one of their own each and files one together.
fn inside(drawing: &mut Drawing, items: &[Item], area: Area, hue: Option<usize>, path: &str) {
    let mut sorted: Vec<&Item> = items.iter().collect();
    sorted.sort_by_key(|item| std::cmp::Reverse(item.bytes));
    let sizes: Vec<u64> = sorted.iter().map(|item| item.bytes).collect();
    let total = sizes.iter().fold(0u64, |sum, &size| sum.saturating_add(size));
    let mut folders = 0;
    for (item, area) in sorted.into_iter().zip(squarified(&sizes, area)) {
        if area.w >= LEAST && area.h >= LEAST {
            let path = format!("{path}\\{}", item.name);
            // Of a disk with Windows on it, nearly all is in one folder: what is in that has hues then, which it leaves to it.
            let is_most = item.kind == ItemKind::Folder && item.items.len() > 1 && item.bytes > total / 4 * 3;
            let own = match item.kind {
                ItemKind::Folder if is_most => None,
                ItemKind::Folder => {
                    folders += 1;
                    Some(folders % HUES)
                }
                ItemKind::File | ItemKind::Others => Some(0),
            };
            one(drawing, item, area, hue.or(own), &path);
        }
    }
}

fn one(drawing: &mut Drawing, item: &Item, area: Area, hue: Option<usize>, path: &str) {
    let class = match hue {
        Some(hue) if item.kind != ItemKind::Others => CLASSES[hue],
        _ => "t t-others",
    };
    let mut tip = format!("{path}\n{} in clusters", human(item.bytes));
    if item.kind != ItemKind::File {
        tip += &format!(", {} files", item.files);
    }
    if item.plain > 0 {
        tip += &format!("\ncompressed to {}", percent(item.packed, item.plain));
    }
    drawing.rect(area, class, tip);
    let room = area.w - 8.0;
    let (x, y) = (area.x + 4.0, area.y + 2.0);
    let opened = !item.items.is_empty() && area.w >= 56.0 && area.h >= 40.0;
    if opened {
        // The size goes to the right of the name, if both fit.
        let (name, size) = (format!("{}\\", item.name), human(item.bytes));
        let wide = crate::measure::width(&size, Font::Small.size()) + 8.0;
        let beside = room - wide > 60.0;
        drawing.label((x, y), if beside { room - wide } else { room }, Font::Small, "ink", &name);
        if beside {
            drawing.label_to((x + room, y), wide, Font::Small, "soft", &size);
        }
        let below = Area::new(area.x + 2.0, area.y + HEAD, area.w - 4.0, area.h - HEAD - 2.0);
        return inside(drawing, &item.items, below, hue, path);
    }
    let line = Font::Small.line();
    let lines = ((area.h - 4.0) / line) as usize;
    if lines == 0 {
        return;
    }
    let size = human(item.bytes);
    // Half a number is none.
    let with_size = lines > 1 && crate::measure::width(&size, Font::Small.size()) <= room;
    let most = (lines - usize::from(with_size)).min(LINES);
    let name = crate::measure::broken(&drawable(&item.name), Font::Small.size(), room, most);
    for (number, part) in name.iter().enumerate() {
        drawing.label((x, y + number as f64 * line), room, Font::Small, "ink", part);
    }
    if with_size && !name.is_empty() {
        drawing.label((x, y + name.len() as f64 * line), room, Font::Small, "soft", &size);
    }
}
