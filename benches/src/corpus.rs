//! The large Windows-shaped WIM: some 500 MB of real PE files, thousands of small texts, hard links between the
//! component store and `System32`, short names, security descriptors. Made once, into the cache directory.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::content::{Random, text};
use testkit::fixture::{self, Folders};
use testkit::tree::Tree;
use testkit::wimfile::{Content, Entry, WimFile, filetime};

/// PE files are taken, in the order of their names, until they hold this much.
const PE_BYTES: u64 = 500_000_000;
/// How many small text files stand beside them.
const TEXTS: usize = 8_000;
/// Room for the tree and for what ntfs-3g needs.
const VOLUME: u64 = 2 << 30;

const IMAGE: &str = "Large Windows-shaped corpus";

/// The corpus compressed with `codec` ("LZX", "XPRESS", or "LZMS", which is one solid resource).
pub(crate) fn get(codec: &str) -> Result<PathBuf, Box<dyn Error>> {
    let cache = testkit::cache();
    if codec == "LZMS" {
        return kept("corpus-solid.esd", |out| {
            wimlib(&["export".as_ref(), get("LZX")?.as_ref(), "1".as_ref(), out.as_ref(), "--solid".as_ref()])
        });
    }
    let out = cache.join(format!("corpus-{}.wim", codec.to_lowercase()));
    if out.exists() {
        return Ok(out);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch-wine.sh");
    if !Command::new("bash").arg(&script).status()?.success() {
        return Err(format!("{} failed", script.display()).into());
    }
    let scratch = tempfile::tempdir_in(&cache)?;
    let (plain, captured) = (scratch.path().join("plain.wim"), scratch.path().join("captured.wim"));
    tree(&cache, false)?.save(&plain);
    fixture::through_wimlib(&plain, &[IMAGE], VOLUME, codec, &captured)
        .ok_or("wimlib or mkntfs is missing")?;
    let meant = Tree::of_wim(&plain, 1).ok_or("wimlib is missing")?;
    meant.compare(&Tree::of_wim(&captured, 1).ok_or("wimlib is missing")?).assert_none();
    std::fs::rename(captured, &out)?;
    Ok(out)
}

/// A WIM of 500 MB, with LZX: the same and twice as many programs again, which ordinary Windows programs are among.
pub(crate) fn large() -> Result<PathBuf, Box<dyn Error>> {
    kept("corpus-large.wim", |out| {
        for script in ["fetch-wine.sh", "fetch-large.sh"] {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
            if !Command::new("bash").arg(&script).status()?.success() {
                return Err(format!("{} failed", script.display()).into());
            }
        }
        let scratch = tempfile::tempdir_in(testkit::cache())?;
        let plain = scratch.path().join("plain.wim");
        tree(&testkit::cache(), true)?.save(&plain);
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

fn tree(cache: &Path, large: bool) -> Result<WimFile, Box<dyn Error>> {
    let mut wim = WimFile::new();
    let image = wim.image(IMAGE);
    let security = fixture::security(image);
    let mut folders = Folders::new(image, Some(security.system));
    let mut random = Random::new(2016);
    let mut taken = 0;
    let limit = if large { u64::MAX } else { PE_BYTES };
    let sources: &[(&str, &str, &str)] = &[
        ("wine", "amd64", "System32"),
        ("programs/x86", "x86", "SysWOW64"),
        ("programs/qt", "msil", "Microsoft.NET"),
    ];
    for &(source, architecture, home) in &sources[..if large { 3 } else { 1 }] {
        let entries = std::fs::read_dir(cache.join(source))?;
        let mut programs: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        programs.retain(|path| path.extension().is_some_and(|extension| extension != "a"));
        programs.sort();
        for (index, path) in programs.iter().enumerate() {
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
            let hash = random.next_u64();
            let component = folders.get(&format!(
                "Windows/WinSxS/{architecture}_{stem}_31bf3856ad364e35_10.0.14393.{index}_none_{hash:016x}"
            ));
            let home = folders.get(&home);
            let written = filetime(1_468_600_000 + i64::try_from(index)?, 1_234_567);
            let entry =
                Entry::file(name, "").secured(security.system).times(written, written + 1, written + 2);
            let stored =
                folders.image.add(component, Entry { data: Content::HostFile(path.clone()), ..entry });
            folders.image.link(stored, home, name);
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
    for index in 0..TEXTS {
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
