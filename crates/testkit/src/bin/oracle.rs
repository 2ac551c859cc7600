//! The tests' oracles and fixtures by hand, and for the scripts of `testdata` and `benches`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use testkit::tree::Tree;
use testkit::{fixture, hostile, payload, reader, seeds};

const USAGE: &str = "\
usage: oracle make KIND OUT.wim        write a fixture as an uncompressed WIM;
                                       KIND: small, two-images, rich, ids, many=COUNT, random=SEED,
                                       or one of the hostile: cyclic, exploding, deep, names, long-name,
                                       duplicate-names, missing-blob, false-links
       oracle readers VOLUME WIM [N]   let every NTFS reader read VOLUME, which was made from image N
       oracle hostile DIR              write the files of testdata/hostile
       oracle seeds DIR                write where fuzzing begins, as fuzz/corpus has it
       oracle bootmgr KIND OUT         write a stand-in for BOOTMGR; KIND: greeter, stub=BYTES
       oracle compare A.wim B.wim [N]  compare image N (default 1) of A with image 1 of B, path by path";

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["make", kind, out] => match make(kind) {
            Some(wim) => wim.save(Path::new(out)),
            None => {
                eprintln!("oracle: no fixture called {kind}");
                return ExitCode::from(2);
            }
        },
        ["hostile", directory] => {
            if let Err(error) = write_hostile(Path::new(directory)) {
                eprintln!("oracle: {directory}: {error}");
                return ExitCode::FAILURE;
            }
        }
        ["seeds", directory] => {
            if !seeds::write(Path::new(directory)) {
                return ExitCode::FAILURE;
            }
        }
        ["readers", volume, wim, rest @ ..] => {
            let index = rest.first().map_or(Ok(1), |index| index.parse());
            let Some(tree) = index.ok().and_then(|index| Tree::of_wim(Path::new(wim), index)) else {
                return ExitCode::FAILURE;
            };
            let start = Instant::now();
            reader::all(Path::new(volume), &tree, false, &mut |what| {
                println!("{what}: content, after {:.1} s", start.elapsed().as_secs_f64());
            });
        }
        ["bootmgr", kind, out] => {
            let bytes = match (kind.strip_prefix("stub=").map(str::parse), *kind) {
                (Some(Ok(len)), _) => payload::stub(len),
                (None, "greeter") => payload::greeter(),
                _ => {
                    eprintln!("{USAGE}");
                    return ExitCode::from(2);
                }
            };
            if let Err(error) = std::fs::write(out, bytes) {
                eprintln!("oracle: {out}: {error}");
                return ExitCode::FAILURE;
            }
        }
        ["compare", meant, found, rest @ ..] => {
            let index = rest.first().map_or(Ok(1), |index| index.parse());
            let (Ok(index), true) = (index, rest.len() <= 1) else {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            };
            let (Some(meant), Some(found)) =
                (Tree::of_wim(Path::new(meant), index), Tree::of_wim(Path::new(found), 1))
            else {
                return ExitCode::FAILURE;
            };
            let differences = meant.compare(&found);
            for line in &differences.shown {
                println!("{line}");
            }
            println!("{} paths, {} differences", meant.nodes.len(), differences.total);
            return if differences.total == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) };
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn write_hostile(directory: &Path) -> std::io::Result<()> {
    for fixture in hostile::fixtures() {
        for (path, (_, bytes)) in fixture.paths().iter().zip(&fixture.files) {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().expect("a class's directory"))?;
            std::fs::write(path, bytes)?;
        }
    }
    std::fs::write(directory.join("README.md"), hostile::readme())
}

fn make(kind: &str) -> Option<testkit::wimfile::WimFile> {
    Some(match kind {
        "small" => fixture::small(),
        "two-images" => fixture::two_images(),
        "rich" => fixture::rich(),
        "ids" => fixture::ids_and_attributes(),
        "cyclic" => hostile::cyclic(),
        "exploding" => hostile::exploding(),
        "deep" => hostile::deep(),
        "names" => hostile::names(),
        "long-name" => hostile::long_name(),
        "duplicate-names" => hostile::duplicate_names(),
        "missing-blob" => hostile::missing_blob(),
        "false-links" => hostile::false_links(),
        other => match other.split_once('=')? {
            ("many", count) => fixture::many(count.parse().ok()?),
            ("random", seed) => testkit::random::tree(seed.parse().ok()?),
            _ => return None,
        },
    })
}
