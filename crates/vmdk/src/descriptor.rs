use disk::At;

use crate::layout::SECTOR;
use crate::options::{DESCRIPTOR_SECTORS, Options};
use crate::{Error, ExtentFile, Kind, Result};

/// The longest descriptor that is read: 1 MiB.
pub(crate) const MAX_LEN: u64 = 1 << 20;

/// The most lines that are read. VirtualBox stops at 1100.
const MAX_LINES: usize = 4096;

/// The text that describes a disk and the files it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// `createType`: which kind of VMDK.
    pub create_type: String,
    /// `CID`: changes with the content.
    pub cid: u32,
    /// `parentCID`: `0xFFFFFFFF` when the disk is whole, else the `CID` of the disk it differs from.
    pub parent_cid: u32,
    /// `parentFileNameHint`: where the disk that it differs from was.
    pub parent_hint: Option<String>,
    /// The extents, in disk order.
    pub extents: Vec<DescribedExtent>,
    /// The `ddb.` keys (without the prefix) and their values, in file order.
    pub database: Vec<(String, String)>,
}

/// An extent line of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedExtent {
    /// `RW`, `RDONLY` or `NOACCESS`.
    pub access: String,
    /// Size in sectors.
    pub sectors: u64,
    /// `SPARSE`, `FLAT`, `ZERO`, …
    pub kind: String,
    /// The name of the file that holds it; none for `ZERO`. Not used where extent and descriptor are one file.
    pub file: String,
    /// Where in the file a `FLAT` extent begins, in sectors.
    pub offset: u64,
}

impl Descriptor {
    /// The value of a `ddb.` key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.database.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Reads the text found at byte `at` of the file. Zero bytes end it. Lines that say nothing known are passed over,
    /// because every product adds its own.
    ///
    /// # Errors
    /// [`Error::Malformed`] for numbers that are none and extents that say too little; [`Error::Limit`].
    pub(crate) fn parse(bytes: &[u8], at: u64) -> Result<Self> {
        let malformed = |reason: String| Error::malformed("VMDK descriptor", at, reason);
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        // Only file names are ever outside ASCII; one that was not UTF-8 is refused where it is needed.
        let text = String::from_utf8_lossy(text);
        let mut descriptor = Self { parent_cid: u32::MAX, ..Self::default() };
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if index >= MAX_LINES {
                let (found, limit) = (index as u64 + 1, MAX_LINES as u64);
                return Err(Error::Limit { at: At::new("VMDK descriptor", at), what: "line", found, limit });
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let first_word = line.split_whitespace().next().unwrap_or_default();
            if matches!(first_word, "RW" | "RDONLY" | "NOACCESS") {
                let extent = DescribedExtent::parse(line)
                    .ok_or_else(|| malformed(format!("line {number}: extent \"{}\"", line.escape_debug())))?;
                descriptor.extents.push(extent);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            let hex = || {
                u32::from_str_radix(value, 16)
                    .map_err(|_| malformed(format!("line {number}: {key} \"{}\"", value.escape_debug())))
            };
            if let Some(key) =
                ["createType", "CID", "parentCID", "parentFileNameHint"].into_iter().find(|k| *k == key)
            {
                // Readers differ in which of two they take.
                if seen.contains(&key) {
                    return Err(malformed(format!("line {number}: a second {key}")));
                }
                seen.push(key);
            }
            match key {
                "createType" => descriptor.create_type = value.to_owned(),
                "CID" => descriptor.cid = hex()?,
                "parentCID" => descriptor.parent_cid = hex()?,
                "parentFileNameHint" => descriptor.parent_hint = Some(value.to_owned()),
                _ => {
                    if let Some(key) = key.strip_prefix("ddb.") {
                        descriptor.database.push((key.to_owned(), value.to_owned()));
                    }
                }
            }
        }
        Ok(descriptor)
    }
}

impl DescribedExtent {
    fn parse(line: &str) -> Option<Self> {
        let (head, file, rest) = match line.split_once('"') {
            Some((head, rest)) => {
                let (file, rest) = rest.split_once('"')?;
                (head, file, rest)
            }
            None => (line, "", ""),
        };
        let mut words = head.split_whitespace();
        let (access, sectors, kind) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let offset = rest.split_whitespace().next().map_or(Some(0), |offset| offset.parse().ok())?;
        Some(Self {
            access: access.to_owned(),
            sectors,
            kind: kind.to_owned(),
            file: file.to_owned(),
            offset,
        })
    }
}

/// The descriptor of a new disk: `files` are its extents, none when it is in the file itself.
///
/// The order is fixed by the readers: VirtualBox wants header keys, extents, database; qemu takes the first `CID` it
/// sees anywhere for the content id.
pub(crate) fn text(options: &Options, kind: Kind, files: &[ExtentFile]) -> String {
    let (cylinders, heads, sectors) = options.adapter.geometry(options.size);
    let extent = |len: u64, name: &str| {
        let len = len / SECTOR;
        match kind {
            Kind::MonolithicFlat | Kind::TwoGbMaxExtentFlat => format!("RW {len} FLAT \"{name}\" 0\n"),
            Kind::Vmfs => format!("RW {len} VMFS \"{name}\"\n"),
            _ => format!("RW {len} SPARSE \"{name}\"\n"),
        }
    };
    let extents = match files {
        [] => extent(options.size, &options.name),
        files => files.iter().map(|file| extent(file.len, &file.name)).collect(),
    };
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         encoding=\"UTF-8\"\n\
         CID={cid:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{kind}\"\n\
         \n\
         # Extent description\n\
         {extents}\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"{adapter}\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{sectors}\"\n\
         ddb.toolsInstallType = \"4\"\n\
         ddb.toolsVersion = \"2147483647\"\n\
         ddb.virtualHWVersion = \"8\"\n",
        cid = options.cid.min(u32::MAX - 2),
        adapter = options.adapter.name(),
    )
}

