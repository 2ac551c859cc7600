//! The XML data: what people call the images. Descriptions only; nothing that is read depends on them, so XML that is
//! not well-formed is a warning and leaves the images without names.

use disk::FileTime;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::warning::Warnings;

/// Elements nested deeper than Microsoft's by an order of magnitude.
const MAX_DEPTH: usize = 64;
/// Languages kept of one image.
const MAX_LANGUAGES: usize = 1000;

/// The XML data, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Xml {
    /// The images, in the order of their indices; may lack some that the file holds, or all.
    pub images: Vec<ImageInfo>,
    /// The element `TOTALBYTES` of the whole file.
    pub total_bytes: Option<u64>,
    /// Whether there is an element `ESD/ENCRYPTED`: parts of the file are encrypted.
    pub encrypted: bool,
}

impl Xml {
    /// What the XML says of an image; `index` is 1-based.
    pub fn image(&self, index: u32) -> Option<&ImageInfo> {
        let found = self.images.binary_search_by_key(&index, |image| image.index).ok()?;
        Some(&self.images[found])
    }
}

/// What the XML says of one image. Each field is the text or number of the element in brackets, below `IMAGE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageInfo {
    /// 1-based index (attribute `INDEX`).
    pub index: u32,
    /// (`NAME`)
    pub name: Option<String>,
    /// (`DESCRIPTION`)
    pub description: Option<String>,
    /// (`DISPLAYNAME`)
    pub display_name: Option<String>,
    /// (`DISPLAYDESCRIPTION`)
    pub display_description: Option<String>,
    /// (`FLAGS`), usually the same as `edition`
    pub flags: Option<String>,
    /// (`WINDOWS/EDITIONID`)
    pub edition: Option<String>,
    /// (`WINDOWS/INSTALLATIONTYPE`)
    pub installation_type: Option<String>,
    /// (`WINDOWS/PRODUCTNAME`)
    pub product_name: Option<String>,
    /// (`WINDOWS/SYSTEMROOT`)
    pub system_root: Option<String>,
    /// (`WINDOWS/ARCH`)
    pub architecture: Option<Architecture>,
    /// (`WINDOWS/VERSION`)
    pub version: Option<Version>,
    /// (`WINDOWS/LANGUAGES/LANGUAGE`)
    pub languages: Vec<String>,
    /// (`WINDOWS/LANGUAGES/DEFAULT`)
    pub default_language: Option<String>,
    /// (`DIRCOUNT`), the root counted (observed: wimlib)
    pub dir_count: Option<u64>,
    /// (`FILECOUNT`)
    pub file_count: Option<u64>,
    /// (`TOTALBYTES`): of all streams, once for each link
    pub total_bytes: Option<u64>,
    /// (`HARDLINKBYTES`): of these, what hard links save
    pub hard_link_bytes: Option<u64>,
    /// (`CREATIONTIME`)
    pub creation_time: Option<FileTime>,
    /// (`LASTMODIFICATIONTIME`)
    pub modification_time: Option<FileTime>,
    /// (`WIMBOOT`)
    pub wim_boot: Option<bool>,
}

/// `PROCESSOR_ARCHITECTURE_*` of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Architecture(pub u16);

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("x86"),
            5 => f.write_str("ARM"),
            6 => f.write_str("IA64"),
            9 => f.write_str("x64"),
            12 => f.write_str("ARM64"),
            other => write!(f, "architecture {other}"),
        }
    }
}

/// Version of Windows in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// (`MAJOR`)
    pub major: u32,
    /// (`MINOR`)
    pub minor: u32,
    /// (`BUILD`)
    pub build: u32,
    /// (`SPBUILD`): what Windows calls UBR
    pub service_pack_build: Option<u32>,
    /// (`SPLEVEL`)
    pub service_pack_level: Option<u32>,
    /// (`BRANCH`)
    pub branch: Option<String>,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)?;
        self.service_pack_build.map_or(Ok(()), |build| write!(f, ".{build}"))
    }
}

/// A creation or modification time while its halves arrive.
#[derive(Default)]
struct Halves {
    high: Option<u32>,
    low: Option<u32>,
}

impl Halves {
    fn time(&self) -> Option<FileTime> {
        Some(FileTime(u64::from(self.high?) << 32 | u64::from(self.low?)))
    }
}

#[derive(Default)]
struct Building {
    info: ImageInfo,
    created: Halves,
    modified: Halves,
}

struct Parser<'w> {
    xml: Xml,
    image: Option<Building>,
    /// Images with an index above are not in the file.
    image_count: u32,
    offset: u64,
    warnings: &'w mut Warnings,
}

