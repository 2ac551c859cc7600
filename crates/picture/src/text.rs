//! A disk in words and bars, for terminals: at most 100 columns. Narrower ones get no bars beside numbers, and shorter names.

use std::fmt::Write;

use crate::model::{Cells, Chain, Class, Container, Explained, Item, ItemKind, LinkState, PlaceKind, Volume};
use crate::words::{count, human, percent, printable, share};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextStyle {
    /// Blocks and lines beyond ASCII.
    pub unicode: bool,
    /// Colours, by the sequences of ECMA-48.
    pub color: bool,
    /// Columns of a line, from 60 to 100; 0 for 100.
    pub columns: usize,
}

/// Columns of a line, and the fewest: names and numbers need some.
const WIDTH: usize = 100;
const NARROW: usize = 60;
/// Columns of bars beside numbers.
const SMALL_BAR: usize = 20;
/// Folders that are listed, in and below each.
const FOLDERS: usize = 12;
const BELOW: usize = 5;
/// Folders with changes that are listed, and keys of each hive.
const CHANGED: usize = 12;

/// The disk as text.
pub fn text(explained: &Explained, style: &TextStyle) -> String {
    let columns = if style.columns == 0 { WIDTH } else { style.columns };
    let mut page = Page { out: String::new(), style: *style, width: columns.clamp(NARROW, WIDTH) };
    page.head(explained);
    page.places(explained);
    for volume in &explained.volumes {
        page.volume(volume);
    }
    page.export(explained);
    page.changes(explained);
    explained.chains.iter().for_each(|chain| page.chain(chain));
    if !explained.notes.is_empty() {
        page.heading("Notes");
        explained.notes.iter().for_each(|note| page.paragraph("  ", note));
    }
    page.out
}

struct Page {
    out: String,
    style: TextStyle,
    width: usize,
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($page:expr, $($arg:tt)*) => {{
        let _ = writeln!($page.out, $($arg)*);
    }};
}

impl Page {
    /// Columns of bars beside numbers: none where there is no room for them.
    fn small_bar(&self) -> usize {
        if self.width < WIDTH { 0 } else { SMALL_BAR }
    }

    /// The columns of a name, of `most`, in a line whose rest takes `rest`.
    fn name(&self, most: usize, rest: usize) -> usize {
        most.min(self.width - rest)
    }

    fn heading(&mut self, text: &str) {
        let text = shortened(text, self.width);
        match self.style.color {
            true => line!(self, "\n\u{1b}[1m{text}\u{1b}[0m"),
            false => line!(self, "\n{text}"),
        }
    }

