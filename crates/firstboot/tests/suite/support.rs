//! What the tests share.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use firstboot::{About, File, Plan, Wishes, plan};
use hive::{FileTime, Hive, Kind, data};

/// A SYSTEM hive with nothing in it but a control set.
pub(crate) fn bare_system() -> Hive {
    let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).expect("a good name");
    hive.root_mut().create("ControlSet001").expect("a good path");
    let select = hive.root_mut().create("Select").expect("a good path");
    select.set("Default", Kind::DWORD, data::dword(1)).expect("a good value");
    hive
}

/// The plan for an image with such a hive.
pub(crate) fn planned(wishes: &Wishes, about: &About) -> Plan {
    plan(wishes, about, bare_system().root(), None).expect("good wishes")
}

/// A file of a plan.
pub(crate) fn file<'p>(plan: &'p Plan, path: &str) -> &'p File {
    let file = plan.files.iter().find(|file| file.path == path);
    file.unwrap_or_else(|| panic!("{path} is not among {:?}", plan.files))
}

/// What Python's XML reader sees in a file: a line for each element, attribute and text, in their order.
pub(crate) fn python_sees(xml: &[u8]) -> Option<Vec<String>> {
    const PROGRAM: &str = r"
import sys, xml.etree.ElementTree as tree
def walk(element, depth):
    print(depth, 'element', ascii(element.tag))
    for name, value in sorted(element.attrib.items()):
        print(depth, 'attribute', ascii(name), ascii(value))
    print(depth, 'text', ascii((element.text or '').strip()))
    for child in element:
        walk(child, depth + 1)
        print(depth, 'tail', ascii((child.tail or '').strip()))
sys.setrecursionlimit(10000)
walk(tree.fromstring(sys.stdin.buffer.read()), 0)
";
    let python = testkit::tool("python3")?;
    let mut child =
        python.command().args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take().expect("it was asked for");
    let xml = xml.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &xml));
    let mut lines = String::new();
    child.stdout.take().expect("it was asked for").read_to_string(&mut lines).expect("text");
    let status = child.wait().expect("python runs");
    drop(writer.join());
    assert!(status.success(), "Python does not read it");
    Some(lines.lines().map(str::to_owned).collect())
}

/// A real hive of the samples, with what its logs hold.
pub(crate) fn sample_hive(samples: &Path, name: &str) -> Option<Hive> {
    let xz = testkit::tool("xz")?;
    let unpacked = |name: &str| {
        let path = samples.join("hives").join(format!("{name}.xz"));
        let output = xz.command().arg("-dc").arg(&path).output().expect("xz runs");
        assert!(output.status.success(), "{}", path.display());
        output.stdout
    };
    let bytes = unpacked(name);
    let logs: Vec<Vec<u8>> = [".LOG1", ".LOG2"]
        .iter()
        .map(|log| format!("{name}{log}"))
        .filter(|log| samples.join("hives").join(format!("{log}.xz")).exists())
        .map(|log| unpacked(&log))
        .collect();
    if logs.is_empty() {
        return Some(Hive::parse_without_logs(&bytes).expect("a hive"));
    }
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    let (bytes, _) = hive::replay(&bytes, &logs).expect("a hive with its logs");
    Some(Hive::parse(&bytes).expect("a hive"))
}