/// The descriptor of a new disk in one file, padded to its sectors.
pub(crate) fn embedded(options: &Options, kind: Kind) -> Vec<u8> {
    let mut text = text(options, kind, &[]).into_bytes();
    let len = (DESCRIPTOR_SECTORS * SECTOR) as usize;
    assert!(text.len() < len, "checked options have a name of at most 255 bytes");
    text.resize(len, 0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let options = Options { cid: u32::MAX, ..Options::new(1 << 30, "größe CID.vmdk", 0) };
        let bytes = embedded(&options, Kind::StreamOptimized);
        let parsed = Descriptor::parse(&bytes, 512).unwrap();
        assert_eq!((parsed.cid, parsed.parent_cid), (0xFFFF_FFFD, u32::MAX));
        assert_eq!(parsed.create_type, "streamOptimized");
        assert_eq!(parsed.extents[0].sectors, 1 << 21);
        assert_eq!(parsed.extents[0].file, "größe CID.vmdk");
        assert_eq!(parsed.get("adapterType"), Some("lsilogic"));
        assert_eq!(parsed.get("geometry.heads"), Some("255"));
        // qemu's rule.
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.find("CID"), text.find("CID=fffffffd"));
    }

    #[test]
    fn hostile_text() {
        let parse = |text: &str| Descriptor::parse(text.as_bytes(), 512);
        assert_eq!(parse("").unwrap().create_type, "");
        assert_eq!(parse("\0createType=\"x\"").unwrap().create_type, "");
        assert_eq!(parse("createType = \"x\" \r\n").unwrap().create_type, "x");
        for bad in [
            "CID=xyz",
            "parentCID=123456789",
            "RW",
            "RW 10",
            "RW ten SPARSE \"a\"",
            "RW 99999999999999999999 FLAT",
            "RW 10 FLAT \"a",
            "RW 10 FLAT \"a\" x",
            "CID=1\nCID=1",
            "createType=\"a\"\ncreateType=\"b\"",
        ] {
            assert!(matches!(parse(bad), Err(Error::Malformed { .. })), "{bad}");
        }
        assert!(parse(&"ddb.a=b\n".repeat(4096)).is_ok());
        assert!(matches!(parse(&"ddb.a=b\n".repeat(4097)), Err(Error::Limit { .. })));
        let flat = parse("RW 8 FLAT \"a b\" 16 more\nRDONLY 9 ZERO\nparentFileNameHint=\"p.vmdk\"").unwrap();
        assert_eq!((flat.extents[0].file.as_str(), flat.extents[0].offset), ("a b", 16));
        assert_eq!((flat.extents[1].file.as_str(), flat.extents[1].access.as_str()), ("", "RDONLY"));
        assert_eq!(flat.parent_hint.as_deref(), Some("p.vmdk"));
        let flat = parse("RW 1000000000000000000 FLAT \"/etc/passwd\" 0").unwrap();
        assert_eq!((flat.extents[0].kind.as_str(), flat.extents[0].file.as_str()), ("FLAT", "/etc/passwd"));
    }
}
