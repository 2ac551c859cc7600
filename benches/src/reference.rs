//! `check`: is wimforge still as much better than its peers as the committed reference says?
//!
//! Seconds do not compare between machines, ratios of programs that ran side by side nearly do: those are kept, in
//! `reference.json`. A loss that is found is measured a second time, and counts when it is still there.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use crate::contest::{Contest, Level, Measured, Output, Source};
use crate::corpus::{Codec, Corpus, Kind, Scale};
use crate::{contest, measure, report};

/// How much of a ratio may be lost.
const TOLERANCE: f64 = 0.15;
/// Sizes do not depend on what else the machine does.
const SIZE_TOLERANCE: f64 = 0.02;

/// How we compare with the peer in one output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The peer's seconds by ours: larger is better.
    pub faster: f64,
    /// Our bytes by the peer's: smaller is better.
    pub size: f64,
}

pub(crate) type Ratios = BTreeMap<String, Ratio>;

/// What has become worse than the reference allows, in words; nothing when all is well.
pub(crate) fn losses(reference: &Ratios, found: &Ratios) -> BTreeMap<String, String> {
    let mut losses = BTreeMap::new();
    for (name, was) in reference {
        let Some(is) = found.get(name) else {
            losses.insert(name.clone(), "was not measured".to_owned());
            continue;
        };
        let mut lost = Vec::new();
        if is.faster.is_nan() || is.faster < was.faster * (1.0 - TOLERANCE) {
            lost.push(format!("{:.2} x faster than the peer, was {:.2} x", is.faster, was.faster));
        }
        if is.size.is_nan() || is.size > was.size * (1.0 + SIZE_TOLERANCE) {
            lost.push(format!("{:.4} of the peer's size, was {:.4}", is.size, was.size));
        }
        if !lost.is_empty() {
            losses.insert(name.clone(), lost.join("; "));
        }
    }
    losses
}

fn ratios(measured: &Measured, threads: usize) -> Ratios {
    let mut ratios = Ratios::new();
    for (output, level) in report::kinds(measured) {
        let (Some(ours), Some(peer)) = (measured.ours(output, level, threads), measured.peer(output)) else {
            continue;
        };
        let level = level.map_or(String::new(), |level| format!(" {level}"));
        let faster = peer.median().wall / ours.median().wall;
        let ratio = Ratio { faster, size: ours.size() as f64 / peer.size() as f64 };
        ratios.insert(format!("{} -> {output}{level}", measured.source.name), ratio);
    }
    ratios
}

/// What `check` measures: what takes the peer least time and shows every part of the pass. Raw disks and VHDs of 0.5 GB,
/// because those of less are done before the clock can tell; VMDKs of a quarter of that.
fn selection(threads: usize, place: &Path) -> Vec<(Corpus, Codec, Contest)> {
    let contest = |outputs: &[Output], levels: &[Level], runs, peer_runs| Contest {
        outputs: outputs.to_vec(),
        levels: levels.to_vec(),
        threads: vec![threads],
        runs,
        peer_runs,
        place: place.to_owned(),
        sync_peer: false,
    };
    let disks = contest(&[Output::Raw, Output::Vhd], &[], 7, 3);
    let files = contest(&[Output::Vmdk], &[Level::Fast, Level::Default], 7, 3);
    let (half, small) =
        (Corpus { kind: Kind::Pe, scale: Scale::Half }, Corpus { kind: Kind::Pe, scale: Scale::Small });
    let mut selection = vec![(half, Codec::Lzx, disks)];
    selection.extend(Codec::ALL.map(|codec| (small, codec, files.clone())));
    selection
}

fn parse(value: &Value) -> Option<(Ratios, usize)> {
    let threads = usize::try_from(value["threads"].as_u64()?).ok()?;
    let ratios = value["ratios"].as_object()?.iter().map(|(name, ratio)| {
        Some((name.clone(), Ratio { faster: ratio["faster"].as_f64()?, size: ratio["size"].as_f64()? }))
    });
    Some((ratios.collect::<Option<Ratios>>()?, threads))
}

fn write(ratios: &Ratios, threads: usize, circumstances: &Value) -> Value {
    let rounded = |number: f64| (number * 10_000.0).round() / 10_000.0;
    let ratios: serde_json::Map<String, Value> = ratios
        .iter()
        .map(|(name, ratio)| {
            (name.clone(), json!({ "faster": rounded(ratio.faster), "size": rounded(ratio.size) }))
        })
        .collect();
    json!({ "threads": threads, "circumstances": circumstances, "ratios": ratios })
}

