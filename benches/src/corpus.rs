//! The WIMs that are measured, made once, into the cache directory: the large Windows-shaped one (500 MB of real PE files,
//! thousands of small texts, hard links between the component store and `System32`, short names, security descriptors),
//! and generated ones of other shapes and sizes.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;

use testkit::content::{Random, text};
use testkit::fixture::{self, Folders};
use testkit::tree::Tree;
use testkit::wimfile::{Content, Entry, Maker, WimFile, filetime};

use crate::generate;

/// PE files are taken, in the order of their names, until they hold this much.
const PE_BYTES: u64 = 500_000_000;
/// How many small text files stand beside them.
const TEXTS: usize = 8_000;
/// Room for the tree and for what ntfs-3g needs.
const VOLUME: u64 = 2 << 30;

const IMAGE: &str = "Large Windows-shaped corpus";

/// What a corpus holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Programs and texts, as in a Windows.
    Pe,
    /// Prose, logs, manifests, tables.
    Text,
    /// Small files, of 5 KB on average.
    Many,
    /// What does not compress, in files of megabytes.
    Noise,
    /// Four files.
    Huge,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// 125 MB: what `check` can afford.
    Small,
    /// 0.5 GB.
    Half,
    /// 4 GB.
    Four,
}

impl Scale {
    fn bytes(self) -> u64 {
        match self {
            Self::Small => PE_BYTES / 4,
            Self::Half => PE_BYTES,
            Self::Four => 8 * PE_BYTES,
        }
    }
}

/// One of the generated corpora: `pe`, `text-small`, `huge-4g`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corpus {
    pub kind: Kind,
    pub scale: Scale,
}

const KINDS: [(&str, Kind); 5] = [
    ("pe", Kind::Pe),
    ("text", Kind::Text),
    ("many", Kind::Many),
    ("noise", Kind::Noise),
    ("huge", Kind::Huge),
];
const SCALES: [(&str, Scale); 3] = [("", Scale::Half), ("-small", Scale::Small), ("-4g", Scale::Four)];

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("?", |(name, _)| name);
        let scale = SCALES.iter().find(|(_, scale)| *scale == self.scale).map_or("?", |(name, _)| name);
        write!(f, "{kind}{scale}")
    }
}

impl FromStr for Corpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        for (kind_name, kind) in KINDS {
            for (scale_name, scale) in SCALES {
                if text.strip_prefix(kind_name) == Some(scale_name) {
                    return Ok(Self { kind, scale });
                }
            }
        }
        Err(format!("no corpus {text:?}: pe, text, many, noise or huge, and nothing, -small or -4g"))
    }
}

/// How a corpus is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Lzx,
    Xpress,
    /// LZMS in one solid resource.
    Esd,
}

impl Codec {
    pub(crate) const ALL: [Self; 3] = [Self::Lzx, Self::Xpress, Self::Esd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lzx => "lzx",
            Self::Xpress => "xpress",
            Self::Esd => "esd",
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|codec| codec.name() == text);
        found.ok_or_else(|| format!("no codec {text:?}: lzx, xpress or esd"))
    }
}

impl Corpus {
    /// The corpus compressed with `codec`. Takes minutes the first time: wimlib's own encoders make it.
    pub(crate) fn get(self, codec: Codec) -> Result<PathBuf, Box<dyn Error>> {
        if self == (Self { kind: Kind::Pe, scale: Scale::Half }) {
            return get(match codec {
                Codec::Lzx => "LZX",
                Codec::Xpress => "XPRESS",
                Codec::Esd => "LZMS",
            });
        }
        if codec == Codec::Lzx {
            return kept(&format!("corpus-{self}-lzx.wim"), |out| {
                let scratch = tempfile::tempdir_in(testkit::cache())?;
                let plain = scratch.path().join("plain.wim");
                self.tree()?.save(&plain);
                wimlib(&[
                    "export".as_ref(),
                    plain.as_ref(),
                    "1".as_ref(),
                    out.as_ref(),
                    "--compress=LZX".as_ref(),
                ])
            });
        }
        let (name, options): (_, &[&str]) = match (codec, self.scale) {
            (Codec::Xpress, _) => ("xpress.wim", &["--compress=XPRESS"]),
            // At its usual level this would take most of an hour.
            (_, Scale::Four) => ("solid.esd", &["--solid", "--solid-compress=LZMS:20"]),
            _ => ("solid.esd", &["--solid"]),
        };
        kept(&format!("corpus-{self}-{name}"), |out| {
            let lzx = self.get(Codec::Lzx)?;
            let mut args: Vec<&OsStr> = vec!["export".as_ref(), lzx.as_ref(), "1".as_ref(), out.as_ref()];
            args.extend(options.iter().map(OsStr::new));
            wimlib(&args)
        })
    }

