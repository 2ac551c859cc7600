//! Component packages, written from what their XML is known to look like.

use std::io::{Cursor, Write as _};

use sha2::{Digest, Sha256};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = char::from(DIGITS[(number >> (18 - 6 * at)) as usize & 63]);
            text.push(if at <= group.len() { digit } else { '=' });
        }
    }
    text
}

pub(crate) fn identity(name: &str, more: &str) -> String {
    format!(
        "<assemblyIdentity name=\"{name}\" version=\"10.0.14393.0\" processorArchitecture=\"amd64\" language=\"neutral\" \
         buildType=\"release\" publicKeyToken=\"31bf3856ad364e35\" {more}/>"
    )
}

pub(crate) fn component(name: &str) -> String {
    format!("<component>{}</component>", identity(name, "versionScope=\"nonSxS\""))
}

pub(crate) fn driver(inf: &str) -> String {
    let identity = identity(&format!("dual_{inf}"), "versionScope=\"nonSxS\" type=\"dualModeDriver\"");
    format!("<driver inf=\"{inf}\" ranking=\"normal\">{identity}</driver>")
}

/// `update.mum` with one update for each part.
pub(crate) fn mum(name: &str, parents: &str, parts: &[String]) -> String {
    let updates: String =
        parts.iter().enumerate().map(|(n, part)| format!("<update name=\"u{n}\">{part}</update>")).collect();
    format!(
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\n\
         <assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\" copyright=\"c\">{}\
         <package identifier=\"x\" releaseType=\"Feature Pack\">{parents}{updates}</package></assembly>",
        identity(name, "")
    )
}

pub(crate) fn manifest(name: &str, more: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" \
         manifestVersion=\"1.0\">{}{content}</assembly>",
        identity(name, &format!("versionScope=\"nonSxS\" {more}"))
    )
}

pub(crate) fn file(name: &str, folder: &str, bytes: &[u8]) -> String {
    format!(
        "<file name=\"{name}\" destinationPath=\"{folder}\" sourceName=\"{name}\" importPath=\"$(build.nttree)\\\" \
         sourcePath=\".\\\"><securityDescriptor name=\"WRP_FILE\" /><asmv2:hash \
         xmlns:asmv2=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\">\
         <dsig:Transforms><dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\" />\
         </dsig:Transforms><dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha256\" />\
         <dsig:DigestValue>{}</dsig:DigestValue></asmv2:hash></file>",
        base64(&Sha256::digest(bytes))
    )
}

pub(crate) const TRUST: &str = "<trustInfo><security><accessControl><securityDescriptorDefinitions>\
    <securityDescriptorDefinition name=\"WRP_FILE\" sddl=\"O:BAG:BAD:P(A;;FA;;;BA)\" operationHint=\"replace\" />\
    </securityDescriptorDefinitions></accessControl></security></trustInfo>";

/// A cabinet as another writer makes it: MSZIP, in one folder.
pub(crate) fn cabinet(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for (name, _) in files {
        folder.add_file(name.replace('/', "\\"));
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).expect("it fits");
    for (_, bytes) in files {
        let mut file = writer.next_file().expect("no faults").expect("as many as were added");
        file.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}