    /// Text in lines that fit, all of them indented.
    fn paragraph(&mut self, indent: &str, text: &str) {
        let mut line = String::new();
        for word in printable(text).split_whitespace() {
            let word = shortened(word, self.width - width_of(indent));
            let used = indent.chars().count() + line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && used > self.width {
                line!(self, "{indent}{line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        if !line.is_empty() {
            line!(self, "{indent}{line}");
        }
    }

    /// So many of `width` columns, with eighths where the terminal has them.
    fn bar(&self, share: f64, width: usize) -> String {
        const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        let cells = share.clamp(0.0, 1.0) * width as f64;
        let whole = cells as usize;
        let (full, empty) = if self.style.unicode { ('█', ' ') } else { ('#', '.') };
        let mut bar: String = std::iter::repeat_n(full, whole.min(width)).collect();
        if whole < width && self.style.unicode {
            let eighth = ((cells - whole as f64) * 8.0) as usize;
            bar.push(if eighth == 0 && whole == 0 && share > 0.0 { '▏' } else { EIGHTHS[eighth.min(7)] });
        } else if whole == 0 && share > 0.0 && width > 0 {
            bar.push('|');
        }
        let used = bar.chars().count();
        bar.extend(std::iter::repeat_n(empty, width.saturating_sub(used)));
        bar
    }

    fn head(&mut self, explained: &Explained) {
        match self.style.color {
            true => line!(self, "\u{1b}[1m{}\u{1b}[0m", shortened(&explained.title, self.width)),
            false => line!(self, "{}", shortened(&explained.title, self.width)),
        }
        if !explained.subtitle.is_empty() {
            let text = explained.subtitle.join(", ");
            self.paragraph("", &text);
        }
        let export = &explained.export;
        let stored = percent(export.stored, explained.disk_size);
        line!(self, "{}, {} of it stored ({stored})", human(explained.disk_size), human(export.stored));
    }

    /// The pieces of a disk or volume as one line of letters or blocks.
    fn strip(&mut self, cells: &Cells, width: usize) {
        let all = &cells.cells;
        if all.is_empty() {
            return;
        }
        let mut line = String::new();
        let width = width.min(all.len());
        let mut color = None;
        for column in 0..width {
            // Every piece is in one column.
            let part = &all[column * all.len() / width
                ..((column + 1) * all.len() / width).max(column * all.len() / width + 1)];
            let used: u64 = part.iter().map(|cell| cell.used).sum();
            let most = part.iter().max_by_key(|cell| cell.used).expect("a column has a piece");
            let whole = cells.unit.saturating_mul(part.len() as u64);
            let mark = if used == 0 { mark(Class::Free) } else { mark(most.class) };
            if self.style.color {
                let wanted = if used == 0 { None } else { Some(ansi(most.class)) };
                if wanted != color {
                    let _ = match wanted {
                        Some(code) => write!(line, "\u{1b}[{code}m"),
                        None => write!(line, "\u{1b}[0m"),
                    };
                    color = wanted;
                }
            }
            line.push(match (self.style.unicode && self.style.color, used) {
                (true, 1..) => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
                    [((share(used, whole) * 8.0).ceil() as usize).clamp(1, 8) - 1],
                (true, 0) => '·',
                (false, _) => mark,
            });
        }
        if color.is_some() {
            line.push_str("\u{1b}[0m");
        }
        line!(self, "  {line}");
    }

    /// What the marks of a strip mean.
    fn legend(&mut self, classes: &[Class]) {
        let mut line = String::new();
        let mut columns = 0;
        for class in Class::ALL.into_iter().filter(|class| classes.contains(class)) {
            let free = class == Class::Free;
            let mark = match (self.style.unicode && self.style.color, free) {
                (true, false) => format!("\u{1b}[{}m█\u{1b}[0m", ansi(class)),
                (true, true) => "·".to_owned(),
                (false, _) => mark(class).to_string(),
            };
            let wide = class.label().len() + 5;
            if columns + wide > self.width {
                line!(self, "{}", line.trim_end());
                line.clear();
                columns = 0;
            }
            let _ = write!(line, "  {mark} {} ", class.label());
            columns += wide;
        }
        line!(self, "{}", line.trim_end());
    }

    fn places(&mut self, explained: &Explained) {
        self.heading("The disk, to scale");
        self.strip(&explained.cells, self.width - 4);
        let mut classes: Vec<Class> = explained.cells.cells.iter().map(|cell| cell.class).collect();
        classes.sort_unstable();
        classes.dedup();
        self.legend(&classes);
        line!(self, "");
        // Where it lies is the first that there is no room for.
        let with_at = self.width >= 82;
        let room = self.name(30, if with_at { 52 } else { 40 });
        let at = |at: &str| if with_at { format!(" {at:>11}") } else { String::new() };
        line!(self, "   {:<room$}{} {:>11} {:>11} {:>11}", "", at("at"), "size", "in use", "stored");
        for place in &explained.places {
            let number = place.number.map_or_else(String::new, |number| number.to_string());
            let name = shortened(&place.name, room);
            let used = match (place.kind, place.used) {
                (_, Some(used)) => human(used),
                (PlaceKind::Partition, None) => "?".to_owned(),
                _ => "-".to_owned(),
            };
            line!(
                self,
                "{number:>2} {name}{:pad$}{} {:>11} {used:>11} {:>11}",
                "",
                at(&human(place.start)),
                human(place.size),
                human(place.stored),
                pad = room.saturating_sub(width_of(&name)),
            );
            if !place.detail.is_empty() {
                self.paragraph("     ", &place.detail.clone());
            }
            if let Some(problem) = &place.problem {
                self.paragraph("     ! ", &problem.clone());
            }
        }
    }

    fn volume(&mut self, volume: &Volume) {
        let label = if volume.label.is_empty() { "no label" } else { &volume.label };
        self.heading(&format!(
            "Volume {}: {label}, {}, {} of {} in use ({})",
            volume.partition,
            volume.file_system,
            human(volume.used),
            human(volume.size),
            percent(volume.used, volume.size)
        ));
        self.strip(&volume.cells, self.width - 4);
        for part in volume.parts.iter().filter(|part| part.class != Class::Free) {
            let whole = volume.used.max(1);
            let at = match part.first {
                Some(first) if part.pieces == 1 => format!("at {}", human(first)),
                Some(first) => format!("{} pieces from {}", part.pieces, human(first)),
                None => String::new(),
            };
            let line = format!(
                "  {} {:<24} {:>11} {:>6}  {} {at}",
                mark(part.class),
                shortened(&part.label, 24),
                human(part.bytes),
                percent(part.bytes, whole),
                self.bar(share(part.bytes, whole), self.small_bar())
            );
            let fits = self.width == WIDTH || width_of(&line) <= self.width;
            let line = line.strip_suffix(at.as_str()).filter(|_| !fits).unwrap_or(&line);
            line!(self, "{}", line.trim_end());
        }
        let counts = format!(
            "{}, {} of them small enough for their record in $MFT; {}; {} in several pieces",
            count(volume.files, "file"),
            volume.resident,
            match volume.directories {
                1 => "1 directory".to_owned(),
                number => format!("{number} directories"),
            },
            volume.fragmented
        );
        let counts = if volume.file_system == "NTFS" {
            counts
        } else {
            counts.replacen(
                &format!(", {} of them small enough for their record in $MFT", volume.resident),
                "",
                1,
            )
        };
        self.paragraph("  ", &counts);
        self.folders(volume);
        if !volume.largest.is_empty() {
            line!(self, "\n  largest files");
            for file in volume.largest.iter().take(10) {
                let packed = file.packed.filter(|_| file.size > 0);
                let packed = packed
                    .map_or_else(String::new, |packed| format!("  packed {}", percent(packed, file.size)));
                let room = self.width - 16 - packed.chars().count();
                line!(self, "  {:>11}  {}{packed}", human(file.bytes), ending(&file.path, room));
            }
        }
        self.packing(volume);
        for note in &volume.notes {
            self.paragraph("  ! ", &note.clone());
        }
    }

    fn folders(&mut self, volume: &Volume) {
        if volume.tree.bytes == 0 {
            return;
        }
        line!(self, "\n  folders");
        let counts = |item: &&Item| item.bytes > 0;
        for item in volume.tree.items.iter().filter(counts).take(FOLDERS) {
            self.item(item, volume.tree.bytes, 1);
            let below = item.items.iter().filter(counts);
            for inner in below.filter(|_| item.kind == ItemKind::Folder).take(BELOW) {
                self.item(inner, volume.tree.bytes, 2);
            }
        }
    }

    fn item(&mut self, item: &Item, whole: u64, depth: usize) {
        let indent = "  ".repeat(depth - 1);
        let slash = if item.kind == ItemKind::Folder { "\\" } else { "" };
        let room = self.name(42, 21);
        let name = format!("{indent}{}{slash}", shortened(&item.name, room - 2 - indent.len()));
        let pad = room.saturating_sub(width_of(&name));
        let bar = self.bar(share(item.bytes, whole), self.small_bar());
        let line =
            format!("  {name}{:pad$} {:>11} {:>6}  {bar}", "", human(item.bytes), percent(item.bytes, whole));
        line!(self, "{}", line.trim_end());
    }

    fn packing(&mut self, volume: &Volume) {
        let Some(packing) = &volume.packing else { return };
        line!(
            self,
            "\n  compression: {} in {} ({})",
            human(packing.plain),
            human(packing.packed),
            percent(packing.packed, packing.plain)
        );
        self.paragraph("  ", &format!("by the {}; {}", packing.method, count(packing.files, "file")));
        let room = self.name(12, 51);
        for extension in crate::charts::compressed(volume).into_iter().take(8) {
            let name = if extension.name.is_empty() { "no ending" } else { &extension.name };
            let line = format!(
                "  {:<room$} {:>14} {:>11} to {:>11} {:>6}  {}",
                shortened(name, room),
                count(extension.files, "file"),
                human(extension.plain),
                human(extension.packed),
                percent(extension.packed, extension.plain),
                self.bar(share(extension.packed, extension.plain), self.small_bar())
            );
            line!(self, "{}", line.trim_end());
        }
        if packing.incompressible > 0 {
            self.paragraph(
                "  ",
                &format!("hardly get smaller: {}, the largest are", human(packing.incompressible)),
            );
            for file in packing.worst.iter().take(5) {
                line!(self, "  {:>11}  {}", human(file.size), ending(&file.path, self.width - 16));
            }
        }
    }

    fn export(&mut self, explained: &Explained) {
        let export = &explained.export;
        self.heading(&format!("What {} stores", export.container));
        line!(
            self,
            "  {:<38} {:>11} {:>6}",
            "of the disk",
            human(export.stored),
            percent(export.stored, explained.disk_size)
        );
        if let Some(size) = export.file_size {
            line!(self, "  {:<38} {:>11}", "the file takes", human(size));
        }
        if export.stored_free > 0 {
            let advice = if self.width == WIDTH { "   `wimforge compact` takes it out" } else { "" };
            let bytes = human(export.stored_free);
            line!(self, "  {:<38} {bytes:>11}{advice}", "stored, and free in its volume");
        }
        for Container { name, bytes } in &export.containers {
            let line = format!(
                "  {:<38} {:>11} {:>6}  {}",
                shortened(name, 38),
                human(*bytes),
                percent(*bytes, explained.disk_size),
                self.bar(share(*bytes, explained.disk_size), self.small_bar())
            );
            line!(self, "{}", line.trim_end());
        }
        if let Some(sample) = &export.sample {
            line!(
                self,
                "  {:<38} {:>11} {:>6}",
                "compressed (vmdk), estimated",
                human(sample.estimate),
                percent(sample.packed, sample.plain)
            );
            self.paragraph("  ", &sample.method.clone());
        }
    }

    fn changes(&mut self, explained: &Explained) {
        let Some(changes) = &explained.changes else { return };
        self.heading("What the build changes");
        let sums = format!(
            "added {} ({}) and {}, changed {} ({}), removed {}",
            count(changes.added.files, "file"),
            human(changes.added.bytes),
            count(changes.added.folders, "folder"),
            count(changes.changed.files, "file"),
            human(changes.changed.bytes),
            count(changes.removed.files, "file")
        );
        self.paragraph("  ", &sums);
        for folder in changes.folders.iter().take(CHANGED) {
            let room = self.name(40, 36);
            let place = ending(&format!("{}:{}", folder.partition, folder.path), room);
            let pad = room.saturating_sub(width_of(&place));
            let words = folder.words();
            line!(
                self,
                "  {place}{:pad$} {:>11}  {}",
                "",
                human(folder.bytes()),
                shortened(&words, self.width - room - 16)
            );
            self.paragraph("      ", &folder.why());
        }
        let more = changes.more_folders + changes.folders.len().saturating_sub(CHANGED) as u64;
        if more > 0 {
            line!(self, "  and {}", count(more, "more folder"));
        }
        for hive in &changes.registry {
            self.paragraph("  ", &format!("registry, {}: {}", hive.hive, hive.words()));
            for key in hive.keys.iter().take(CHANGED) {
                let path = if key.path.is_empty() { "\\" } else { &key.path };
                line!(self, "    {}", ending(path, self.width - 4));
                self.paragraph("      ", &key.words());
            }
            let more = hive.more + hive.keys.len().saturating_sub(CHANGED) as u64;
            if more > 0 {
                line!(self, "    and {}", count(more, "more key"));
            }
        }
        for done in &changes.done {
            line!(self, "  {}:", printable(&done.what));
            done.lines.iter().for_each(|line| self.paragraph("    ", line));
        }
    }

    fn chain(&mut self, chain: &Chain) {
        self.heading(&format!("How it starts by {}", chain.firmware));
        let (last, between) =
            (chain.links.len().saturating_sub(1), if self.style.unicode { "│" } else { "|" });
        for (number, link) in chain.links.iter().enumerate() {
            let (mark, color) = match (link.state, self.style.unicode) {
                (LinkState::Ok, true) => ("●", 32),
                (LinkState::Ok, false) => ("o", 32),
                (LinkState::Warning, _) => ("!", 33),
                (LinkState::Broken, true) => ("✗", 31),
                (LinkState::Broken, false) => ("X", 31),
                (LinkState::NotReached, true) => ("○", 90),
                (LinkState::NotReached, false) => (".", 90),
            };
            let mark =
                if self.style.color { format!("\u{1b}[{color}m{mark}\u{1b}[0m") } else { mark.to_owned() };
            let state =
                if link.state == LinkState::Ok { String::new() } else { format!("{}: ", link.state.name()) };
            line!(
                self,
                "  {mark} {:<18} {}",
                link.name,
                shortened(&format!("{state}{}", link.detail), self.width - 23)
            );
            let below = if number == last { " " } else { between };
            link.findings.iter().for_each(|finding| self.paragraph(&format!("  {below}     "), finding));
        }
        self.paragraph("  ", &chain.verdict.clone());
    }
}

/// The letter of a class, where there are no colours.
fn mark(class: Class) -> char {
    match class {
        Class::Table => 'T',
        Class::Boot => 'B',
        Class::Records => 'M',
        Class::Mirror => 'm',
        Class::Log => 'L',
        Class::Allocation => 'A',
        Class::Directories => 'D',
        Class::Metadata => 'x',
        Class::Files => '#',
        Class::Packed => 'C',
        Class::Streams => 's',
        Class::Unknown => '?',
        Class::Free => '.',
    }
}

/// The colour of a class, as an ECMA-48 code.
fn ansi(class: Class) -> u8 {
    match class {
        Class::Files => 34,
        Class::Packed => 36,
        Class::Streams => 94,
        Class::Directories => 32,
        Class::Records => 33,
        Class::Mirror => 93,
        Class::Log => 35,
        Class::Allocation => 95,
        Class::Metadata => 92,
        Class::Boot => 31,
        Class::Table => 91,
        Class::Unknown => 37,
        Class::Free => 90,
    }
}

/// Columns that a text takes on a terminal, as far as can be told: ideographs and emoji take two.
fn width_of(text: &str) -> usize {
    let width = |c: char| match c as u32 {
        0x300..=0x36F | 0x200B..=0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    };
    text.chars().map(width).sum()
}

/// The beginning of a text that fits, with dots for the rest.
fn shortened(text: &str, room: usize) -> String {
    let text = printable(text);
    if width_of(&text) <= room {
        return text.into_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        let mut with = shown.clone();
        with.push(c);
        if width_of(&with) + 2 > room {
            break;
        }
        shown = with;
    }
    shown + ".."
}

/// The end of a path that fits: the name says more than the folder.
fn ending(path: &str, room: usize) -> String {
    let path = printable(path);
    if width_of(&path) <= room {
        return path.into_owned();
    }
    let mut from = path.len();
    for (at, _) in path.char_indices().rev() {
        if width_of(&path[at..]) + 2 > room {
            break;
        }
        from = at;
    }
    format!("..{}", &path[from..])
}
