//! What drawings are made of, and how it is written as SVG.
//!
//! Only rectangles, polygons and labels, each where it lies, without groups or transforms: so a test can read a finished drawing
//! and say what overlaps.

use std::fmt::Write;

use crate::measure;
use crate::words::printable;

/// Width of every drawing.
pub(crate) const WIDTH: f64 = 1000.0;

/// A rectangle on a drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

impl Area {
    pub(crate) const fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    /// The same, smaller on all sides.
    pub(crate) fn inset(self, by: f64) -> Self {
        Self::new(self.x + by, self.y + by, (self.w - 2.0 * by).max(0.0), (self.h - 2.0 * by).max(0.0))
    }
}

/// How a label looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Font {
    /// The headings of drawings in a file of several.
    Heading,
    /// Most labels.
    Normal,
    /// What belongs to a label.
    Small,
}

impl Font {
    pub(crate) const fn size(self) -> f64 {
        match self {
            Self::Heading => 17.0,
            Self::Normal => 13.0,
            Self::Small => 11.5,
        }
    }

    /// The size that widths are measured with: bold letters are wider.
    pub(crate) const fn measured(self) -> f64 {
        match self {
            Self::Heading => 17.0 * 1.17,
            Self::Normal | Self::Small => self.size(),
        }
    }

    /// From the upper edge of a line to its baseline.
    pub(crate) fn ascent(self) -> f64 {
        self.size() * 0.95
    }

    /// Height of a line.
    pub(crate) fn line(self) -> f64 {
        self.size() * 1.25
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Heading => "h",
            Self::Normal => "n",
            Self::Small => "s",
        }
    }
}

/// A drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) height: f64,
    shapes: Vec<Shape>,
}

