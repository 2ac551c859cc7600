//! `wimforge reg import` of 5,000 values into the SYSTEM hive of a Windows 10, against `hivexregedit --merge`.
//!
//! How long either takes depends on what the values belong to, so there are several files: keys of their own, keys of a
//! driver, a log of changes, and what the hive holds already. For each, both begin with the same hive and the same
//! file, and both results must hold the same keys and values: all of them by our reader of both files, and by
//! hivexregedit's export of the keys that were changed.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use hive::reg::{self, Form, KeyPath};
use hive::{Hive, Key};

use crate::measure::{self, Cost};

const VALUES: usize = 5000;
/// Below a key that exists, since hivexregedit makes no parents.
const BELOW: &str = "HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services";
const PREFIX: &str = "HKEY_LOCAL_MACHINE\\SYSTEM";

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn run(wimforge: &Path, runs: usize) -> Result<(), Box<dyn Error>> {
    let samples = testkit::samples().ok_or("the hive is one of the samples; set WIMFORGE_SAMPLES")?;
    let scratch = tempfile::tempdir_in(testkit::cache())?;
    let place = |name: &str| scratch.path().join(name);
    let original = clean(&samples.join("hives/SYSTEM_WIN_10_1709.xz"))?;
    let before = Hive::parse(&original)?;
    fs::write(place("start"), &original)?;
    println!("machine   {}", measure::machine());
    println!("wimforge  {}", measure::version(&wimforge.display().to_string(), &["--version"]));
    println!("peer      {}", measure::version("dpkg-query", &["-W", "libwin-hivex-perl"]));
    println!("hive      {} bytes, {} keys", original.len(), count(before.root()));
    println!("compact   {} bytes: the same hive written by us, nothing changed", before.to_bytes()?.len());
    println!("runs      {runs} of each, interleaved; medians\n");
    println!("{:44} {:7} {:>8} {:>8} {:>11} {:>11}", "", "", "seconds", "cpu", "memory KiB", "grown by");

    for (name, text) in files(before.root())? {
        fs::write(place("values.reg"), text)?;
        let file = quote(&place("values.reg"));
        let ours = format!("{} reg import {} {file}", quote(wimforge), quote(&place("wimforge")));
        let theirs = format!("hivexregedit --merge --prefix '{PREFIX}' {} {file}", quote(&place("hivex")));
        let (mut our_costs, mut their_costs): (Vec<Cost>, Vec<Cost>) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            for (who, line, costs) in
                [("wimforge", &ours, &mut our_costs), ("hivex", &theirs, &mut their_costs)]
            {
                fs::copy(place("start"), place(who))?;
                costs.push(measure::shell(line, scratch.path())?);
            }
        }
        let costs = [("wimforge", measure::median(&our_costs)), ("hivex", measure::median(&their_costs))];
        let mut label = name;
        for (who, cost) in costs {
            let grown = fs::metadata(place(who))?.len() as i64 - original.len() as i64;
            let (wall, cpu, memory) = (cost.wall, cost.cpu, cost.memory);
            println!("{label:44} {who:8} {wall:7.2} {cpu:8.2} {memory:11.0} {grown:11}");
            label = "";
        }
        let [(_, us), (_, them)] = costs;
        println!(
            "{:44} {:.1} times faster, {:.1} times less processor time",
            "",
            them.wall / us.wall,
            them.cpu / us.cpu
        );
        same_results(&place("wimforge"), &place("hivex"), &before)?;
    }
    println!(
        "\nboth results of each file hold the same keys and values, by our reader and by hivexregedit's export"
    );
    Ok(())
}

/// Holds both results against each other.
fn same_results(ours: &Path, theirs: &Path, before: &Hive) -> Result<(), Box<dyn Error>> {
    let trees = [Hive::parse(&fs::read(ours)?)?, Hive::parse(&fs::read(theirs)?)?];
    if !same(trees[0].root(), trees[1].root()) {
        return Err("the results differ, by our reader".into());
    }
    if trees[0].root() == before.root() {
        return Err("nothing was imported".into());
    }
    if !hive::check(&fs::read(ours)?).is_clean() {
        return Err("our result does not pass the check".into());
    }
    let exported = |path: &Path| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut command = Command::new("hivexregedit");
        let output = command.arg("--export").arg(path).arg("\\ControlSet001\\Services").output()?;
        if output.status.success() { Ok(output.stdout) } else { Err("hivexregedit --export failed".into()) }
    };
    if exported(ours)? != exported(theirs)? {
        return Err("the results differ, by hivexregedit".into());
    }
    Ok(())
}