    fn tree(self) -> Result<WimFile, Box<dyn Error>> {
        let cache = testkit::cache();
        match (self.kind, self.scale) {
            (Kind::Pe, Scale::Four) => {
                fetch(&["fetch-wine.sh", "fetch-large.sh"])?;
                tree(
                    &cache,
                    Amount { sources: 3, real: u64::MAX, total: self.scale.bytes(), texts: 8 * TEXTS },
                )
            }
            (Kind::Pe, _) => {
                fetch(&["fetch-wine.sh"])?;
                let bytes = self.scale.bytes();
                let texts = if self.scale == Scale::Small { TEXTS / 4 } else { TEXTS };
                tree(&cache, Amount { sources: 1, real: bytes, total: bytes, texts })
            }
            (Kind::Huge, _) => {
                fetch(&["fetch-wine.sh"])?;
                huge(&cache, self.scale.bytes())
            }
            (kind, _) => Ok(files(kind, self.scale.bytes())),
        }
    }
}

fn fetch(scripts: &[&str]) -> Result<(), Box<dyn Error>> {
    for script in scripts {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        if !Command::new("bash").arg(&script).status()?.success() {
            return Err(format!("{} failed", script.display()).into());
        }
    }
    Ok(())
}

/// Files of one kind, of sizes that spread evenly over the powers of two of a range, in directories of 200.
fn files(kind: Kind, total: u64) -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Generated corpus");
    let security = fixture::security(image);
    let mut folders = Folders::new(image, Some(security.system));
    let mut random = Random::new(kind as u64 + 77);
    // Powers of two: from 64 bytes to 32 KiB, and so on.
    let (least, most, extension) = match kind {
        Kind::Many => (6, 15, "dat"),
        Kind::Text => (10, 20, "txt"),
        _ => (18, 26, "bin"),
    };
    let (mut taken, mut index) = (0, 0_u64);
    while taken < total {
        let power = least + random.below(most - least);
        let size = (1_usize << power) + random.below(1 << power);
        taken += size as u64;
        let directory = folders.get(&format!("Data/part {:03}/folder {:05}", index / 10_000, index / 200));
        let maker = Maker::new(move || match (kind, index % 4) {
            (Kind::Noise, _) => Random::new(index).bytes(size),
            (Kind::Many, 0) => testkit::content::program(index, size),
            (Kind::Many, 1) if index % 16 == 1 => Random::new(index).bytes(size),
            _ => generate::text(index, size),
        });
        let entry =
            Entry { data: Content::Made(maker), ..Entry::file(&format!("File {index:07}.{extension}"), "") };
        let entry = entry.secured(security.user);
        folders.image.add(
            directory,
            if index % 3 == 0 {
                entry.short(&format!("F{index:07}.{}", extension.to_uppercase()))
            } else {
                entry
            },
        );
        index += 1;
    }
    image.secure_the_rest(security.root);
    wim
}

/// Four files of mixed content.
fn huge(cache: &Path, total: u64) -> Result<WimFile, Box<dyn Error>> {
    let programs: Vec<Vec<u8>> =
        programs(cache, "wine")?.iter().step_by(9).map(std::fs::read).collect::<Result<_, _>>()?;
    let programs = Arc::new(programs);
    let mut wim = WimFile::new();
    let image = wim.image("Generated corpus");
    let security = fixture::security(image);
    let mut folders = Folders::new(image, Some(security.system));
    let directory = folders.get("Data");
    for (index, share) in [2, 3, 5, 6].into_iter().enumerate() {
        let (programs, size) = (Arc::clone(&programs), usize::try_from(total / 16 * share)?);
        let maker = Maker::new(move || generate::mixed(index as u64, size, &programs));
        let entry = Entry { data: Content::Made(maker), ..Entry::file(&format!("Huge {index}.bin"), "") };
        folders.image.add(directory, entry.secured(security.user));
    }
    image.secure_the_rest(security.root);
    Ok(wim)
}

