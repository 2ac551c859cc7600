//! Drawings of many disks, read back as the XML that they are: nothing overlaps, nothing is too wide, and no name is
//! anything but text.
#![expect(clippy::unwrap_used, reason = "tests")]

mod model;

use model::{hostile, ordinary, random};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use wimforge_picture::{Explained, TextStyle, html, svg, text};

/// A box on a drawing.
#[derive(Clone, Debug)]
struct Place {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    text: String,
}

/// What a drawing has.
#[derive(Debug, Default)]
struct Drawn {
    width: f64,
    height: f64,
    labels: Vec<Place>,
    rects: Vec<Place>,
    elements: Vec<String>,
}

/// Advance widths of DejaVu Sans, the widest of common fonts, in hundredths: measured, not taken from the program.
fn width(c: char) -> f64 {
    let hundredths = match c {
        'i' | 'j' | 'l' | '\'' => 28,
        'f' | 't' | 'r' | 'I' | 'J' | ' ' | '.' | ',' | ':' | ';' | '/' | '\\' | '-' | '|' | '(' | ')'
        | '[' | ']' => 30,
        'm' | 'M' | 'W' | '%' | '@' => 83,
        'w' | '~' | '+' | '<' | '>' | '=' | '#' | '^' => 80,
        c if c.is_ascii() => 53,
        _ => 60,
    };
    f64::from(hundredths) / 100.0
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let value = element.attributes().map(Result::unwrap).find(|found| found.key.as_ref() == name)?;
    Some(value.value.into_owned())
}

fn read(drawing: &str) -> Drawn {
    let number = |element: &BytesStart<'_>, name: &str| {
        attribute(element, name).map(|value| value.parse::<f64>().unwrap())
    };
    let mut reader = Reader::from_str(drawing);
    let mut drawn = Drawn::default();
    let mut open: Option<Place> = None;
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                match name.as_str() {
                    "svg" => {
                        let numbers = attribute(&element, "viewBox").unwrap();
                        let numbers: Vec<f64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
                        (drawn.width, drawn.height) = (numbers[2] + numbers[0], numbers[3] + numbers[1]);
                    }
                    "rect" => {
                        let get = |name| number(&element, name).unwrap();
                        let text = attribute(&element, "class").unwrap();
                        drawn.rects.push(Place {
                            x: get("x"),
                            y: get("y"),
                            w: get("width"),
                            h: get("height"),
                            text,
                        });
                    }
                    "text" => {
                        let size = match attribute(&element, "class").unwrap().split(' ').next() {
                            Some("h") => 17.0,
                            Some("n") => 13.0,
                            _ => 11.5,
                        };
                        let (x, y) = (number(&element, "x").unwrap(), number(&element, "y").unwrap());
                        let w = number(&element, "textLength").unwrap_or(-size);
                        // From the top of capitals to the foot of a g.
                        open = Some(Place { x, y: y - 0.74 * size, w, h: 0.95 * size, text: String::new() });
                    }
                    _ => {}
                }
                drawn.elements.push(name);
            }
            Event::Text(found) => {
                if let Some(open) = &mut open {
                    open.text += &found;
                }
            }
            Event::GeneralRef(_) => {
                if let Some(open) = &mut open {
                    open.text.push('x');
                }
            }
            Event::End(element) if element.name().as_ref() == "text" => {
                let mut label = open.take().unwrap();
                if label.w < 0.0 {
                    label.w = -label.w * label.text.chars().map(width).sum::<f64>();
                }
                drawn.labels.push(label);
            }
            _ => {}
        }
    }
    drawn
}

/// Labels overlap neither one another nor the edges, of the drawing or of the boxes that they begin in.
fn check(explained: &Explained) -> Result<(), String> {
    let drawing = svg(explained);
    let drawn = read(&drawing);
    let known = ["svg", "title", "desc", "style", "rect", "polygon", "text"];
    if let Some(odd) = drawn.elements.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("element {odd}"));
    }
    for (number, a) in drawn.labels.iter().enumerate() {
        if a.x < -0.1 || a.y < -0.1 || a.x + a.w > drawn.width + 0.1 || a.y + a.h > drawn.height + 0.1 {
            return Err(format!("{a:?} leaves the drawing of {} x {}", drawn.width, drawn.height));
        }
        for b in &drawn.labels[number + 1..] {
            let over = |a: f64, al: f64, b: f64, bl: f64| (a + al).min(b + bl) - a.max(b);
            if over(a.x, a.w, b.x, b.w) > 0.3 && over(a.y, a.h, b.y, b.h) > 0.3 {
                return Err(format!("{a:?} and {b:?}"));
            }
        }
        // The smallest box that it begins in, of those that have labels.
        let boxes = drawn.rects.iter().filter(|rect| {
            let class = rect.text.as_str();
            let labelled =
                class.starts_with("t ") || ["box", "ok", "warning", "broken", "beyond"].contains(&class);
            labelled
                && (rect.x..rect.x + rect.w).contains(&a.x)
                && (rect.y..rect.y + rect.h).contains(&(a.y + a.h / 2.0))
        });
        let inner = boxes.min_by(|a, b| (a.w * a.h).total_cmp(&(b.w * b.h)));
        if let Some(inner) = inner
            && (a.x + a.w > inner.x + inner.w + 0.1 || a.y + a.h > inner.y + inner.h + 0.5)
        {
            return Err(format!("{a:?} leaves {inner:?}"));
        }
    }
    Ok(())
}