/// Parses XML data that lies at `offset` of a file with `image_count` images.
pub(crate) fn parse(raw: &[u8], offset: u64, image_count: u32, warnings: &mut Warnings) -> Xml {
    let mut parser = Parser { xml: Xml::default(), image: None, image_count, offset, warnings };
    let text = decode(raw, |problem| parser.warnings.push("XML data", offset, || problem.to_owned()));
    if let Err(problem) = parser.run(&text) {
        parser.warnings.push("XML data", offset, || format!("not well-formed, ignored the rest: {problem}"));
    }
    let mut xml = parser.xml;
    xml.images.sort_by_key(|image| image.index);
    let listed = xml.images.len();
    xml.images.dedup_by_key(|image| image.index);
    if xml.images.len() < listed {
        warnings.push("XML data", offset, || "several images have the same index, kept the first".to_owned());
    }
    if xml.images.len() as u64 != u64::from(image_count) {
        warnings
            .push("XML data", offset, || format!("describes {} of {image_count} images", xml.images.len()));
    }
    xml
}

fn decode(raw: &[u8], warn: impl FnOnce(&str)) -> String {
    let utf16 = |bytes: &[u8]| {
        let units = bytes.as_chunks().0.iter().map(|&unit| u16::from_le_bytes(unit));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match raw {
        [0xFF, 0xFE, rest @ ..] => utf16(rest),
        [] => String::new(),
        [_, 0, ..] => {
            warn("UTF-16 without a byte order mark");
            utf16(raw)
        }
        _ => {
            warn("not UTF-16, read as UTF-8");
            String::from_utf8_lossy(raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw)).into_owned()
        }
    }
}

impl Parser<'_> {
    fn run(&mut self, text: &str) -> Result<(), String> {
        // Some writers pad the data with zero units.
        let mut reader = Reader::from_str(text.trim_end_matches('\0'));
        // The names of the open elements, and where each begins.
        let mut path = String::new();
        let mut open = Vec::new();
        let mut content = String::new();
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    if open.len() == MAX_DEPTH {
                        return Err(format!("more than {MAX_DEPTH} nested elements"));
                    }
                    open.push(path.len());
                    path.push('/');
                    path.push_str(start.name().as_ref());
                    self.start(&path, &start);
                    content.clear();
                }
                Event::End(_) => {
                    self.end(&path, content.trim());
                    path.truncate(open.pop().unwrap_or_default());
                    content.clear();
                }
                Event::Empty(start) => {
                    let length = path.len();
                    path.push('/');
                    path.push_str(start.name().as_ref());
                    self.start(&path, &start);
                    self.end(&path, "");
                    path.truncate(length);
                }
                Event::Text(part) => content.push_str(&part),
                Event::CData(part) => content.push_str(&part),
                Event::GeneralRef(reference) => match &*reference {
                    "amp" => content.push('&'),
                    "lt" => content.push('<'),
                    "gt" => content.push('>'),
                    "quot" => content.push('"'),
                    "apos" => content.push('\''),
                    // Entities that the document declares are not expanded, so none can explode.
                    _ => content.extend(reference.resolve_char_ref().ok().flatten()),
                },
                Event::Eof if open.is_empty() => return Ok(()),
                Event::Eof => return Err("it ends inside an element".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn start(&mut self, path: &str, start: &BytesStart<'_>) {
        match path {
            "/WIM/IMAGE" => {
                let index = start.try_get_attribute("INDEX").ok().flatten();
                let index = index.and_then(|index| index.value.trim().parse().ok());
                self.image = None;
                match index {
                    Some(index) if (1..=self.image_count).contains(&index) => {
                        let info = ImageInfo { index, ..ImageInfo::default() };
                        self.image = Some(Building { info, ..Building::default() });
                    }
                    _ => self.warnings.push("XML data", self.offset, || {
                        format!("ignored an image whose index is not from 1 to {}", self.image_count)
                    }),
                }
            }
            "/WIM/ESD/ENCRYPTED" => self.xml.encrypted = true,
            _ => {}
        }
    }

    fn end(&mut self, path: &str, text: &str) {
        match path {
            "/WIM/TOTALBYTES" => self.xml.total_bytes = text.parse().ok(),
            "/WIM/IMAGE" => self.finish(),
            _ => {
                if let (Some(image), Some(path)) = (&mut self.image, path.strip_prefix("/WIM/IMAGE/")) {
                    image.set(path, text);
                }
            }
        }
    }

    fn finish(&mut self) {
        let Some(mut image) = self.image.take() else { return };
        // What a hostile file can list is bounded by its image count, or rather by twice that.
        if self.xml.images.len() < 2 * self.image_count as usize {
            image.info.creation_time = image.created.time();
            image.info.modification_time = image.modified.time();
            self.xml.images.push(image.info);
        }
    }
}

