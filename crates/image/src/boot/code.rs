//! The programs that a BIOS machine runs before BOOTMGR: in the master boot record, and at the start of a volume.
//!
//! Ours unless something else is asked for. Microsoft's can be taken from programs of the image that carry it to write
//! it (`bootsect.exe`, the library that formats volumes, Setup), which Nano Server and Server Core may not have.

use bootsector::layout::BOOT_CODE_LEN;
use ntfs_writer::BOOT_CODE_LEN as NTFS_LEN;

use crate::prepass::Prepass;
use crate::recipe::{BootCode, Layout, Recipe};
use crate::tree::Tree;
use crate::tree_index::TreeIndex;
use crate::{Error, Result};

/// Files that may carry them, the likelier first (source: research notes on public listings of their content).
const CARRIERS: [&str; 7] = [
    "\\Windows\\System32\\untfs.dll",
    "\\Windows\\System32\\winsetup.dll",
    "\\Windows\\System32\\vdsutil.dll",
    "\\Windows\\System32\\bootsect.exe",
    "\\Windows\\System32\\oobe\\winsetup.dll",
    "\\Windows\\System32\\upgdriver.dll",
    "\\Windows\\Boot\\PCAT\\bootsect.exe",
];
/// Such programs have a few MiB.
const LARGEST_CARRIER: u64 = 64 << 20;

/// The programs of one disk.
pub(crate) struct BootCodes {
    whose: BootCode,
    mbr: Option<[u8; BOOT_CODE_LEN]>,
    ntfs: Option<Box<[u8; NTFS_LEN]>>,
}

impl BootCodes {
    /// Those that the recipe asks for.
    ///
    /// # Errors
    /// [`Error::NotFound`] when they are to come from the image, and it does not have them.
    pub(crate) fn of(recipe: &Recipe, tree: &Tree, prepass: &Prepass<'_>) -> Result<Self> {
        // UEFI firmware runs none.
        let whose = match recipe.layout {
            Layout::Gpt => BootCode::None,
            Layout::Mbr3 | Layout::Mbr1 => recipe.boot.code,
        };
        let (mbr, ntfs) = match whose {
            BootCode::None => (None, None),
            BootCode::Own => {
                (Some(*bootsector::mbr_boot_code()), Some(Box::new(*bootsector::ntfs_boot_record())))
            }
            BootCode::FromImage => {
                let index = TreeIndex::new(tree);
                let (mut mbr, mut ntfs) = (None, None);
                for carrier in CARRIERS {
                    let Some((_, node)) = index.find(carrier) else { continue };
                    let Some(content) = &tree.nodes[node.0 as usize].data else { continue };
                    let file = prepass.read(content, LARGEST_CARRIER)?;
                    mbr = mbr.or_else(|| bootsector::find_mbr_code(&file));
                    ntfs = ntfs.or_else(|| bootsector::find_ntfs_code(&file));
                    if mbr.is_some() && ntfs.is_some() {
                        break;
                    }
                }
                let missing = match (&mbr, &ntfs) {
                    (Some(_), Some(_)) => None,
                    (None, Some(_)) => Some("no code for a master boot record"),
                    (Some(_), None) => Some("no NTFS boot record"),
                    (None, None) => Some("neither code for a master boot record nor an NTFS boot record"),
                };
                if let Some(missing) = missing {
                    let what = format!(
                        "holds {missing} in the files of the image that may have it; build with --boot-code own"
                    );
                    return Err(Error::NotFound { path: recipe.source.clone(), what });
                }
                (mbr, ntfs)
            }
        };
        Ok(Self { whose, mbr, ntfs })
    }

    /// For the master boot record.
    pub(crate) fn mbr(&self) -> Option<&[u8; BOOT_CODE_LEN]> {
        self.mbr.as_ref()
    }

    /// For the start of NTFS volumes.
    pub(crate) fn ntfs(&self) -> Option<&[u8; NTFS_LEN]> {
        self.ntfs.as_deref()
    }

    /// Whose they are, for the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self.whose {
            BootCode::Own => "own",
            BootCode::FromImage => "from-image",
            BootCode::None => "none",
        }
    }
}