/// The corpus compressed with `codec` ("LZX", "XPRESS", or "LZMS", which is one solid resource).
pub(crate) fn get(codec: &str) -> Result<PathBuf, Box<dyn Error>> {
    let cache = testkit::cache();
    if codec == "LZMS" {
        return kept("corpus-solid.esd", |out| {
            wimlib(&["export".as_ref(), get("LZX")?.as_ref(), "1".as_ref(), out.as_ref(), "--solid".as_ref()])
        });
    }
    kept(&format!("corpus-{}.wim", codec.to_lowercase()), |out| {
        fetch(&["fetch-wine.sh"])?;
        let scratch = tempfile::tempdir_in(&cache)?;
        let plain = scratch.path().join("plain.wim");
        tree(&cache, Amount { sources: 1, real: PE_BYTES, total: PE_BYTES, texts: TEXTS })?.save(&plain);
        fixture::through_wimlib(&plain, &[IMAGE], VOLUME, codec, out).ok_or("wimlib or mkntfs is missing")?;
        let meant = Tree::of_wim(&plain, 1).ok_or("wimlib is missing")?;
        meant.compare(&Tree::of_wim(out, 1).ok_or("wimlib is missing")?).assert_none();
        Ok(())
    })
}

/// A WIM of 500 MB, with LZX: the same and twice as many programs again, which ordinary Windows programs are among.
pub(crate) fn large() -> Result<PathBuf, Box<dyn Error>> {
    kept("corpus-large.wim", |out| {
        fetch(&["fetch-wine.sh", "fetch-large.sh"])?;
        let scratch = tempfile::tempdir_in(testkit::cache())?;
        let plain = scratch.path().join("plain.wim");
        let everything = Amount { sources: 3, real: u64::MAX, total: 0, texts: TEXTS };
        tree(&testkit::cache(), everything)?.save(&plain);
        fixture::through_wimlib(&plain, &[IMAGE], 3 * VOLUME, "LZX", out)
            .ok_or("wimlib or mkntfs is missing")?;
        Ok(())
    })
}