impl Building {
    fn set(&mut self, path: &str, text: &str) {
        let info = &mut self.info;
        let string = || Some(text.to_owned()).filter(|text| !text.is_empty());
        match path {
            "NAME" => info.name = string(),
            "DESCRIPTION" => info.description = string(),
            "DISPLAYNAME" => info.display_name = string(),
            "DISPLAYDESCRIPTION" => info.display_description = string(),
            "FLAGS" => info.flags = string(),
            "DIRCOUNT" => info.dir_count = text.parse().ok(),
            "FILECOUNT" => info.file_count = text.parse().ok(),
            "TOTALBYTES" => info.total_bytes = text.parse().ok(),
            "HARDLINKBYTES" => info.hard_link_bytes = text.parse().ok(),
            "WIMBOOT" => info.wim_boot = text.parse::<u8>().ok().map(|flag| flag != 0),
            "CREATIONTIME/HIGHPART" => self.created.high = hexadecimal(text),
            "CREATIONTIME/LOWPART" => self.created.low = hexadecimal(text),
            "LASTMODIFICATIONTIME/HIGHPART" => self.modified.high = hexadecimal(text),
            "LASTMODIFICATIONTIME/LOWPART" => self.modified.low = hexadecimal(text),
            "WINDOWS/ARCH" => info.architecture = text.parse().ok().map(Architecture),
            "WINDOWS/PRODUCTNAME" => info.product_name = string(),
            "WINDOWS/EDITIONID" => info.edition = string(),
            "WINDOWS/INSTALLATIONTYPE" => info.installation_type = string(),
            "WINDOWS/SYSTEMROOT" => info.system_root = string(),
            "WINDOWS/LANGUAGES/LANGUAGE" if info.languages.len() < MAX_LANGUAGES => {
                info.languages.extend(string());
            }
            "WINDOWS/LANGUAGES/DEFAULT" => info.default_language = string(),
            _ => {
                let Some(field) = path.strip_prefix("WINDOWS/VERSION/") else { return };
                let version = info.version.get_or_insert_default();
                match field {
                    "MAJOR" => version.major = text.parse().unwrap_or_default(),
                    "MINOR" => version.minor = text.parse().unwrap_or_default(),
                    "BUILD" => version.build = text.parse().unwrap_or_default(),
                    "SPBUILD" => version.service_pack_build = text.parse().ok(),
                    "SPLEVEL" => version.service_pack_level = text.parse().ok(),
                    "BRANCH" => version.branch = string(),
                    _ => {}
                }
            }
        }
    }
}