#[test]
fn labels_of_an_ordinary_disk_do_not_overlap() {
    let explained = ordinary();
    check(&explained).unwrap();
    let drawn = read(&svg(&explained));
    // What is said has to be there for it not to overlap.
    for wanted in ["Windows", "1 partition table", "System32\\", "as vhd, vhdx", "4.0 GiB"] {
        assert!(drawn.labels.iter().any(|label| label.text.contains(wanted)), "{wanted}: {:?}", drawn.labels);
    }
}

#[test]
fn the_check_sees_an_overlap() {
    let drawing = svg(&ordinary());
    let moved = drawing.replacen("<text class=\"s soft\" x=\"222\"", "<text class=\"s soft\" x=\"30\"", 1);
    assert_ne!(drawing, moved);
    let drawn = read(&moved);
    let hit = drawn.labels.iter().enumerate().any(|(number, a)| {
        drawn.labels[number + 1..].iter().any(|b| (a.x - b.x).abs() < a.w.min(b.w) && (a.y - b.y).abs() < 5.0)
    });
    assert!(hit);
}

#[test]
fn names_from_a_disk_are_text_and_nothing_else() {
    let explained = hostile();
    check(&explained).unwrap();
    let page = html(&explained);
    for wrong in ["<script", "onload=", "<img", "javascript:", "\u{202e}", "\u{0}", "\u{1b}", "http:", "url("]
    {
        let allowed = page.matches(wrong).count();
        let expected =
            if wrong == "http:" { page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count() } else { 0 };
        let escaped = if ["onload=", "javascript:", "url("].contains(&wrong) { allowed } else { 0 };
        assert_eq!(allowed - escaped, expected, "{wrong}");
    }
    // Attribute values hold numbers and words of ours.
    assert!(!page.contains("onload=\"") && !page.contains("onload='"));
    let shown = text(&explained, &TextStyle { unicode: true, ..TextStyle::default() });
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{0}']));
}

#[test]
fn text_fits_its_columns() {
    for explained in [ordinary(), hostile()] {
        for columns in [1, 60, 79, 90, 100, 300] {
            let shown = text(&explained, &TextStyle { columns, ..TextStyle::default() });
            for line in shown.lines() {
                let room = columns.clamp(60, 100);
                assert!(line.chars().count() <= room, "{} of {room}: {line}", line.chars().count());
            }
        }
        for style in [TextStyle::default(), TextStyle { unicode: true, ..TextStyle::default() }] {
            let shown = text(&explained, &style);
            for line in shown.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", line.chars().count());
            }
            assert_eq!(shown.is_ascii(), !style.unicode && explained.title.is_ascii(), "{shown}");
        }
        let colored = text(&explained, &TextStyle { unicode: true, color: true, columns: 0 });
        assert!(colored.contains("\u{1b}[0m"));
    }
}

#[test]
fn drawings_are_what_others_call_xml() {
    let folder = tempfile::tempdir().unwrap();
    for (number, explained) in [ordinary(), hostile(), Explained::default()].iter().enumerate() {
        let path = folder.path().join(format!("{number}.svg"));
        std::fs::write(&path, svg(explained)).unwrap();
        let Some(xmllint) = testkit::tool("xmllint") else { return };
        let output = xmllint.command().arg("--noout").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_disk_of_nothing() {
    let explained = Explained::default();
    check(&explained).unwrap();
    html(&explained);
    text(&explained, &TextStyle::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn labels_of_any_disk_do_not_overlap(seed in any::<u64>()) {
        let explained = random(seed);
        let outcome = check(&explained);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
        prop_assert_eq!(svg(&explained), svg(&explained));
        prop_assert!(html(&explained).len() < 2 << 20);
        for line in text(&explained, &TextStyle { unicode: true, ..TextStyle::default() }).lines() {
            prop_assert!(line.chars().count() <= 100, "{}", line);
        }
    }
}
