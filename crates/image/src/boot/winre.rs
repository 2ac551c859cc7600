//! The recovery environment (WinRE): a small Windows in a WIM of its own.
//!
//! An image carries it as `\Windows\System32\Recovery\Winre.wim`, with `ReAgent.xml` beside it, which says where it is.
//! Setup moves it to the Recovery partition, as `\Recovery\WindowsRE\Winre.wim` beside `boot.sdi` (the RAM disk it is
//! unpacked into), and writes where that is into `ReAgent.xml` (observed: reagentc's own files, as found in public
//! listings of them; the element names are what `reagentc /info` reads back).

use std::fmt::Write as _;

use disk::Guid;

/// Where an image has it.
pub(crate) const IN_IMAGE: &str = "\\Windows\\System32\\Recovery\\Winre.wim";
/// What says where it is.
pub(crate) const AGENT: &str = "\\Windows\\System32\\Recovery\\ReAgent.xml";
/// Its directory on the Recovery partition.
pub(crate) const DIRECTORY: &str = "\\Recovery\\WindowsRE";
/// The RAM disk, where images have it.
pub(crate) const SDI: [&str; 2] =
    ["\\Windows\\Boot\\DVD\\PCAT\\boot.sdi", "\\Windows\\Boot\\DVD\\EFI\\boot.sdi"];

/// Where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// First byte of the partition on the disk.
    pub(crate) offset: u64,
    /// The disk.
    pub(crate) disk: DiskId,
    /// The loader entry that starts it.
    pub(crate) entry: Guid,
}

/// What a partition table calls its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskId {
    /// The signature of an MBR.
    Mbr(u32),
    /// The id of a GPT.
    Gpt(Guid),
}

/// `ReAgent.xml` for an environment that is in place and enabled. Its length does not depend on the offset, so that the
/// Windows volume can be planned before it is known where the next partition begins.
pub(crate) fn agent(location: &Location) -> String {
    let (signature, guid) = match location.disk {
        DiskId::Mbr(signature) => (signature, Guid::NIL),
        DiskId::Gpt(guid) => (0, guid),
    };
    let offset = location.offset.to_string();
    // As many blanks as digits are missing; XML does not mind them between attributes.
    let blanks = " ".repeat(u64::MAX.to_string().len() - offset.len());
    let nowhere = Guid::NIL;
    let mut text =
        String::from("<?xml version='1.0' encoding='utf-8'?>\r\n\r\n<WindowsRE version=\"2.0\">\r\n");
    let mut line = |content: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = write!(text, "  {content}\r\n");
    };
    line(format_args!("<WinreBCD id=\"{{{}}}\"/>", location.entry));
    line(format_args!(
        "<WinreLocation path=\"{DIRECTORY}\" id=\"{signature}\" offset=\"{offset}\"{blanks} guid=\"{{{guid}}}\"/>"
    ));
    line(format_args!("<ImageLocation path=\"\" id=\"0\" offset=\"0\" guid=\"{{{nowhere}}}\"/>"));
    line(format_args!(
        "<PBRImageLocation path=\"\" id=\"0\" offset=\"0\" guid=\"{{{nowhere}}}\" index=\"0\"/>"
    ));
    line(format_args!(
        "<PBRCustomImageLocation path=\"\" id=\"0\" offset=\"0\" guid=\"{{{nowhere}}}\" index=\"0\"/>"
    ));
    for (name, state) in [
        ("InstallState", "1"),
        ("OsInstallAvailable", "0"),
        ("CustomImageAvailable", "0"),
        ("IsAutoRepairOn", "1"),
        ("WinREStaged", "0"),
    ] {
        line(format_args!("<{name} state=\"{state}\"/>"));
    }
    line(format_args!("<OperationParam path=\"\"/>"));
    line(format_args!("<OperationPermanent state=\"0\"/>"));
    line(format_args!("<OemTool state=\"0\"/>"));
    line(format_args!("<ScheduledOperation state=\"4\"/>"));
    text + "</WindowsRE>\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_well_formed_and_always_as_long() {
        let entry: Guid = "3e2c1b70-7a1c-4f0e-9d55-0123456789ab".parse().unwrap();
        let at = |offset, disk| agent(&Location { offset, disk, entry });
        let text = at(1 << 30, DiskId::Mbr(0xAABB_CCDD));
        assert_eq!(text.len(), at(7 << 40, DiskId::Mbr(0xAABB_CCDD)).len());
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut found = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Empty(element) => {
                    let attributes = element.attributes().map(|attribute| {
                        let attribute = attribute.unwrap();
                        format!("{}={}", attribute.key.as_ref(), attribute.value)
                    });
                    let name = element.name().as_ref().to_owned();
                    found.push((name, attributes.collect::<Vec<_>>()));
                }
                _ => {}
            }
        }
        assert_eq!(found[0].1, ["id={3e2c1b70-7a1c-4f0e-9d55-0123456789ab}"]);
        assert_eq!(
            found[1].1,
            [
                "path=\\Recovery\\WindowsRE",
                "id=2864434397",
                "offset=1073741824",
                "guid={00000000-0000-0000-0000-000000000000}"
            ]
        );
        assert_eq!(found.len(), 14);
        let gpt = at(5, DiskId::Gpt(entry));
        assert!(gpt.contains("id=\"0\" offset=\"5\"") && gpt.contains("guid=\"{3e2c1b70"));
    }
}
