//! The treemap of a volume's files.

use crate::canvas::{Area, Drawing, Font, WIDTH};
use crate::model::{Item, ItemKind, Volume};
use crate::style::HUES;
use crate::treemap::squarified;
use crate::words::{human, percent};

/// Height of the map.
const HEIGHT: f64 = 560.0;
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
    let area = Area::new(0.0, 0.0, WIDTH, HEIGHT);
    drawing.rect(area, "track", "");
    inside(&mut drawing, &volume.tree.items, area, None, "");
    drawing.height = HEIGHT;
    drawing
}

fn inside(drawing: &mut Drawing, items: &[Item], area: Area, hue: Option<usize>, path: &str) {
    let mut sorted: Vec<&Item> = items.iter().collect();
    sorted.sort_by_key(|item| std::cmp::Reverse(item.bytes));
    let sizes: Vec<u64> = sorted.iter().map(|item| item.bytes).collect();
    for (number, (item, area)) in sorted.into_iter().zip(squarified(&sizes, area)).enumerate() {
        if area.w >= LEAST && area.h >= LEAST {
            let path = format!("{path}\\{}", item.name);
            one(drawing, item, area, hue.unwrap_or(number % HUES), &path);
        }
    }
}

fn one(drawing: &mut Drawing, item: &Item, area: Area, hue: usize, path: &str) {
    let class = if item.kind == ItemKind::Others { "t t-others" } else { CLASSES[hue] };
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
        return inside(drawing, &item.items, below, Some(hue), path);
    }
    if area.h >= Font::Small.line() + 4.0 {
        let shown = drawing.label((x, y), room, Font::Small, "ink", &item.name);
        let size = human(item.bytes);
        // Half a number is none.
        let fits = crate::measure::width(&size, Font::Small.size()) <= room;
        if shown && fits && area.h >= 2.0 * Font::Small.line() + 6.0 {
            drawing.label((x, y + Font::Small.line()), room, Font::Small, "soft", &size);
        }
    }
}