/// Makes a file of the cache unless it is there.
fn kept(
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<PathBuf, Box<dyn Error>> {
    let cache = testkit::cache();
    let out = cache.join(name);
    if !out.exists() {
        let scratch = tempfile::tempdir_in(&cache)?;
        let made = scratch.path().join(name);
        make(&made)?;
        std::fs::rename(made, &out)?;
    }
    Ok(out)
}

fn wimlib(args: &[&OsStr]) -> Result<(), Box<dyn Error>> {
    let output = Command::new("wimlib-imagex").args(args).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("wimlib-imagex {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// What a Unix system is made of, for another corpus than the Windows-shaped one: programs, Python and its library,
/// documents, as this machine has them; so its numbers compare with each other only.
pub(crate) fn unix(codec: &str) -> Result<PathBuf, Box<dyn Error>> {
    let plain = kept("unix-plain.wim", |out| {
        let scratch = tempfile::tempdir_in(testkit::cache())?;
        for (root, limit) in
            [("usr/bin", 50_000_000), ("usr/lib/python3", 20_000_000), ("usr/share/doc", 30_000_000)]
        {
            let mut taken = 0;
            let mut waiting = vec![Path::new("/").join(root)];
            while let Some(directory) = waiting.pop() {
                let Ok(entries) = std::fs::read_dir(&directory) else { continue };
                let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                paths.sort();
                for path in paths {
                    let kind = path.symlink_metadata()?;
                    if kind.is_dir() {
                        waiting.push(path);
                    } else if kind.is_file() && taken + kind.len() <= limit {
                        taken += kind.len();
                        let to = scratch.path().join(path.strip_prefix("/")?);
                        std::fs::create_dir_all(to.parent().ok_or("a file has a parent")?)?;
                        std::fs::copy(&path, to)?;
                    }
                }
            }
        }
        wimlib(&["capture".as_ref(), scratch.path().as_ref(), out.as_ref(), "--compress=none".as_ref()])
    })?;
    let (name, option) = match codec {
        "LZMS" => ("unix-solid.esd", "--solid"),
        "XPRESS" => ("unix-xpress.wim", "--compress=XPRESS"),
        _ => ("unix-lzx.wim", "--compress=LZX"),
    };
    kept(name, |out| {
        wimlib(&["export".as_ref(), plain.as_ref(), "1".as_ref(), out.as_ref(), option.as_ref()])
    })
}

/// `count` small files, compressed with LZX.
pub(crate) fn many(count: usize) -> Result<PathBuf, Box<dyn Error>> {
    let cache = testkit::cache();
    let out = cache.join(format!("many-{count}.wim"));
    if out.exists() {
        return Ok(out);
    }
    let scratch = tempfile::tempdir_in(&cache)?;
    let (plain, captured) = (scratch.path().join("plain.wim"), scratch.path().join("captured.wim"));
    fixture::many(count).save(&plain);
    let volume = (count as u64 * 8_192).max(256 << 20);
    fixture::through_wimlib(&plain, &["Many files"], volume, "LZX", &captured)
        .ok_or("wimlib or mkntfs is missing")?;
    std::fs::rename(captured, &out)?;
    Ok(out)
}

/// The PE files of a folder of the cache, in the order of their names.
fn programs(cache: &Path, source: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = std::fs::read_dir(cache.join(source))?;
    let mut programs: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    programs.retain(|path| path.extension().is_some_and(|extension| extension != "a"));
    programs.sort();
    Ok(programs)
}

/// How much of a Windows-shaped tree.
struct Amount {
    /// How many of the sources of programs.
    sources: usize,
    /// Bytes of programs as they are, at most.
    real: u64,
    /// Bytes of programs: beyond the real ones, relinked copies of them.
    total: u64,
    texts: usize,
}

fn tree(cache: &Path, amount: Amount) -> Result<WimFile, Box<dyn Error>> {
    let mut wim = WimFile::new();
    let image = wim.image(IMAGE);
    let security = fixture::security(image);
    let mut folders = Folders::new(image, Some(security.system));
    let mut random = Random::new(2016);
    let mut taken = 0;
    let sources: &[(&str, &str, &str)] = &[
        ("wine", "amd64", "System32"),
        ("programs/x86", "x86", "SysWOW64"),
        ("programs/qt", "msil", "Microsoft.NET"),
    ];
    // The first time as they are, then copies, as long as something is missing.
    for copy in 0_u64.. {
        if copy > 0 && taken >= amount.total {
            break;
        }
        let limit = if copy == 0 { amount.real } else { amount.total };
        let before = taken;
        for &(source, architecture, home) in &sources[..amount.sources] {
            for (index, path) in programs(cache, source)?.iter().enumerate() {
                let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name outside UTF-8")?;
                let size = path.metadata()?.len();
                if taken + size > limit {
                    continue;
                }
                taken += size;
                let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "dll"));
                let home = match extension {
                    "sys" => format!("Windows/{home}/drivers"),
                    "nls" | "dll" | "exe" | "drv" | "cpl" | "ocx" | "pyd" => format!("Windows/{home}"),
                    _ => format!("Windows/{home}/wbem"),
                };
                let home = if copy == 0 { home } else { format!("{home}/{copy:04}") };
                let hash = random.next_u64();
                let component = folders.get(&format!(
                "Windows/WinSxS/{architecture}_{stem}_31bf3856ad364e35_10.0.14393.{index}_none_{hash:016x}"
            ));
                let home = folders.get(&home);
                let written = filetime(1_468_600_000 + i64::try_from(index)?, 1_234_567);
                let entry =
                    Entry::file(name, "").secured(security.system).times(written, written + 1, written + 2);
                let data = if copy == 0 {
                    Content::HostFile(path.clone())
                } else {
                    let (path, seed) = (path.clone(), copy << 32 | index as u64);
                    Content::Made(Maker::new(move || match std::fs::read(&path) {
                        Ok(bytes) => generate::relinked(&bytes, seed),
                        Err(error) => panic!("{}: {error}", path.display()),
                    }))
                };
                let stored = folders.image.add(component, Entry { data, ..entry });
                folders.image.link(stored, home, name);
            }
        }
        if taken == before {
            break;
        }
    }

    let kinds = [
        ("Windows/WinSxS/Manifests", "manifest", 3_000),
        ("Windows/servicing/Packages", "mum", 4_000),
        ("Windows/System32/DriverStore/FileRepository", "inf", 6_000),
        ("Windows/System32/en-US", "mui.txt", 900),
        ("Windows/Logs", "log", 300),
        ("Users/Public/Documents", "txt", 12_000),
    ];
    for index in 0..amount.texts {
        let (place, extension, size) = kinds[index % kinds.len()];
        let directory = match extension {
            "inf" => folders.get(&format!("{place}/driver{:04}.inf_amd64_{:016x}", index / 60, index / 60)),
            _ => folders.get(place),
        };
        let name =
            format!("Package-{index:05}~31bf3856ad364e35~amd64~~10.0.{}.0.{extension}", index * 31 % 9_999);
        let length = random.below(2 * size);
        let mut entry = Entry::file(&name, text(index as u64, length)).secured(security.user);
        if index % 4 == 0 {
            entry = entry.short(&format!("PK{index:05}.TXT"));
        }
        if index % 200 == 0 {
            entry = entry.stream("Zone.Identifier", "[ZoneTransfer]\r\nZoneId=3\r\n");
        }
        folders.image.add(directory, entry);
    }
    image.secure_the_rest(security.root);
    Ok(wim)
}
