//! All drawings in one file.

use crate::canvas::Drawing;
use crate::html::DRAWN;
use crate::model::Explained;
use crate::{charts, disk, files, flow, style};

/// One SVG file with everything that can be drawn.
pub fn svg(explained: &Explained) -> String {
    let what = explained.subtitle.join(", ");
    let mut whole = Drawing::new(explained.title.clone(), what.clone());
    whole.label((0.0, 2.0), crate::canvas::WIDTH, crate::canvas::Font::Heading, "ink", &explained.title);
    whole.label((0.0, 26.0), crate::canvas::WIDTH, crate::canvas::Font::Normal, "soft", &what);
    whole.height = 60.0;
    drawings(explained).into_iter().for_each(|drawing| whole.append(drawing));
    whole.svg("w", Some(&style::sheet()))
}

/// The drawings, in their order.
fn drawings(explained: &Explained) -> Vec<Drawing> {
    let mut drawings = vec![disk::disk(explained)];
    for volume in explained.volumes.iter().take(DRAWN) {
        drawings.push(disk::volume(volume));
        if volume.tree.bytes > 0 {
            drawings.push(files::files(volume));
        }
        drawings.extend(charts::compression(volume));
    }
    drawings.push(charts::export(explained));
    drawings.extend(charts::changes(explained));
    drawings.extend(explained.chains.iter().map(flow::chain));
    drawings
}