#[derive(Clone, Debug)]
enum Shape {
    Rect { area: Area, class: String, tip: String },
    Polygon { points: Vec<(f64, f64)>, class: &'static str },
    Text { x: f64, y: f64, font: Font, class: &'static str, text: String },
}

impl Drawing {
    pub(crate) fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self { title: title.into(), description: description.into(), ..Self::default() }
    }

    /// A rectangle. `tip` is shown when the pointer is on it.
    pub(crate) fn rect(&mut self, area: Area, class: impl Into<String>, tip: impl Into<String>) {
        self.shapes.push(Shape::Rect { area, class: class.into(), tip: tip.into() });
    }

    pub(crate) fn polygon(&mut self, points: Vec<(f64, f64)>, class: &'static str) {
        self.shapes.push(Shape::Polygon { points, class });
    }

    /// A label with its upper left corner at a place, cut to `room`; whether there was room for any of it. `class` is
    /// its colour.
    pub(crate) fn label(
        &mut self,
        (x, y): (f64, f64),
        room: f64,
        font: Font,
        class: &'static str,
        text: &str,
    ) -> bool {
        let Some(text) = measure::fitted(&drawable(text), font.measured(), room) else { return false };
        if text.trim().is_empty() {
            return false;
        }
        self.shapes.push(Shape::Text { x, y: y + font.ascent(), font, class, text });
        true
    }

    /// A label that ends at a place.
    pub(crate) fn label_to(
        &mut self,
        (x, y): (f64, f64),
        room: f64,
        font: Font,
        class: &'static str,
        text: &str,
    ) {
        if let Some(text) = measure::fitted(&drawable(text), font.measured(), room) {
            self.label((x - measure::width(&text, font.measured()), y), room, font, class, &text);
        }
    }

    /// A path, of which the end says more than the beginning: that is what is cut.
    pub(crate) fn label_end(
        &mut self,
        at: (f64, f64),
        room: f64,
        font: Font,
        class: &'static str,
        text: &str,
    ) -> bool {
        let text = drawable(text);
        let shown = measure::fitted_end(&text, font.measured(), room);
        shown.is_some_and(|shown| self.label(at, room, font, class, &shown))
    }

    /// Puts another drawing below, under its title.
    pub(crate) fn append(&mut self, mut other: Self) {
        let top = self.height;
        self.label((0.0, top), WIDTH, Font::Heading, "ink", &std::mem::take(&mut other.title));
        let by = top + 28.0;
        for shape in other.shapes {
            self.shapes.push(match shape {
                Shape::Rect { area, class, tip } => {
                    Shape::Rect { area: Area { y: area.y + by, ..area }, class, tip }
                }
                Shape::Polygon { points, class } => {
                    let points = points.into_iter().map(|(x, y)| (x, y + by)).collect();
                    Shape::Polygon { points, class }
                }
                Shape::Text { x, y, font, class, text } => Shape::Text { x, y: y + by, font, class, text },
            });
        }
        self.height = by + other.height + 26.0;
    }

    /// The drawing as an SVG element. `style` goes into it when it is to stand alone. `id` makes the ids of its title and description unique in a page.
    pub(crate) fn svg(&self, id: &str, style: Option<&str>) -> String {
        const MARGIN: f64 = 2.0;
        let mut out = String::new();
        let (width, height) = (WIDTH + 2.0 * MARGIN, self.height + 2.0 * MARGIN);
        let size = match style {
            Some(_) => format!(" width=\"{}\" height=\"{}\"", number(width), number(height)),
            None => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"d\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"{size} viewBox=\"{0} {0} {1} {2}\">",
            number(-MARGIN),
            number(width),
            number(height)
        );
        let _ = writeln!(out, "<title id=\"{id}-t\">{}</title>", escaped(&drawable(&self.title)));
        let _ = writeln!(out, "<desc id=\"{id}-d\">{}</desc>", escaped(&drawable(&self.description)));
        if let Some(style) = style {
            let _ = writeln!(out, "<style>\n{style}</style>");
            let area = Area::new(-MARGIN, -MARGIN, width, height);
            self.shape(&Shape::Rect { area, class: "paper".to_owned(), tip: String::new() }, &mut out);
        }
        self.shapes.iter().for_each(|shape| self.shape(shape, &mut out));
        out.push_str("</svg>\n");
        out
    }

    fn shape(&self, shape: &Shape, out: &mut String) {
        let _ = match shape {
            Shape::Rect { area, class, tip } => {
                let Area { x, y, w, h } = *area;
                let (x, y, w, h) = (number(x), number(y), number(w), number(h));
                let _ =
                    write!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"");
                match tip.is_empty() {
                    true => writeln!(out, "/>"),
                    false => {
                        let lines: Vec<String> =
                            tip.split('\n').map(|line| escaped(&drawable(line))).collect();
                        writeln!(out, "><title>{}</title></rect>", lines.join("\n"))
                    }
                }
            }
            Shape::Polygon { points, class } => {
                let points: Vec<String> =
                    points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
                writeln!(out, "<polygon class=\"{class}\" points=\"{}\"/>", points.join(" "))
            }
            Shape::Text { x, y, font, class, text } => {
                let _ = write!(
                    out,
                    "<text class=\"{} {class}\" x=\"{}\" y=\"{}\"",
                    font.class(),
                    number(*x),
                    number(*y)
                );
                if !measure::is_known(text) {
                    let width = number(measure::width(text, font.measured()));
                    let _ = write!(out, " textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"");
                }
                writeln!(out, ">{}</text>", escaped(text))
            }
        };
    }
}

/// A number with at most one decimal place: a tenth of a pixel, which nobody sees.
fn number(value: f64) -> String {
    let tenths = (value * 10.0).round() as i64;
    let (sign, tenths) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
    match tenths % 10 {
        0 => format!("{sign}{}", tenths / 10),
        tenth => format!("{sign}{}.{tenth}", tenths / 10),
    }
}

/// Text without what cannot be in XML, and without what turns or moves it.
pub(crate) fn drawable(text: &str) -> String {
    let text = printable(text);
    let odd = |c: char| matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{ad}' | '\u{feff}');
    text.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect()
}

/// Text as it stands in XML, in an attribute, too.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(-2.0), "-2");
        assert_eq!(number(-0.04), "0");
        assert_eq!(number(12.345), "12.3");
        assert_eq!(number(-0.26), "-0.3");
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("</title><script>\"&'"), "&lt;/title&gt;&lt;script&gt;&quot;&amp;&#39;");
        assert_eq!(drawable("a\u{0}\u{202e}\u{ffff}"), "a\\u{0}\\u{202e}\u{fffd}");
    }
}
