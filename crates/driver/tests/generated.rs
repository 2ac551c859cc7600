//! INF files made at random, in every way of writing them: what is read is what was meant. And the same driver written in
//! other words compiles to the same.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use proptest::prelude::*;
use wimforge_driver::inf::Encoding;
use wimforge_driver::{Architecture, Folders, Inf, ProductType, Target, compile};

/// A line as it is meant.
#[derive(Clone, Debug, PartialEq)]
struct Meant {
    key: Option<String>,
    fields: Vec<String>,
}

/// How a line is written.
#[derive(Clone, Debug)]
struct Style {
    /// For each field: whether it is quoted although it need not be.
    quoted: Vec<bool>,
    /// Blanks around things.
    blanks: Vec<u8>,
    /// Whether the line is continued behind each comma.
    continued: Vec<bool>,
    comment: Option<String>,
    line_end: u8,
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z0-9_.%&*#$(){}<>/:+-]{0,12}",
        1 => "[ -~äß€\u{1F600}]{0,20}",
        1 => "[\\\\,;=\"\\[\\] ]{0,6}",
    ]
}

fn meant() -> impl Strategy<Value = Meant> {
    let key = prop::option::weighted(0.6, field());
    (key, prop::collection::vec(field(), 1..6)).prop_map(|(key, fields)| Meant { key, fields })
}

fn style() -> impl Strategy<Value = Style> {
    (
        prop::collection::vec(any::<bool>(), 8),
        prop::collection::vec(0..3_u8, 32),
        prop::collection::vec(prop::bool::weighted(0.15), 8),
        prop::option::weighted(0.2, "[ -~]{0,10}"),
        0..3_u8,
    )
        .prop_map(|(quoted, blanks, continued, comment, line_end)| Style {
            quoted,
            blanks,
            continued,
            comment,
            line_end,
        })
}

fn quote(text: &str, anyway: bool) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_.%&*#$(){}<>/:+-".contains(c);
    if anyway || !text.chars().all(plain) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn write(line: &Meant, style: &Style) -> String {
    let mut blanks = style.blanks.iter().cycle().map(|kind| match kind {
        0 => "",
        1 => " ",
        _ => "\t  ",
    });
    let end = ["\n", "\r\n", "\r"][usize::from(style.line_end)];
    let mut out = blanks.next().unwrap().to_owned();
    if let Some(key) = &line.key {
        out.push_str(&quote(key, true));
        out.push_str(blanks.next().unwrap());
        out.push('=');
        out.push_str(blanks.next().unwrap());
    }
    for (at, field) in line.fields.iter().enumerate() {
        if at > 0 {
            out.push_str(blanks.next().unwrap());
            out.push(',');
            if style.continued[at % style.continued.len()] {
                out.push_str(" \\");
                out.push_str(blanks.next().unwrap());
                out.push_str(end);
            }
            out.push_str(blanks.next().unwrap());
        }
        // A quoted first field keeps the line from being one without text, or a header.
        out.push_str(&quote(field, style.quoted[at % style.quoted.len()] || at == 0));
    }
    if let Some(comment) = &style.comment {
        out.push_str(blanks.next().unwrap());
        out.push(';');
        out.push_str(comment);
    }
    out + end
}

fn encode(text: &str, encoding: u8) -> (Vec<u8>, Encoding) {
    let units = || text.encode_utf16();
    match encoding {
        0 => (text.as_bytes().to_vec(), Encoding::Utf8),
        1 => ([b"\xEF\xBB\xBF", text.as_bytes()].concat(), Encoding::Utf8Mark),
        2 => {
            ([0xFF, 0xFE].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect(), Encoding::Utf16Le)
        }
        _ => {
            ([0xFE, 0xFF].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect(), Encoding::Utf16Be)
        }
    }
}