/// Measures the selection and compares with the reference in `file`, or, to `update`, writes that.
#[expect(clippy::print_stdout, reason = "a command")]
pub(crate) fn check(wimforge: &Path, file: &Path, place: &Path, update: bool) -> Result<(), Box<dyn Error>> {
    let (reference, threads) = if update {
        (Ratios::new(), measure::threads())
    } else {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        parse(&serde_json::from_str(&text)?).ok_or_else(|| format!("{}: no reference", file.display()))?
    };
    let circumstances = measure::circumstances(wimforge, place);
    println!("{circumstances:#}");
    if threads != measure::threads() {
        println!("the reference was made with {threads} threads; so wimforge has as many here");
    }
    let mut found = Ratios::new();
    for (corpus, codec, contest) in selection(threads, place) {
        let name = format!("{corpus}/{}", codec.name());
        let source = Source { name: name.clone(), wim: corpus.get(codec)?, image: 1 };
        let ours = |ratios: &Ratios| -> Ratios {
            let prefix = format!("{name} ");
            ratios
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, ratio)| (key.clone(), *ratio))
                .collect()
        };
        for attempt in 1..=2 {
            let measured = contest::measure(wimforge, &source, &contest, |_| {})?;
            println!("{}", report::table(&measured)?);
            let ratios = ratios(&measured, threads);
            let worse = losses(&ours(&reference), &ratios);
            found.extend(ratios);
            if worse.is_empty() || attempt == 2 {
                break;
            }
            for (name, loss) in worse {
                println!("{name}: {loss}; once more");
            }
        }
    }
    if update {
        let text = format!("{:#}\n", write(&found, threads, &circumstances));
        std::fs::write(file, text)?;
        println!("wrote {}", file.display());
        return Ok(());
    }
    for (name, is) in &found {
        if let Some(was) = reference.get(name) {
            println!(
                "{name:<32} faster {:>6.2} x (was {:>6.2})   size {:.4} (was {:.4})",
                is.faster, was.faster, is.size, was.size
            );
        } else {
            println!("{name:<32} faster {:>6.2} x   size {:.4}   not in the reference", is.faster, is.size);
        }
    }
    let losses = losses(&reference, &found);
    if losses.is_empty() {
        println!("nothing was lost");
        return Ok(());
    }
    let text: Vec<String> = losses.into_iter().map(|(name, loss)| format!("{name}: {loss}")).collect();
    Err(format!("lost more than {:.0} %:\n  {}", 100.0 * TOLERANCE, text.join("\n  ")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, f64, f64)]) -> Ratios {
        list.iter().map(|&(name, faster, size)| (name.to_owned(), Ratio { faster, size })).collect()
    }

    #[test]
    fn a_loss_of_more_than_the_tolerance_is_found() {
        let reference = of(&[("a", 10.0, 0.99), ("b", 4.0, 1.0)]);
        let lost =
            |found: &[(&str, f64, f64)]| losses(&reference, &of(found)).into_keys().collect::<Vec<_>>();
        assert!(lost(&[("a", 10.0, 0.99), ("b", 4.0, 1.0)]).is_empty());
        assert!(lost(&[("a", 8.6, 1.0), ("b", 40.0, 0.1), ("new", 0.1, 9.0)]).is_empty());
        assert_eq!(lost(&[("a", 8.4, 0.99), ("b", 4.0, 1.0)]), ["a"]);
        assert_eq!(lost(&[("a", 10.0, 1.02), ("b", 3.3, 1.0)]), ["a", "b"]);
        assert_eq!(lost(&[("a", f64::NAN, 0.99), ("b", 4.0, f64::NAN)]), ["a", "b"]);
        assert_eq!(lost(&[("a", 10.0, 0.99)]), ["b"], "what is no longer measured is lost");
    }

    #[test]
    fn a_doctored_reference_fails() {
        let found = of(&[("pe/lzx -> vmdk default", 10.0, 0.99)]);
        let honest = write(&found, 2, &Value::Null);
        let (reference, threads) = parse(&honest).expect("what was written");
        assert_eq!((threads, losses(&reference, &found).len()), (2, 0));
        let mut doctored = honest;
        doctored["ratios"]["pe/lzx -> vmdk default"]["faster"] = json!(12.0);
        let (reference, _) = parse(&doctored).expect("still a reference");
        let losses = losses(&reference, &found);
        assert_eq!(losses["pe/lzx -> vmdk default"], "10.00 x faster than the peer, was 12.00 x");
    }

    #[test]
    fn the_committed_reference_names_what_check_measures() {
        let text = include_str!("../reference.json");
        let (reference, threads) = parse(&serde_json::from_str(text).expect("JSON")).expect("a reference");
        let mut names = Vec::new();
        for (corpus, codec, contest) in selection(threads, Path::new("/tmp")) {
            for output in &contest.outputs {
                let start = format!("{corpus}/{} -> {output}", codec.name());
                if *output == Output::Vmdk {
                    names.extend(contest.levels.iter().map(|level| format!("{start} {level}")));
                } else {
                    names.push(start);
                }
            }
        }
        names.sort();
        assert_eq!(reference.into_keys().collect::<Vec<_>>(), names);
    }
}
