//! An answer file, as Python's XML parser sees it.

use std::collections::BTreeMap;
use std::path::Path;

use testkit::{args, tool};

/// Prints a line for each element with text: pass, component, the path in it, the text; between them tabs.
const SCRIPT: &str = "
import sys, xml.etree.ElementTree as tree
space = '{urn:schemas-microsoft-com:unattend}'
def walk(element, path):
    name = path + [element.tag.removeprefix(space)]
    if element.text and element.text.strip():
        print('\\t'.join(['/'.join(name), element.text]))
    for child in element:
        walk(child, name)
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == space + 'unattend', root.tag
for settings in root:
    assert settings.tag == space + 'settings', settings.tag
    for component in settings:
        assert component.get('processorArchitecture') == sys.argv[2], component.attrib
        assert component.get('publicKeyToken') == '31bf3856ad364e35', component.attrib
        for child in component:
            walk(child, [settings.get('pass'), component.get('name')])
";

/// Its texts by their paths: `specialize/Microsoft-Windows-Shell-Setup/ComputerName`. What is there several times has
/// all its texts.
#[track_caller]
pub(crate) fn texts(file: &Path, architecture: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let lines = tool("python3")?.text(args!["-c", SCRIPT, file, architecture]);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.lines() {
        let (path, text) = line.split_once('\t').expect("two parts");
        found.entry(path.to_owned()).or_default().push(text.to_owned());
    }
    Some(found)
}
