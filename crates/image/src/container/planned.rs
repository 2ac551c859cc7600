//! The containers of which every byte but the disk's is known before the first.
//!
//! Each can be written front to back and in any order, and its length is known before it is written; which blocks it
//! stores follows from the map of the disk.

use std::fs::File;
use std::io::Write;

use disk::{ContainerError, ExtentMap, OrderedSink, PositionedSink};

use super::Packing;
use crate::recipe::Format;

/// A container, and what it is to be.
pub(super) enum Planned {
    Vhd(vhd::Options),
    VhdFixed(vhd::Options),
    /// Dynamic or fixed.
    Vhdx(vhdx::Options),
    VmdkSparse(vmdk::Options),
    Vdi(vdi::Options),
    VdiFixed(vdi::Options),
    Qcow2(qcow2::Options),
}

impl Planned {
    /// What a format is, if it is one of these.
    pub(super) fn of(packing: &Packing<'_>) -> Option<Self> {
        Some(match packing.format {
            Format::Vhd => Self::Vhd(packing.vhd_options()),
            Format::VhdFixed => Self::VhdFixed(packing.vhd_options()),
            Format::Vhdx | Format::VhdxFixed => Self::Vhdx(packing.vhdx_options()),
            Format::VmdkSparse => Self::VmdkSparse(packing.vmdk_options()),
            Format::Vdi => Self::Vdi(packing.vdi_options()),
            Format::VdiFixed => Self::VdiFixed(packing.vdi_options()),
            Format::Qcow2 => Self::Qcow2(packing.qcow2_options()),
            _ => return None,
        })
    }

    /// Bytes in the blocks that it stores or leaves out.
    fn block_size(&self) -> u64 {
        match self {
            Self::Vhd(options) | Self::VhdFixed(options) => options.block_size.into(),
            Self::Vhdx(options) => options.block_size.into(),
            Self::VmdkSparse(_) => vmdk::GRAIN_SIZE,
            Self::Vdi(_) | Self::VdiFixed(_) => vdi::BLOCK_SIZE,
            Self::Qcow2(_) => qcow2::CLUSTER_SIZE,
        }
    }

    /// Length in bytes of the file.
    pub(super) fn file_size(&self, map: &ExtentMap) -> Result<u64, ContainerError> {
        let allocated = map.allocated(self.block_size());
        match self {
            Self::Vhd(options) => vhd::dynamic::file_size(options, allocated),
            Self::VhdFixed(options) => Ok(vhd::fixed::file_size(options)),
            Self::Vhdx(options) => vhdx::file_size(options, allocated),
            Self::VmdkSparse(options) => vmdk::monolithic_sparse_size(options, allocated),
            Self::Vdi(options) => vdi::dynamic::file_size(options, allocated),
            Self::VdiFixed(options) => vdi::fixed::file_size(options),
            Self::Qcow2(options) => qcow2::plain::file_size(options, allocated),
        }
    }

    /// Front to back, to what need not seek.
    pub(super) fn ordered(
        &self,
        to: impl Write + Send + 'static,
        map: &ExtentMap,
    ) -> Result<Box<dyn OrderedSink>, ContainerError> {
        let allocated = map.allocated(self.block_size());
        Ok(match self {
            Self::Vhd(options) => Box::new(vhd::dynamic::ordered(to, options, allocated)?),
            Self::VhdFixed(options) => Box::new(vhd::fixed::ordered(to, options)?),
            Self::Vhdx(options) => Box::new(vhdx::ordered(to, options, allocated)?),
            Self::VmdkSparse(options) => Box::new(vmdk::monolithic_sparse_ordered(to, options, allocated)?),
            Self::Vdi(options) => Box::new(vdi::dynamic::ordered(to, options, allocated)?),
            Self::VdiFixed(options) => Box::new(vdi::fixed::ordered(to, options)?),
            Self::Qcow2(options) => Box::new(qcow2::plain::ordered(to, options, allocated)?),
        })
    }

    /// By all workers at once.
    pub(super) fn positioned(
        &self,
        to: File,
        map: &ExtentMap,
    ) -> Result<Box<dyn PositionedSink>, ContainerError> {
        let allocated = map.allocated(self.block_size());
        Ok(match self {
            Self::Vhd(options) => Box::new(vhd::dynamic::positioned(to, options, allocated)?),
            Self::VhdFixed(options) => Box::new(vhd::fixed::positioned(to, options)?),
            Self::Vhdx(options) => Box::new(vhdx::positioned(to, options, allocated)?),
            Self::VmdkSparse(options) => Box::new(vmdk::monolithic_sparse(to, options, allocated)?),
            Self::Vdi(options) => Box::new(vdi::dynamic::positioned(to, options, allocated)?),
            Self::VdiFixed(options) => Box::new(vdi::fixed::positioned(to, options)?),
            Self::Qcow2(options) => Box::new(qcow2::plain::positioned(to, options, allocated)?),
        })
    }
}