/// `0x01D1DF3A` or, as it is also written, `0x1d1df3a`.
fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn read(raw: &[u8], images: u32) -> (Xml, Vec<String>) {
        let mut warnings = Warnings::default();
        let xml = parse(raw, 0x100, images, &mut warnings);
        (xml, warnings.into_list().iter().map(ToString::to_string).collect())
    }

    /// The shape of what DISM writes for Windows 8.1, with invented values.
    const FULL: &str = "<WIM><TOTALBYTES>123</TOTALBYTES><IMAGE INDEX=\"1\"><WINDOWS><ARCH>9</ARCH>\
        <PRODUCTNAME>Example&#174; OS</PRODUCTNAME><EDITIONID>Core</EDITIONID>\
        <INSTALLATIONTYPE>Client</INSTALLATIONTYPE><HAL>acpiapic</HAL><LANGUAGES><LANGUAGE>zh-CN</LANGUAGE>\
        <LANGUAGE>en-US</LANGUAGE><FALLBACK LANGUAGE=\"zh-CN\">en-US</FALLBACK><DEFAULT>zh-CN</DEFAULT></LANGUAGES>\
        <VERSION><MAJOR>6</MAJOR><MINOR>3</MINOR><BUILD>9600</BUILD><SPBUILD>17031</SPBUILD><SPLEVEL>0</SPLEVEL>\
        <BRANCH>a_branch</BRANCH></VERSION><SYSTEMROOT>WINDOWS</SYSTEMROOT></WINDOWS><DIRCOUNT>12</DIRCOUNT>\
        <FILECOUNT>34</FILECOUNT><TOTALBYTES>5678</TOTALBYTES><HARDLINKBYTES>90</HARDLINKBYTES><CREATIONTIME>\
        <HIGHPART>0x01CF4346</HIGHPART><LOWPART>0x0F6D1BCD</LOWPART></CREATIONTIME><LASTMODIFICATIONTIME>\
        <HIGHPART>0x01CF4347</HIGHPART><LOWPART>0x00000001</LOWPART></LASTMODIFICATIONTIME><WIMBOOT>0</WIMBOOT>\
        <NAME>A &amp; B &lt;\u{4e2d}></NAME><DESCRIPTION><![CDATA[x<y]]></DESCRIPTION><FLAGS>Core</FLAGS></IMAGE></WIM>";

    #[test]
    fn reads_every_field() {
        let (xml, warnings) = read(&utf16(FULL), 1);
        assert_eq!(warnings, [""; 0]);
        assert_eq!(xml.total_bytes, Some(123));
        let image = xml.image(1).unwrap();
        assert_eq!(image.name.as_deref(), Some("A & B <\u{4e2d}>"));
        assert_eq!(image.description.as_deref(), Some("x<y"));
        assert_eq!(image.product_name.as_deref(), Some("Example\u{ae} OS"));
        assert_eq!(image.architecture.unwrap().to_string(), "x64");
        assert_eq!(image.version.as_ref().unwrap().to_string(), "6.3.9600.17031");
        assert_eq!(image.version.as_ref().unwrap().branch.as_deref(), Some("a_branch"));
        assert_eq!(image.languages, ["zh-CN", "en-US"]);
        assert_eq!(image.default_language.as_deref(), Some("zh-CN"));
        assert_eq!((image.dir_count, image.file_count), (Some(12), Some(34)));
        assert_eq!((image.total_bytes, image.hard_link_bytes), (Some(5678), Some(90)));
        assert_eq!(image.creation_time, Some(FileTime(0x01CF_4346_0F6D_1BCD)));
        assert_eq!(image.modification_time, Some(FileTime(0x01CF_4347_0000_0001)));
        assert_eq!((image.wim_boot, image.edition.as_deref()), (Some(false), Some("Core")));
        assert_eq!(image.system_root.as_deref(), Some("WINDOWS"));
        assert!(!xml.encrypted && xml.image(0).is_none() && xml.image(2).is_none());
    }

    #[test]
    fn other_encodings_are_read_and_mentioned() {
        let without_mark = &utf16(FULL)[2..];
        let (reference, _) = read(&utf16(FULL), 1);
        for raw in [without_mark, FULL.as_bytes(), &[b"\xEF\xBB\xBF", FULL.as_bytes()].concat()] {
            let (xml, warnings) = read(raw, 1);
            assert_eq!(xml, reference);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
        }
        let padded = [utf16(FULL), vec![0; 6]].concat();
        assert_eq!(read(&padded, 1), (reference, vec![]));
    }

    #[test]
    fn indices_need_not_be_in_order_nor_make_sense() {
        let text = "<WIM><IMAGE INDEX=\"3\"><NAME>c</NAME></IMAGE><IMAGE INDEX=\"1\"><NAME>a</NAME></IMAGE>\
            <IMAGE INDEX=\"1\"><NAME>again</NAME></IMAGE><IMAGE INDEX=\"9\"/><IMAGE INDEX=\"x\"/><IMAGE/></WIM>";
        let (xml, warnings) = read(&utf16(text), 3);
        let names: Vec<_> = xml.images.iter().map(|i| (i.index, i.name.as_deref().unwrap())).collect();
        assert_eq!(names, [(1, "a"), (3, "c")]);
        assert_eq!(warnings.len(), 5, "{warnings:?}");
    }

    #[test]
    fn what_is_not_well_formed_is_a_warning() {
        let deep = "<A>".repeat(100_000);
        let bomb = format!(
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>{}",
            FULL.replace("Core", "&b;")
        );
        for text in
            ["<WIM>", "<WIM></IMAGE>", "<", "<WIM><IMAGE INDEX=", &deep, "\u{1}\u{2}<&>&&", "&#0;<a b=c d"]
        {
            let (_, warnings) = read(&utf16(text), 1);
            assert!(!warnings.is_empty(), "{text:.40}");
        }
        let (xml, _) = read(&utf16(&bomb), 1);
        assert!(xml.image(1).is_none_or(|image| image.edition.is_none()));
        let (_, warnings) = read(&[0xFF, 0xFE, 0x00], 1);
        assert_eq!(warnings, ["XML data at 0x100: describes 0 of 1 images"]);
    }

    #[test]
    fn encrypted_files_are_recognised() {
        let (xml, _) = read(&utf16("<WIM><ESD><ENCRYPTED>1</ENCRYPTED></ESD></WIM>"), 0);
        assert!(xml.encrypted);
        let (xml, _) = read(&utf16("<WIM><ESD><ENCRYPTED/></ESD></WIM>"), 0);
        assert!(xml.encrypted);
    }

    #[test]
    fn cut_anywhere_it_does_not_panic() {
        let raw = utf16(FULL);
        for end in 0..raw.len() {
            read(&raw[..end], 1);
        }
    }
}
