//! Where the numbered folders of INF files (dirids) lie in an image.

use crate::target::{Architecture, Target};

/// The folders of an image, as paths from the root of its volume with backslashes. Source of the numbers: "Using
/// Dirids" in Microsoft's documentation; those from 16384 on are `CSIDL` numbers of the shell plus 16384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The drive letter that the volume will have, with its colon. Values in the registry need one.
    pub drive: String,
    /// The name of the folder that the package gets in the driver store.
    pub package: String,
    architecture: Architecture,
    store_runs_files: bool,
}

/// Folders that do not depend on the image.
const FIXED: &[(u32, &str)] = &[
    (10, "Windows"),
    (11, r"Windows\System32"),
    (12, r"Windows\System32\drivers"),
    (17, r"Windows\INF"),
    (18, r"Windows\Help"),
    (20, r"Windows\Fonts"),
    (21, r"Windows\System32\viewers"),
    (23, r"Windows\System32\spool\drivers\color"),
    (24, ""),
    (25, r"Windows"),
    (30, ""),
    (50, r"Windows\System"),
    (51, r"Windows\System32\spool"),
    (52, r"Windows\System32\spool\drivers"),
    (53, r"Users\Default"),
    (54, ""),
    (55, r"Windows\System32\spool\prtprocs"),
    (16_406, r"ProgramData\Microsoft\Windows\Start Menu"),
    (16_407, r"ProgramData\Microsoft\Windows\Start Menu\Programs"),
    (16_408, r"ProgramData\Microsoft\Windows\Start Menu\Programs\Startup"),
    (16_409, r"Users\Public\Desktop"),
    (16_419, "ProgramData"),
    (16_420, "Windows"),
    (16_421, r"Windows\System32"),
    (16_422, "Program Files"),
    (16_427, r"Program Files\Common Files"),
    (16_430, r"Users\Public\Documents"),
];

impl Folders {
    /// The folders of an image with `C:` as its drive.
    pub fn new(target: &Target, package: &str) -> Self {
        Self {
            drive: "C:".to_owned(),
            package: package.to_owned(),
            architecture: target.architecture,
            store_runs_files: target.has_driver_database(),
        }
    }

    /// The path of a folder from the volume's root; the root itself is empty. `None` for numbers that mean nothing
    /// here: absolute paths (-1, 65535), the source of the installation (1), and what programs define themselves.
    pub fn path(&self, dirid: u32) -> Option<String> {
        let wow64 = self.architecture != Architecture::X86;
        Some(match dirid {
            // Files stay in the driver store. Windows knows this since 8.1 at the latest.
            13 if self.store_runs_files => self.store(),
            16_425 if wow64 => r"Windows\SysWOW64".to_owned(),
            16_426 if wow64 => "Program Files (x86)".to_owned(),
            16_428 if wow64 => r"Program Files (x86)\Common Files".to_owned(),
            16_425 => r"Windows\System32".to_owned(),
            16_426 => "Program Files".to_owned(),
            16_428 => r"Program Files\Common Files".to_owned(),
            _ => FIXED.iter().find(|(number, _)| *number == dirid)?.1.to_owned(),
        })
    }

    /// The folder of the package in the driver store.
    pub fn store(&self) -> String {
        format!(r"Windows\System32\DriverStore\FileRepository\{}", self.package)
    }

    /// The same as a running Windows would write it: `C:\Windows\INF`.
    pub fn absolute(&self, dirid: u32) -> Option<String> {
        let path = self.path(dirid)?;
        // `%24%\x` has its backslash already.
        Some(if path.is_empty() { self.drive.clone() } else { format!("{}\\{path}", self.drive) })
    }

    /// A path from the volume's root, of one that names the drive; `None` for another drive.
    pub(crate) fn relative<'p>(&self, path: &'p str) -> Option<&'p str> {
        let drive = path.get(..self.drive.len())?;
        let rest = drive.eq_ignore_ascii_case(&self.drive).then(|| &path[self.drive.len()..])?;
        rest.strip_prefix('\\')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ProductType;

    #[test]
    fn the_same_number_on_different_images() {
        let ten = Target::new(Architecture::Amd64, 14393, ProductType::Server);
        let folders = Folders::new(&ten, "x.inf_amd64_0");
        assert_eq!(folders.absolute(12).as_deref(), Some(r"C:\Windows\System32\drivers"));
        assert_eq!(folders.absolute(24).as_deref(), Some("C:"));
        assert_eq!(
            folders.path(13).as_deref(),
            Some(r"Windows\System32\DriverStore\FileRepository\x.inf_amd64_0")
        );
        assert_eq!(folders.path(16_425).as_deref(), Some(r"Windows\SysWOW64"));
        assert_eq!((folders.path(1), folders.path(65_535), folders.path(u32::MAX)), (None, None, None));
        let seven = Target::new(Architecture::X86, 7601, ProductType::Workstation);
        let folders = Folders::new(&seven, "x");
        assert_eq!((folders.path(13), folders.path(16_426).as_deref()), (None, Some("Program Files")));
    }

    #[test]
    fn drives() {
        let folders = Folders::new(&Target::new(Architecture::Amd64, 14393, ProductType::Server), "x");
        assert_eq!(folders.relative(r"c:\Windows\x"), Some(r"Windows\x"));
        assert_eq!(folders.relative(r"D:\x"), None);
        assert_eq!(folders.relative("é"), None);
    }
}
