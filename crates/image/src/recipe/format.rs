//! Disk containers, and how hard those that compress try.

use std::path::Path;

use super::named::named;
use super::{Output, is_block_device};
use crate::{Error, Result};

/// A disk container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// The disk's bytes, sparse where the file system allows it.
    Raw,
    /// Dynamic VHD.
    Vhd,
    /// Fixed VHD.
    VhdFixed,
    /// Dynamic VHDX.
    Vhdx,
    /// Fixed VHDX.
    VhdxFixed,
    /// streamOptimized VMDK: compressed, for import and distribution.
    Vmdk,
    /// monolithicSparse VMDK: writable, for running.
    VmdkSparse,
    /// monolithicFlat VMDK: a descriptor, and the raw disk in a file beside it.
    VmdkFlat,
    /// twoGbMaxExtentSparse VMDK: a descriptor, and sparse files of 2 GiB beside it.
    VmdkSplit,
    /// Dynamic VDI.
    Vdi,
    /// Fixed VDI.
    VdiFixed,
    /// qcow2, not compressed: for running.
    Qcow2,
    /// qcow2 with compressed clusters: for distribution. It can be run, too; what is written then is not compressed.
    Qcow2Compressed,
    /// Vagrant box for VirtualBox.
    BoxVirtualbox,
    /// Vagrant box for Hyper-V.
    BoxHyperv,
    /// Vagrant box for libvirt.
    BoxLibvirt,
    /// Vagrant box for VMware Workstation and Fusion.
    BoxVmware,
    /// OVA: an appliance for VMware and VirtualBox.
    Ova,
    /// OCI image with a Windows base layer, in a tar; made from an image, not from a disk.
    Oci,
}

impl Format {
    /// The usual container for a file of this name.
    pub fn of_path(path: &Path) -> Option<Self> {
        if is_block_device(path) {
            return Some(Self::Raw);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "raw" | "img" | "dd" | "bin" => Some(Self::Raw),
            "vhd" => Some(Self::Vhd),
            "vhdx" => Some(Self::Vhdx),
            "vmdk" => Some(Self::Vmdk),
            "vdi" => Some(Self::Vdi),
            "qcow2" => Some(Self::Qcow2),
            "box" => Some(Self::BoxVirtualbox),
            "ova" => Some(Self::Ova),
            _ => None,
        }
    }

    /// What files of it are called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vhd | Self::VhdFixed => "vhd",
            Self::Vhdx | Self::VhdxFixed => "vhdx",
            Self::Vmdk | Self::VmdkSparse | Self::VmdkFlat | Self::VmdkSplit => "vmdk",
            Self::Vdi | Self::VdiFixed => "vdi",
            Self::Qcow2 | Self::Qcow2Compressed => "qcow2",
            Self::BoxVirtualbox | Self::BoxHyperv | Self::BoxLibvirt | Self::BoxVmware => "box",
            Self::Ova => "ova",
            Self::Oci => "tar",
        }
    }

    /// The container that an output's name asks for.
    pub(crate) fn of_output(output: &Output) -> Result<Self> {
        match output {
            Output::Stdout => Err(Error::Recipe(format!(
                "writing to standard output needs --format, one of {}",
                Self::streams()
            ))),
            Output::File(path) => Self::of_path(path).ok_or_else(|| {
                let extension = path.extension().unwrap_or_default().to_string_lossy();
                let known = Self::ALL.iter().map(|format| format.extension());
                let meant = super::nearest(&extension, known).map(|meant| path.with_extension(meant));
                let meant = meant.map(|meant| format!("; did you mean {}?", meant.display()));
                Error::Recipe(format!(
                    "cannot tell the format of {} from its name; give --format ({}){}",
                    path.display(),
                    names(Self::ALL.iter().copied()),
                    meant.unwrap_or_default()
                ))
            }),
        }
    }

    /// The size in bytes of the blocks that its tables list, when they are written before the data: what must be known
    /// of the disk before the first byte.
    pub(crate) fn table_granularity(self) -> Option<u64> {
        match self {
            Self::Raw | Self::VhdFixed | Self::VhdxFixed | Self::VmdkFlat | Self::VdiFixed => None,
            Self::Vmdk | Self::Qcow2Compressed | Self::BoxVirtualbox | Self::Ova | Self::Oci => None,
            Self::Vdi => Some(vdi::BLOCK_SIZE),
            Self::Qcow2 | Self::BoxLibvirt => Some(qcow2::CLUSTER_SIZE),
            Self::Vhdx | Self::BoxHyperv => Some(vhdx::DEFAULT_BLOCK_SIZE.into()),
            Self::Vhd => Some(vhd::DEFAULT_BLOCK_SIZE.into()),
            Self::VmdkSparse | Self::VmdkSplit | Self::BoxVmware => Some(vmdk::GRAIN_SIZE),
        }
    }

    /// Whether it can be written front to back, and so to standard output.
    pub fn is_stream(self) -> bool {
        matches!(
            self,
            Self::Raw
                | Self::Vhd
                | Self::VhdFixed
                | Self::Vhdx
                | Self::VhdxFixed
                | Self::Vmdk
                | Self::VmdkSparse
                | Self::Vdi
                | Self::VdiFixed
                | Self::Qcow2
                | Self::BoxHyperv
                | Self::BoxLibvirt
                | Self::BoxVmware
        )
    }

    /// The names of those that can be, for messages.
    pub(crate) fn streams() -> String {
        names(Self::ALL.iter().copied().filter(|format| format.is_stream()))
    }

    /// Whether it is more than a disk: a Vagrant box or an appliance.
    pub fn is_package(self) -> bool {
        crate::container::package::kind(self).is_some()
    }

    /// Whether it can say that sectors have another size than 512, or says nothing of them at all.
    pub(crate) fn says_sector_size(self) -> bool {
        matches!(self, Self::Raw | Self::Vhdx | Self::VhdxFixed | Self::BoxHyperv)
    }
}

fn names(formats: impl Iterator<Item = Format>) -> String {
    formats.map(Format::name).collect::<Vec<_>>().join(", ")
}

named! { Format, "format":
    Raw => "raw",
    Vhd => "vhd",
    VhdFixed => "vhd-fixed",
    Vhdx => "vhdx",
    VhdxFixed => "vhdx-fixed",
    Vmdk => "vmdk",
    VmdkSparse => "vmdk-sparse",
    VmdkFlat => "vmdk-flat",
    VmdkSplit => "vmdk-split",
    Vdi => "vdi",
    VdiFixed => "vdi-fixed",
    Qcow2 => "qcow2",
    Qcow2Compressed => "qcow2-compressed",
    BoxVirtualbox => "box-virtualbox",
    BoxHyperv => "box-hyperv",
    BoxLibvirt => "box-libvirt",
    BoxVmware => "box-vmware",
    Ova => "ova",
    Oci => "oci",
}

/// How hard a compressing container tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Least time.
    Fast,
    /// A good balance.
    #[default]
    Default,
    /// Smallest file.
    Best,
}

named! { Level, "level":
    Fast => "fast",
    Default => "default",
    Best => "best",
}
