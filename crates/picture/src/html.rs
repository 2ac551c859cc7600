//! A page that needs no other file: the drawings, and all they show as tables.
//!
//! There is no script, and the policy in the page's head forbids whatever a name from a disk might bring with it: scripts,
//! requests, forms. What lies under the pointer is told by the drawings' titles, folders open as `<details>` do.

use std::fmt::Write;

use crate::canvas::{Drawing, drawable, escaped};
use crate::changes::{ChangedHive, Changes};
use crate::model::{Explained, Item, ItemKind, LargeFile, LinkState, Volume};
use crate::style;
use crate::words::{count, human, percent};
use crate::{charts, disk, files, flow};

/// Volumes that are drawn; what a disk has besides is in its list of places.
pub(crate) const DRAWN: usize = 16;

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#16191c;--soft:#4a5158;--line:#d3d8dd;--bar:#0072b2;--bad:#8c1d16}
@media screen and (prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#eceff1;--soft:#b4bcc4;--line:#3c4249;--bar:#3d9ad6;--bad:#ffb4ab}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif}
main{max-width:1100px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:40px 0 12px;padding-top:14px;border-top:1px solid var(--line);overflow-wrap:anywhere}
p{margin:6px 0;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.bad{color:var(--bad)}
.facts{display:flex;flex-wrap:wrap;gap:8px 32px;margin:18px 0 0;padding:0;list-style:none}
.facts b{display:block;font-size:20px}
.draw{overflow-x:auto}
svg.d{display:block;width:100%;min-width:760px;height:auto}
details{margin:10px 0}
summary{cursor:pointer;color:var(--soft)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td.r,th.r{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
bdi{unicode-bidi:isolate}
.tree,.tree summary{overflow-wrap:anywhere}
.tree details{margin:0 0 0 18px}
.tree div{margin-left:18px}
.tree summary,.tree div{color:var(--ink);font-size:14px}
.tree span{color:var(--soft);font-variant-numeric:tabular-nums}
@media print{main{max-width:none;padding:0}section{break-inside:avoid}svg.d{min-width:0}summary{color:inherit}}
";

/// The page.
pub fn html(explained: &Explained) -> String {
    let mut page = Page { out: String::new(), drawings: 0 };
    page.head(explained);
    page.disk(explained);
    for volume in explained.volumes.iter().take(DRAWN) {
        page.volume(volume);
    }
    let left = explained.volumes.len().saturating_sub(DRAWN);
    if left > 0 {
        page.paragraph("soft", &format!("{left} more volumes are not drawn."));
    }
    page.export(explained);
    page.changes(explained);
    page.chains(explained);
    if !explained.notes.is_empty() {
        page.section("Notes");
        explained.notes.iter().for_each(|note| page.paragraph("", note));
        page.end();
    }
    page.out.push_str("</main>\n</body>\n</html>\n");
    page.out
}

struct Page {
    out: String,
    drawings: usize,
}

/// What a cell of a table holds.
enum Cell {
    Text(String),
    Right(String),
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

fn right(value: impl Into<String>) -> Cell {
    Cell::Right(value.into())
}

fn clean(text: &str) -> String {
    escaped(&drawable(text))
}

impl Page {
    /// Writing to a string cannot fail.
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(text);
    }

    fn head(&mut self, explained: &Explained) {
        let title = clean(&explained.title);
        self.add(format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n\
             <h1><bdi>{title}</bdi></h1>\n",
            style::sheet()
        ));
        if !explained.subtitle.is_empty() {
            self.paragraph("soft", &explained.subtitle.join(", "));
        }
        let export = &explained.export;
        let mut facts = vec![
            ("disk", human(explained.disk_size)),
            (if explained.planned { "will be stored" } else { "stored" }, human(export.stored)),
        ];
        if let Some(sample) = &export.sample {
            facts.push(("compressed, estimated", human(sample.estimate)));
        }
        let files = explained.volumes.iter().map(|volume| volume.files).sum::<u64>();
        facts.push(("files", files.to_string()));
        for chain in &explained.chains {
            let verdict = if chain.starts { "starts" } else { "does not start" };
            facts.push((if chain.firmware == "BIOS" { "by BIOS" } else { "by UEFI" }, verdict.to_owned()));
        }
        self.out.push_str("<ul class=\"facts\">\n");
        for (name, value) in facts {
            self.add(format_args!("<li><b>{value}</b><span class=\"soft\">{name}</span></li>\n"));
        }
        self.out.push_str("</ul>\n");
    }

    fn section(&mut self, title: &str) {
        self.add(format_args!("<section>\n<h2>{}</h2>\n", clean(title)));
    }

    fn end(&mut self) {
        self.out.push_str("</section>\n");
    }

    fn paragraph(&mut self, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.add(format_args!("<p{class}>{}</p>\n", clean(text)));
    }

    /// A drawing under its title.
    fn drawing(&mut self, drawing: &Drawing) {
        self.section(&drawing.title);
        self.drawings += 1;
        let svg = drawing.svg(&format!("d{}", self.drawings), None);
        self.add(format_args!("<div class=\"draw\">\n{svg}</div>\n"));
    }

    /// A table that is closed until somebody wants it.
    fn table(&mut self, summary: &str, heads: &[Cell], rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            return;
        }
        self.add(format_args!(
            "<details>\n<summary>{}</summary>\n<div class=\"wide\"><table>\n<tr>",
            clean(summary)
        ));
        for head in heads {
            match head {
                Cell::Text(head) => self.add(format_args!("<th scope=\"col\">{}</th>", clean(head))),
                Cell::Right(head) => {
                    self.add(format_args!("<th scope=\"col\" class=\"r\">{}</th>", clean(head)))
                }
            }
        }
        self.out.push_str("</tr>\n");
        for row in rows {
            self.out.push_str("<tr>");
            for cell in row {
                match cell {
                    Cell::Text(cell) => self.add(format_args!("<td><bdi>{}</bdi></td>", clean(&cell))),
                    Cell::Right(cell) => self.add(format_args!("<td class=\"r\">{}</td>", clean(&cell))),
                }
            }
            self.out.push_str("</tr>\n");
        }
        self.out.push_str("</table></div>\n</details>\n");
    }

    fn disk(&mut self, explained: &Explained) {
        self.drawing(&disk::disk(explained));
        let rows = explained.places.iter().map(|place| {
            vec![
                right(place.number.map_or_else(String::new, |number| number.to_string())),
                text(&place.name),
                text(match &place.problem {
                    Some(problem) => format!("{}; {problem}", place.detail),
                    None => place.detail.clone(),
                }),
                right(place.start.to_string()),
                right(place.size.to_string()),
                right(place.used.map_or_else(String::new, |used| used.to_string())),
                right(place.stored.to_string()),
            ]
        });
        let heads = [
            right(""),
            text("place"),
            text("kind"),
            right("at byte"),
            right("bytes"),
            right("in use"),
            right("stored"),
        ];
        self.table("The same in bytes", &heads, rows.collect());
        self.end();
    }

    fn volume(&mut self, volume: &Volume) {
        self.drawing(&disk::volume(volume));
        let rows = volume.parts.iter().map(|part| {
            vec![
                text(&part.label),
                right(part.bytes.to_string()),
                right(percent(part.bytes, volume.size)),
                right(part.stored.to_string()),
                right(part.pieces.to_string()),
                right(part.first.map_or_else(String::new, |first| first.to_string())),
            ]
        });
        let heads = [
            text("what"),
            right("bytes"),
            right("of the volume"),
            right("stored"),
            right("pieces"),
            right("first at byte"),
        ];
        self.table("The same in bytes", &heads, rows.collect());
        let resident = match volume.file_system.as_str() {
            "NTFS" => format!(" ({} of them small enough for their record)", volume.resident),
            _ => String::new(),
        };
        let counts = format!(
            "{}{resident}, {} directories, {} in several pieces; clusters of {}",
            count(volume.files, "file"),
            volume.directories,
            volume.fragmented,
            human(volume.cluster_size.into())
        );
        self.paragraph("soft", &counts);
        volume.notes.iter().for_each(|note| self.paragraph("bad", note));
        self.end();
        if volume.tree.bytes > 0 {
            self.drawing(&files::files(volume));
            self.out.push_str("<details class=\"tree\">\n<summary>Folders</summary>\n");
            volume.tree.items.iter().for_each(|item| self.item(item, volume.tree.bytes));
            self.out.push_str("</details>\n");
            self.large("Largest files", &volume.largest, true);
            let rows = volume.extensions.iter().map(|extension| {
                vec![
                    text(if extension.name.is_empty() { "(none)" } else { &extension.name }),
                    right(extension.files.to_string()),
                    right(human(extension.bytes)),
                    right(packed(extension.plain, extension.packed)),
                ]
            });
            let heads = [text("ending"), right("files"), right("in clusters"), right("compressed to")];
            self.table("By the ending of the name", &heads, rows.collect());
            self.end();
        }
        if let (Some(drawing), Some(packing)) = (charts::compression(volume), &volume.packing) {
            self.drawing(&drawing);
            self.large("The largest that hardly get smaller", &packing.worst, false);
            self.end();
        }
    }

    fn item(&mut self, item: &Item, whole: u64) {
        let name = match item.kind {
            ItemKind::Folder => format!("{}\\", item.name),
            ItemKind::File | ItemKind::Others => item.name.clone(),
        };
        let ratio = match item.plain {
            0 => String::new(),
            plain => format!(", compressed to {}", percent(item.packed, plain)),
        };
        let words = format!("{} ({}){ratio}", human(item.bytes), percent(item.bytes, whole));
        let name = clean(&name);
        if item.items.is_empty() {
            return self.add(format_args!("<div><bdi>{name}</bdi> <span>{words}</span></div>\n"));
        }
        self.add(format_args!("<details><summary><bdi>{name}</bdi> <span>{words}</span></summary>\n"));
        item.items.iter().for_each(|inner| self.item(inner, whole));
        self.out.push_str("</details>\n");
    }

    fn large(&mut self, title: &str, files: &[LargeFile], clusters: bool) {
        let rows = files.iter().map(|file| {
            let mut row = vec![text(&file.path), right(human(file.size))];
            if clusters {
                row.push(right(human(file.bytes)));
            }
            row.push(right(file.packed.map_or_else(String::new, |stored| packed(file.size, stored))));
            row
        });
        let mut heads = vec![text("file"), right("size")];
        if clusters {
            heads.push(right("in clusters"));
        }
        heads.push(right("compressed to"));
        self.table(title, &heads, rows.collect());
    }

    fn export(&mut self, explained: &Explained) {
        let export = &explained.export;
        self.drawing(&charts::export(explained));
        if export.stored_free > 0 {
            let text = format!(
                "{} are stored that no file uses: `wimforge compact` takes them out.",
                human(export.stored_free)
            );
            self.paragraph("soft", &text);
        }
        if let Some(sample) = &export.sample {
            self.paragraph("soft", &format!("Estimated from {}.", sample.method));
        }
        self.end();
    }

    fn changes(&mut self, explained: &Explained) {
        let (Some(drawing), Some(changes)) = (charts::changes(explained), &explained.changes) else { return };
        self.drawing(&drawing);
        let rows = changes.files.iter().map(|change| {
            vec![
                text(&change.action),
                right(change.size.map_or_else(String::new, human)),
                text(format!("{}:{}", change.partition, change.path)),
                text(&change.reason),
            ]
        });
        let summary = match changes.more_files {
            0 => "The files".to_owned(),
            more => format!("The largest files; {more} more are in the record (`build --record`)"),
        };
        self.changed_folders(changes);
        self.table(&summary, &[text(""), right("size"), text("file"), text("why")], rows.collect());
        self.changed_keys(changes);
        let done = changes.done.iter();
        let rows = done.flat_map(|done| done.lines.iter().map(|line| vec![text(&done.what), text(line)]));
        self.table("What was done", &[text(""), text("")], rows.collect());
        self.end();
    }

    fn changed_folders(&mut self, changes: &Changes) {
        let rows = changes.folders.iter().map(|folder| {
            vec![
                text(format!("{}:{}", folder.partition, folder.path)),
                right(folder.added.files.to_string()),
                right(folder.changed.files.to_string()),
                right(folder.removed.files.to_string()),
                right(human(folder.bytes())),
                text(folder.why()),
            ]
        });
        let summary = match changes.more_folders {
            0 => "By folder".to_owned(),
            more => format!("By folder; {more} more are not listed"),
        };
        let heads =
            [text("folder"), right("added"), right("changed"), right("removed"), right("bytes"), text("why")];
        self.table(&summary, &heads, rows.collect());
    }

    fn changed_keys(&mut self, changes: &Changes) {
        let of_hive = |hive: &ChangedHive| {
            let mut rows = vec![vec![text(&hive.hive), text(""), text(hive.words())]];
            rows.extend(hive.keys.iter().map(|key| vec![text(""), text(&key.path), text(key.words())]));
            if hive.more > 0 {
                rows.push(vec![text(""), text(format!("and {} more", hive.more)), text("")]);
            }
            rows
        };
        let rows = changes.registry.iter().flat_map(of_hive).collect();
        self.table("The registry", &[text("hive"), text("key"), text("what is otherwise")], rows);
    }

    fn chains(&mut self, explained: &Explained) {
        for chain in &explained.chains {
            self.drawing(&flow::chain(chain));
            let rows = chain.links.iter().map(|link| {
                let wrong = link.state != LinkState::Ok;
                let findings = if wrong { link.findings.join(" ") } else { String::new() };
                vec![text(&link.name), text(link.state.name()), text(&link.detail), text(findings)]
            });
            let heads = [text("link"), text("state"), text("found"), text("wrong")];
            self.table("The same as a table", &heads, rows.collect());
            self.end();
        }
    }
}

/// A ratio, where there is one.
fn packed(plain: u64, packed: u64) -> String {
    if plain == 0 { String::new() } else { percent(packed, plain) }
}
