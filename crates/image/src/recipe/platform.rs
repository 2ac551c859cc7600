//! What the places where disks are started take.

use std::path::Path;

use super::named::named;
use super::{Format, Layout, MIB, Output};
use crate::{Error, Result};

/// Where a disk is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Platform {
    /// Azure: a fixed VHD of whole MiB (documentation of Add-AzVhd).
    Azure,
    /// Hyper-V, second generation: VHDX, UEFI.
    Hyperv,
    /// Hyper-V, first generation: VHD or VHDX, BIOS.
    HypervGen1,
    /// VirtualBox.
    Virtualbox,
    /// VMware Workstation, Player and Fusion.
    Vmware,
    /// VMware ESXi: disks are imported, and so compressed.
    Esxi,
    /// QEMU and KVM.
    Kvm,
}

impl Platform {
    /// What it takes, the best first.
    fn formats(self) -> &'static [Format] {
        use Format::{
            BoxHyperv, BoxLibvirt, BoxVirtualbox, BoxVmware, Ova, Qcow2, Qcow2Compressed, Raw, Vdi, VdiFixed,
            Vhd, VhdFixed, Vhdx, VhdxFixed, Vmdk, VmdkFlat, VmdkSparse, VmdkSplit,
        };
        match self {
            Self::Azure => &[VhdFixed],
            // Virtual machines of the second generation have no use for VHD.
            Self::Hyperv => &[Vhdx, VhdxFixed, BoxHyperv],
            Self::HypervGen1 => &[Vhd, VhdFixed, Vhdx, VhdxFixed, BoxHyperv],
            // A streamOptimized VMDK can be attached there, and is slow: last.
            Self::Virtualbox => {
                &[Vdi, VmdkSparse, Vhd, VdiFixed, VmdkFlat, VmdkSplit, VhdFixed, Vmdk, BoxVirtualbox, Ova]
            }
            // Workstation does not start from a streamOptimized one.
            Self::Vmware => &[VmdkSparse, VmdkSplit, VmdkFlat, BoxVmware, Ova],
            // ESXi takes sparse disks by import only; flat ones can lie in a datastore.
            Self::Esxi => &[Vmdk, VmdkFlat, Ova],
            Self::Kvm => &[Qcow2, Qcow2Compressed, Raw, BoxLibvirt],
        }
    }

    /// The container for an output there: the one asked for, or the best of those that are called as the output is.
    ///
    /// # Errors
    /// [`Error::Recipe`] when it would not be taken.
    pub fn format(self, asked: Option<Format>, output: &Output) -> Result<Format> {
        let formats = self.formats();
        let names: Vec<String> = formats.iter().map(ToString::to_string).collect();
        let refuse = |what: &str| {
            Err(Error::Recipe(format!("{self} does not take {what}; it takes {}", names.join(", "))))
        };
        if let Some(format) = asked {
            return if formats.contains(&format) { Ok(format) } else { refuse(&format.to_string()) };
        }
        let extension = match output {
            Output::File(path) => Format::of_path(path).map(|by_name| (path, by_name.extension())),
            Output::Stdout => None,
        };
        match extension {
            None => Ok(formats[0]),
            Some((path, extension)) => {
                let called = formats.iter().find(|format| format.extension() == extension);
                called.copied().map_or_else(|| refuse(&named_as(path)), Ok)
            }
        }
    }

    /// The partitions of a disk that is built for it: what was asked for, or what its firmware starts.
    ///
    /// # Errors
    /// [`Error::Recipe`] for a layout that its firmware does not start.
    pub fn layout(self, asked: Option<Layout>) -> Result<Layout> {
        let firmware = match self {
            Self::Hyperv => "UEFI",
            Self::HypervGen1 => "a BIOS",
            _ => return Ok(asked.unwrap_or_default()),
        };
        let layout = asked.unwrap_or(if self == Self::Hyperv { Layout::Gpt } else { Layout::default() });
        if (layout == Layout::Gpt) != (self == Self::Hyperv) {
            let other = if layout == Layout::Gpt { "gpt" } else { "mbr3 or mbr1" };
            return Err(Error::Recipe(format!("{self} starts by {firmware}, layout {other} does not")));
        }
        Ok(layout)
    }

    /// Whether it takes a disk of this size.
    ///
    /// # Errors
    /// [`Error::Recipe`] when it does not.
    pub fn check_size(self, size: u64) -> Result<()> {
        if self == Self::Azure && !size.is_multiple_of(MIB) {
            let whole = size.div_ceil(MIB);
            return Err(Error::Recipe(format!(
                "azure takes disks of whole MiB; this one has {size} bytes: --size {whole}MiB"
            )));
        }
        Ok(())
    }
}

/// A file by its extension.
fn named_as(path: &Path) -> String {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    format!("{} files", extension.unwrap_or_default())
}

named! { Platform, "platform":
    Azure => "azure",
    Hyperv => "hyperv",
    HypervGen1 => "hyperv-gen1",
    Virtualbox => "virtualbox",
    Vmware => "vmware",
    Esxi => "esxi",
    Kvm => "kvm",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(name: &str) -> Output {
        Output::File(name.into())
    }

    #[test]
    fn each_gets_what_it_takes() {
        for &platform in Platform::ALL {
            platform.format(None, &out("disk")).unwrap();
        }
        let format = |platform: Platform, name| platform.format(None, &out(name));
        assert_eq!(format(Platform::Azure, "a.vhd").unwrap(), Format::VhdFixed);
        assert_eq!(format(Platform::Virtualbox, "a").unwrap(), Format::Vdi);
        assert_eq!(format(Platform::Virtualbox, "a.VMDK").unwrap(), Format::VmdkSparse);
        assert_eq!(format(Platform::Vmware, "a.vmdk").unwrap(), Format::VmdkSparse);
        assert_eq!(format(Platform::Esxi, "a.vmdk").unwrap(), Format::Vmdk);
        assert_eq!(format(Platform::HypervGen1, "a.vhdx").unwrap(), Format::Vhdx);
        assert_eq!(format(Platform::Hyperv, "a.box").unwrap(), Format::BoxHyperv);
        assert_eq!(format(Platform::Esxi, "a.ova").unwrap(), Format::Ova);
        let error = format(Platform::Hyperv, "a.vhd").unwrap_err().to_string();
        assert!(
            error.contains("hyperv does not take vhd files; it takes vhdx, vhdx-fixed, box-hyperv"),
            "{error}"
        );
        assert!(Platform::Azure.format(Some(Format::Vhd), &out("a.vhd")).is_err());
        assert_eq!(Platform::Kvm.format(Some(Format::Raw), &out("a.qcow2")).unwrap(), Format::Raw);
    }

    #[test]
    fn firmware_decides_on_the_layout() {
        assert_eq!(Platform::Hyperv.layout(None).unwrap(), Layout::Gpt);
        assert!(Platform::Hyperv.layout(Some(Layout::Mbr1)).is_err());
        assert_eq!(Platform::HypervGen1.layout(None).unwrap(), Layout::default());
        assert!(Platform::HypervGen1.layout(Some(Layout::Gpt)).is_err());
        assert_eq!(Platform::Kvm.layout(Some(Layout::Gpt)).unwrap(), Layout::Gpt);
        assert!(Platform::Azure.check_size(MIB + 512).is_err());
        Platform::Azure.check_size(MIB).unwrap();
    }
}