/// Whether a line says nothing: such a one is passed over.
fn is_empty(line: &Meant) -> bool {
    line.key.is_none() && line.fields.iter().all(String::is_empty) && line.fields.len() == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_is_read(
        sections in prop::collection::vec(("[a-z]{1,6}", prop::collection::vec((meant(), style()), 0..8)), 1..5),
        encoding in 0..4_u8,
    ) {
        let mut text = "; a comment\n\n".to_owned();
        let mut wanted: Vec<(String, Vec<Meant>)> = Vec::new();
        for (name, lines) in &sections {
            text.push_str(&format!(" [{}] ; header\n", name.to_uppercase()));
            let at = wanted.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                wanted.push((name.clone(), Vec::new()));
                wanted.len() - 1
            });
            for (line, style) in lines {
                text.push_str(&write(line, style));
                if !is_empty(line) {
                    wanted[at].1.push(line.clone());
                }
            }
        }
        let (bytes, encoding) = encode(&text, encoding);
        let inf = Inf::parse("x.inf", &bytes).unwrap();
        prop_assert_eq!(inf.encoding(), encoding);
        let read: Vec<(String, Vec<Meant>)> = inf
            .sections()
            .iter()
            .map(|section| {
                let lines = section.lines.iter();
                let lines = lines.map(|line| Meant { key: line.key.clone(), fields: line.fields.clone() });
                (section.name.to_lowercase(), lines.collect())
            })
            .collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn doubled_percent_signs_are_percent_signs(text in "[ -~]{0,40}") {
        let inf = Inf::parse("x.inf", b"[Strings]\na=b\n").unwrap();
        let expanded = inf.expand(0x0409, &text.replace('%', "%%"), &|_| None).unwrap().text.into_owned();
        prop_assert_eq!(expanded, text);
    }

    /// Any text is read or refused, and what is read can be compiled or is refused.
    #[test]
    fn nothing_panics(text in "(\\[|\\]|=|,|;|\"|%|\\\\|\n|Version|Signature|Manufacturer|Models|Install|AddReg|HKR|NTamd64|[ -~]){0,80}") {
        let head = "[Version]\nSignature=$Windows NT$\n[Manufacturer]\nm=Models,NTamd64\n[Models.NTamd64]\nd=Install,X\n\
                    [Install]\nAddReg=Install\n";
        for text in [text.clone(), format!("{head}{text}")] {
            if let Ok(inf) = Inf::parse("x.inf", text.as_bytes()) {
                let _ = compile(&inf, &common::nano(), &Folders::new(&common::nano(), "x"), &());
            }
        }
    }

    /// One driver for all versions since one: it is taken exactly by these.
    #[test]
    fn versions_are_compared(
        build in 6000..30_000_u32,
        major in 6..11_u32,
        minor in 0..4_u32,
        least in prop::option::of(9000..30_000_u32),
        server in any::<bool>(),
        product in prop::option::of(1..4_u32),
    ) {
        let kind = if server { ProductType::Server } else { ProductType::Workstation };
        let target = Target::new(Architecture::Amd64, build, kind);
        let product_text = product.map_or_else(String::new, |product| product.to_string());
        let least_text = least.map_or_else(String::new, |least| format!("..{least}"));
        let decoration = format!("NTamd64.{major}.{minor}.{product_text}{least_text}");
        let fits = (target.major, target.minor, build) >= (major, minor, least.unwrap_or(0))
            && product.is_none_or(|product| product == if server { 3 } else { 1 });
        prop_assert_eq!(target.best([Some(decoration.as_str())]).is_some(), fits, "{} {}", decoration, target);
        // An older one is taken instead, a newer one never.
        let both = target.best([Some("NTamd64"), Some(decoration.as_str())]);
        prop_assert_eq!(both, Some(usize::from(fits)));
    }
}

#[test]
fn other_words_for_the_same() {
    let text = include_str!("data/disk.inf");
    let compiled = |inf: &Inf| common::compiled(inf, &common::nano());
    let plain = compiled(&Inf::parse("disk.inf", text.as_bytes()).unwrap());
    let shouted: String = text
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                format!("  {}   ; section\n", line.to_uppercase())
            } else {
                format!("\t{line}\n")
            }
        })
        .collect();
    let same = compiled(&Inf::parse("disk.inf", shouted.as_bytes()).unwrap());
    // The name that a section has first is the one that it is known by.
    assert_eq!(plain.devices, same.devices);
    assert_eq!(plain.configurations[0].services, same.configurations[0].services);
    assert_eq!(plain.configurations[0].device, same.configurations[0].device);
    assert_eq!(plain.version, same.version);
    let wide: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(compiled(&Inf::parse("disk.inf", &wide).unwrap()), plain);
}
