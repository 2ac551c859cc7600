//! What is in a package: the disk, and what surrounds it.
//!
//! The disk is by far the largest member and comes last, so that everything else is known when it begins, except what
//! depends on the disk's own bytes: how many there are, and their hash. Those few places (a tar header, an attribute of
//! the OVF descriptor, a line of the manifest) have the same length whatever stands there, so they can be
//! [written again](crate::archive) when the disk is complete.

use disk::Guid;
use sha2::{Digest as _, Sha256};

use crate::Result;
use crate::machine::Machine;
use crate::ovf::{self, DiskReference, Family};
use crate::tar::{self, Header};
use crate::vagrant::{self, Provider};

/// What is made around a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A Vagrant box.
    Box(Provider),
    /// An appliance for import: OVF descriptor, manifest, disk.
    Ova,
}

/// What a disk has to be to go into a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskKind {
    /// A streamOptimized VMDK.
    VmdkStream,
    /// A plain qcow2, through gzip: DEFLATE's whole window instead of qcow2's 4 KiB, and nothing to inflate when it runs.
    Qcow2,
    /// A VHDX, through gzip.
    Vhdx,
    /// A monolithicSparse VMDK, through gzip.
    VmdkSparse,
}

impl DiskKind {
    /// Whether the size of its file is known only when it is written ([`Package::stored`],
    /// [`Package::compressed_behind`]), not before ([`Package::compressed`]).
    pub fn is_stream(self) -> bool {
        matches!(self, Self::VmdkStream)
    }
}

impl Kind {
    /// What the disk has to be.
    pub fn disk(self) -> DiskKind {
        match self {
            Self::Ova | Self::Box(Provider::VirtualBox) => DiskKind::VmdkStream,
            Self::Box(Provider::HyperV) => DiskKind::Vhdx,
            Self::Box(Provider::Libvirt) => DiskKind::Qcow2,
            Self::Box(Provider::VMware) => DiskKind::VmdkSparse,
        }
    }
}

/// What a disk's file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) size: u64,
    /// Of packages with a manifest, which says it.
    pub(crate) sha256: [u8; 32],
}

/// A package that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    kind: Kind,
    machine: Machine,
    capacity: u64,
    uuid: Guid,
    mtime: u64,
}

/// A member beside the disk.
struct Member {
    name: String,
    contents: Vec<u8>,
}

impl Member {
    fn new(name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), contents: contents.into() }
    }
}

impl Package {
    /// A package of `kind` around a disk of `capacity` bytes. `mtime` (seconds since 1970 UTC) is what every member gets.
    ///
    /// # Errors
    /// [`Error::Impossible`](crate::Error::Impossible): a value of the machine that no consumer takes.
    pub fn new(kind: Kind, machine: Machine, capacity: u64, mtime: u64) -> Result<Self> {
        machine.check()?;
        let uuid = machine.seed.guid("virtualbox disk");
        Ok(Self { kind, machine, capacity, uuid, mtime })
    }

    /// What is made.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// For whom.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The disk's name inside the archive.
    pub fn disk_name(&self) -> String {
        match self.kind {
            Kind::Ova => format!("{}-disk1.vmdk", self.machine.name),
            Kind::Box(Provider::VirtualBox) => "box-disk001.vmdk".to_owned(),
            Kind::Box(Provider::HyperV) => "Virtual Hard Disks/disk.vhdx".to_owned(),
            // The one name that the plugin looks for.
            Kind::Box(Provider::Libvirt) => "box.img".to_owned(),
            Kind::Box(Provider::VMware) => "disk.vmdk".to_owned(),
        }
    }

    /// The members before the disk, in order. Lengths do not depend on `facts`.
    fn members(&self, facts: Option<&Facts>) -> Vec<Member> {
        let machine = &self.machine;
        let disk = self.disk_name();
        match self.kind {
            Kind::Ova => {
                let descriptor =
                    Member::new(format!("{}.ovf", machine.name), self.descriptor(facts, Family::VMware));
                let hash = Sha256::digest(&descriptor.contents).into();
                let manifest = ovf::manifest_line(&descriptor.name, &hash)
                    + &ovf::manifest_line(&disk, &facts.map_or([0; 32], |facts| facts.sha256));
                // VMware's tools want the descriptor first (osbuild 431, coreos-assembler 1141).
                vec![descriptor, Member::new(format!("{}.mf", machine.name), manifest)]
            }
            Kind::Box(provider) => {
                let mut members = vec![
                    Member::new("metadata.json", vagrant::metadata(machine, provider, self.capacity)),
                    Member::new("Vagrantfile", vagrant::vagrantfile(machine, provider)),
                ];
                match provider {
                    Provider::VirtualBox => {
                        members.push(Member::new("box.ovf", self.descriptor(facts, Family::VirtualBox)));
                    }
                    Provider::HyperV => {
                        let name = "disk.vhdx";
                        let xml = vagrant::hyperv_configuration(machine, name);
                        members.push(Member::new("Virtual Machines/box.xml", xml));
                    }
                    Provider::Libvirt => {}
                    Provider::VMware => {
                        members.push(Member::new("box.vmx", vagrant::vmx(machine, &disk)));
                    }
                }
                members
            }
        }
    }

    /// The OVF descriptor, with spaces behind it up to the length that it has for the largest disk.
    fn descriptor(&self, facts: Option<&Facts>, family: Family) -> Vec<u8> {
        let name = self.disk_name();
        let of_size = |file_size| {
            let disk = DiskReference { href: &name, capacity: self.capacity, file_size, uuid: self.uuid };
            ovf::descriptor(&self.machine, &disk, family)
        };
        let longest = of_size(u64::MAX).len();
        let mut text = facts.map_or_else(|| of_size(u64::MAX), |facts| of_size(facts.size)).into_bytes();
        // XML allows white space behind the document.
        text.resize(longest - 1, b' ');
        text.push(b'\n');
        text
    }

    /// The archive up to where the disk's bytes begin.
    pub(crate) fn head(&self, facts: Option<&Facts>) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        for Member { name, contents } in self.members(facts) {
            let size = contents.len() as u64;
            head.extend_from_slice(&Header::file(&name, size, self.mtime).to_block()?);
            head.extend_from_slice(&contents);
            head.resize(head.len() + tar::padding(size) as usize, 0);
        }
        let size = facts.map_or(0, |facts| facts.size);
        head.extend_from_slice(&Header::file(&self.disk_name(), size, self.mtime).to_block()?);
        Ok(head)
    }
}
