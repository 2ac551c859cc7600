use crate::layout::{
    DISK_ID, DISK_SIZE, FILE_PARAMETERS, FLAG_REQUIRED, FLAG_USER, FLAG_VIRTUAL_DISK, LOGICAL_SECTOR_SIZE,
    MIB, PARENT_LOCATOR, PHYSICAL_SECTOR_SIZE, REGION_TABLE_OFFSETS,
};
use crate::open::{read_metadata_table, read_region_table};
use crate::read::Vhdx;
use crate::{Error, Result};

/// What a [`Vhdx::check`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks of the disk.
    pub blocks: u64,
    /// Blocks that are stored in full.
    pub present: u64,
    /// Blocks of a differencing disk of which some sectors are stored.
    pub partial: u64,
    /// Blocks that are zero by a mark of their own.
    pub zero: u64,
    /// Sector bitmaps.
    pub bitmaps: u64,
    /// Bytes of the file that blocks and sector bitmaps occupy.
    pub bytes: u64,
}

impl Vhdx {
    /// Checks what opening lets pass because the disk can be read all the same: that both region tables are whole and
    /// equal, that the flags of metadata items are theirs, that entries of blocks that are not stored have no offset
    /// (Hyper-V refuses to read these; old versions of qemu wrote them). What opening checks already (the place of
    /// everything, that nothing shares bytes of the file, the checksums of what counts) is not checked again. One broken
    /// header is no fault: it is what a power failure leaves.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault; [`Error::Io`].
    pub fn check(&self) -> Result<Usage> {
        let file = &self.opened.file;
        let [first, second] = REGION_TABLE_OFFSETS;
        if read_region_table(file, first)? != read_region_table(file, second)? {
            let reason = format!("differs from the first at {first:#x}");
            return Err(Error::malformed("VHDX region table", second, reason));
        }

        let region = &self.opened.regions.metadata;
        for entry in read_metadata_table(file, region)? {
            let expected = match entry.id {
                _ if entry.flags & FLAG_USER != 0 => continue,
                FILE_PARAMETERS | PARENT_LOCATOR => FLAG_REQUIRED,
                DISK_SIZE | DISK_ID | LOGICAL_SECTOR_SIZE | PHYSICAL_SECTOR_SIZE => {
                    FLAG_REQUIRED | FLAG_VIRTUAL_DISK
                }
                _ => continue,
            };
            if entry.flags != expected {
                let (id, flags) = (entry.id, entry.flags);
                let reason = format!("item {id} with flags {flags:#x}, expected {expected:#x}");
                return Err(Error::malformed("VHDX metadata table", region.offset, reason));
            }
        }

        let table = &self.opened.table;
        if let Some(at) = table.stray_offset {
            let reason = "an offset for a block that is not stored";
            return Err(Error::malformed("VHDX block allocation table entry", at, reason));
        }
        let counts = table.counts;
        let stored = counts.present + counts.partial;
        Ok(Usage {
            blocks: self.opened.metadata.blocks(),
            present: counts.present,
            partial: counts.partial,
            zero: counts.zero,
            bitmaps: counts.bitmaps,
            bytes: stored * u64::from(self.block_size()) + counts.bitmaps * MIB,
        })
    }
}