/// The files, in what both read: blank lines between keys, parents first, `dword:` with eight digits.
fn files(root: &Key) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let head = format!("Windows Registry Editor Version 5.00\n\n[{BELOW}\\WimforgeBench]\n\n");
    let mut of_their_own = head.clone();
    for value in 0..VALUES {
        // Writing to a string cannot fail.
        let _ =
            writeln!(of_their_own, "[{BELOW}\\WimforgeBench\\Key{value:04}]\n\"Value\"=dword:{value:08x}\n");
    }
    let mut drivers = head.clone();
    for key in 0..VALUES / 10 {
        let _ = writeln!(drivers, "[{BELOW}\\WimforgeBench\\Driver{key:04}]");
        for value in 0..10 {
            let _ = writeln!(drivers, "\"Value{value}\"={}", data(key * 10 + value));
        }
        drivers.push('\n');
    }
    let mut log = head;
    for value in 0..VALUES {
        let key = value % 50;
        let _ = writeln!(log, "[{BELOW}\\WimforgeBench\\Key{key:02}]\n\"Value{value}\"={}\n", data(value));
    }
    Ok(vec![
        ("5,000 new keys with a value each", of_their_own),
        ("500 new keys with 10 values each", drivers),
        ("50 new keys, a section for each value", log),
        ("5,000 values that the hive has", present(root)?),
    ])
}

/// The first 5,000 values of the services as the hive has them, and one that it has not.
fn present(root: &Key) -> Result<String, Box<dyn Error>> {
    let services = root.open("ControlSet001\\Services").ok_or("no services")?;
    let mut text = Vec::new();
    reg::export(services, &KeyPath::parse(BELOW), Form::Text, &mut text)??;
    let text = String::from_utf8(text)?;
    let mut kept = String::new();
    let mut values = 0;
    for section in text.split_inclusive("\n\n") {
        let of_section = section.lines().filter(|line| line.starts_with(['"', '@'])).count();
        // hivexregedit takes no string with a line end in it.
        let whole =
            section.lines().skip(1).all(|line| line.is_empty() || line.starts_with(['"', '@', '[', ' ']));
        if values + of_section <= VALUES && whole && section.is_ascii() {
            values += of_section;
            kept.push_str(section);
        }
    }
    let _ = write!(kept, "[{BELOW}]\n\"WimforgeBench\"=dword:00000001\n\n");
    Ok(kept)
}

/// Data of the kinds that drivers have.
fn data(number: usize) -> String {
    match number % 5 {
        0 => format!("dword:{number:08x}"),
        1 => format!("hex(b):{}", hex(&(number as u64).to_le_bytes())),
        2 => format!("hex(2):{}", hex(&hive::data::sz(&format!("system32\\drivers\\d{number}.sys")))),
        3 => format!(
            "hex(7):{}",
            hex(&hive::data::multi_sz([format!("group{number}"), "SCSI miniport".to_owned()]))
        ),
        _ => format!("hex:{}", hex(&[number as u8; 64])),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(",")
}

/// A sample, as if it had been written to its end: its logs are not there.
fn clean(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Command::new("xz").arg("-dc").arg(path).output()?.stdout;
    bytes.copy_within(4..8, 8);
    let sum = bytes[..508].as_chunks().0.iter().fold(0, |sum, &word| sum ^ u32::from_le_bytes(word));
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

fn count(key: &Key) -> usize {
    key.subkeys().map(count).sum::<usize>() + 1
}

fn same(a: &Key, b: &Key) -> bool {
    a.name() == b.name()
        && a.values().eq(b.values())
        && a.security() == b.security()
        && a.subkeys().len() == b.subkeys().len()
        && a.subkeys().zip(b.subkeys()).all(|(a, b)| same(a, b))
}

fn quote(path: &Path) -> String {
    format!("'{}'", path.display())
}
