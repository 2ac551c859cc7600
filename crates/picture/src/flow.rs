//! The boot chain: a box for each link, arrows between them.

use crate::canvas::{Area, Drawing, Font, WIDTH};
use crate::measure;
use crate::model::{Chain, Link, LinkState};

/// Boxes in a row, and their sizes.
const COLUMNS: usize = 4;
const GAP: f64 = 26.0;
const BOX: f64 = (WIDTH - (COLUMNS as f64 - 1.0) * GAP) / COLUMNS as f64;
const HEIGHT: f64 = 74.0;
const ROW: f64 = HEIGHT + 24.0;
/// Lines of a finding.
const LINES: usize = 4;

/// How a disk starts.
pub(crate) fn chain(chain: &Chain) -> Drawing {
    let words: Vec<String> = chain
        .links
        .iter()
        .map(|link| format!("{}: {}, {}", link.name, link.state.name(), link.detail))
        .collect();
    let title =
        format!("How it starts by {}: {}", chain.firmware, if chain.starts { "unbroken" } else { "BROKEN" });
    let mut drawing = Drawing::new(title, format!("{}. {}", words.join(". "), chain.verdict));
    for (number, link) in chain.links.iter().enumerate() {
        let (column, row) = (number % COLUMNS, number / COLUMNS);
        let area = Area::new(column as f64 * (BOX + GAP), row as f64 * ROW, BOX, HEIGHT);
        one(&mut drawing, link, number, area);
        if number + 1 < chain.links.len() {
            match column + 1 < COLUMNS {
                true => arrow(&mut drawing, area),
                false => around(&mut drawing, area),
            }
        }
    }
    let mut y = chain.links.len().div_ceil(COLUMNS) as f64 * ROW - 8.0;
    for (number, link) in chain.links.iter().enumerate() {
        let (_, ink, _) = looks(link.state);
        for finding in &link.findings {
            let lines = measure::wrapped(
                &crate::canvas::drawable(finding),
                Font::Normal.size(),
                WIDTH - 170.0,
                LINES,
            );
            drawing.label((0.0, y), 160.0, Font::Normal, ink, &format!("{} {}", number + 1, link.name));
            for line in lines {
                drawing.label((170.0, y), WIDTH - 170.0, Font::Normal, "ink", &line);
                y += 18.0;
            }
            y += 4.0;
        }
    }
    for line in measure::wrapped(&crate::canvas::drawable(&chain.verdict), Font::Normal.size(), WIDTH, 2) {
        let ink = if chain.starts { "i-ok" } else { "i-broken" };
        drawing.label((0.0, y), WIDTH, Font::Normal, ink, &line);
        y += 18.0;
    }
    drawing.height = y;
    drawing
}

/// The classes of a box, of its words, and of its sign.
fn looks(state: LinkState) -> (&'static str, &'static str, &'static str) {
    match state {
        LinkState::Ok => ("ok", "i-ok", "sign-ok"),
        LinkState::Warning => ("warning", "i-warning", "sign-warning"),
        LinkState::Broken => ("broken", "i-broken", "sign-broken"),
        LinkState::NotReached => ("beyond", "i-beyond", "sign-beyond"),
    }
}

fn one(drawing: &mut Drawing, link: &Link, number: usize, area: Area) {
    let (class, ink, sign) = looks(link.state);
    let tip = format!("{}: {}\n{}", link.name, link.state.name(), link.detail);
    drawing.rect(area, class, tip);
    // A bar at the side, whose shape says the state, too: whole, in two parts, in dots.
    let side = Area { w: 5.0, ..area };
    match link.state {
        LinkState::Ok => drawing.rect(side, sign, ""),
        LinkState::Warning => {
            drawing.rect(Area { h: area.h * 0.6, ..side }, sign, "");
            drawing.rect(Area { y: area.y + area.h * 0.75, h: area.h * 0.25, ..side }, sign, "");
        }
        LinkState::Broken => {
            drawing.rect(Area { h: area.h * 0.38, ..side }, sign, "");
            drawing.rect(Area { y: area.y + area.h * 0.62, h: area.h * 0.38, ..side }, sign, "");
        }
        LinkState::NotReached => {
            for dot in 0..5u32 {
                let y = area.y + f64::from(dot) * area.h / 5.0 + area.h / 20.0;
                drawing.rect(Area { y, h: area.h / 10.0, ..side }, sign, "");
            }
        }
    }
    let (x, room) = (area.x + 12.0, area.w - 18.0);
    let state = link.state.name();
    let wide = measure::width(state, Font::Small.size()) + 6.0;
    let name = format!("{} {}", number + 1, link.name);
    drawing.label((x, area.y + 5.0), room - wide, Font::Normal, "ink", &name);
    drawing.label_to((x + room, area.y + 6.0), wide, Font::Small, ink, state);
    let detail = crate::canvas::drawable(&link.detail);
    for (line, text) in measure::wrapped(&detail, Font::Small.size(), room, 3).iter().enumerate() {
        let y = area.y + 25.0 + line as f64 * (Font::Small.line() + 0.5);
        drawing.label((x, y), room, Font::Small, "soft", text);
    }
}

/// To the next box in the row.
fn arrow(drawing: &mut Drawing, from: Area) {
    let (x, y) = (from.x + from.w, from.y + from.h / 2.0);
    drawing.rect(Area::new(x + 3.0, y - 1.0, GAP - 12.0, 2.0), "arrow", "");
    drawing.polygon(vec![(x + GAP - 10.0, y - 5.0), (x + GAP - 2.0, y), (x + GAP - 10.0, y + 5.0)], "arrow");
}

/// To the first box of the next row.
fn around(drawing: &mut Drawing, from: Area) {
    let (x, y) = (from.x + from.w / 2.0, from.y + from.h);
    let middle = y + 8.0;
    let to = BOX / 2.0;
    drawing.rect(Area::new(x - 1.0, y + 2.0, 2.0, 6.0), "arrow", "");
    drawing.rect(Area::new(to - 1.0, middle, x - to + 2.0, 2.0), "arrow", "");
    drawing.rect(Area::new(to - 1.0, middle, 2.0, 7.0), "arrow", "");
    drawing.polygon(vec![(to - 5.0, y + 14.0), (to + 5.0, y + 14.0), (to, y + 21.0)], "arrow");
}
