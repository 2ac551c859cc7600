//! A disk and what surrounds it, in one archive, in one pass.
//!
//! The disk is by far the largest member and comes last, so that everything else is known when it begins, except what
//! depends on the disk's own bytes: how many there are, and their hash. Those few places (a tar header, an attribute of
//! the OVF descriptor, a line of the manifest) have the same length whatever stands there, and are written again when the
//! disk is complete. That needs a file that can be written anywhere; whoever has none (a pipe, a gzip stream) says the
//! size first, and gets no manifest.
//!
//! What is compressed already (streamOptimized VMDK) is stored in a plain tar: gzip takes another 2 %
//! off it, all of it padding, and as long as everything before (research 4). What is not (VHDX, qcow2, monolithicSparse) goes
//! through [`ParallelGzip`].

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Guid, WriteAt};
use sha2::{Digest as _, Sha256};

use crate::gzip::{HEAD_AT, Level, ParallelGzip};
use crate::machine::Machine;
use crate::ovf::{self, DiskReference, Family};
use crate::tar::{self, Header};
use crate::vagrant::{self, Provider};
use crate::{Error, Result};

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
struct Facts {
    size: u64,
    sha256: [u8; 32],
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
    /// [`Error::Impossible`]: a value of the machine that no consumer takes.
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
    fn head(&self, facts: Option<&Facts>) -> Result<Vec<u8>> {
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

    /// Begins a plain tar in an empty file. The disk is written next, front to back, through
    /// [`Stored::writer`]; then [`Stored::finish`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Limit`] for names that are too long.
    pub fn stored<F: WriteAt>(self, file: F) -> Result<Stored<F>> {
        let head = self.head(None)?;
        file.write_all_at(&head, 0).map_err(Error::writing("archive", 0))?;
        let disk = Arc::new(StoredDisk {
            file,
            start: head.len() as u64,
            end: AtomicU64::new(0),
            hasher: Mutex::new((self.kind == Kind::Ova).then(Sha256::new)),
        });
        Ok(Stored { package: self, disk })
    }

    /// Begins a tar in a gzip stream in an empty file, for a disk whose file has an unknown size. The disk is written next, front
    /// to back, through [`Behind::writer`]; then [`Behind::finish`]. The bytes do not depend on `threads`.
    ///
    /// What surrounds the disk is stored at the front of the stream, where it is replaced at the end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`] for packages that are plain tars; [`Error::Limit`].
    pub fn compressed_behind<F: WriteAt>(self, file: F, level: Level, threads: usize) -> Result<Behind<F>> {
        if self.kind == Kind::Ova {
            return Err(Error::impossible("an OVA is a plain tar"));
        }
        let head = self.head(None)?;
        let io = |error| Error::writing("archive", 0)(error);
        let appended = Appended { file: Arc::new(file), offset: 0 };
        let file = Arc::clone(&appended.file);
        let gzip = ParallelGzip::behind(appended, &head, level, threads).map_err(io)?;
        let state = Arc::new(Mutex::new(BehindDisk { gzip: Some(gzip), size: 0 }));
        Ok(Behind { package: self, head_len: head.len(), file, state })
    }

    /// Begins a tar in a gzip stream, where the disk's file has `disk_size` bytes. The disk is written next, front to
    /// back, through [`Compressed::writer`]; then [`Compressed::finish`]. The bytes do not depend on `threads`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`] for packages that need more than the size; [`Error::Limit`].
    pub fn compressed<W: Write>(
        self,
        writer: W,
        disk_size: u64,
        level: Level,
        threads: usize,
    ) -> Result<Compressed<W>> {
        if self.kind == Kind::Ova {
            return Err(Error::impossible("an OVA is a plain tar"));
        }
        let io = |error| Error::writing("archive", 0)(error);
        let mut gzip = ParallelGzip::new(writer, level, threads).map_err(io)?;
        let facts = Facts { size: disk_size, sha256: [0; 32] };
        gzip.write_all(&self.head(Some(&facts))?).map_err(io)?;
        let state = CompressedDisk { gzip: Some(gzip), left: disk_size };
        Ok(Compressed { disk_size, state: Arc::new(Mutex::new(state)) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plain tar in the making; see [`Package::stored`].
#[derive(Debug)]
pub struct Stored<F> {
    package: Package,
    disk: Arc<StoredDisk<F>>,
}

struct StoredDisk<F> {
    file: F,
    /// Where the disk's bytes begin.
    start: u64,
    /// How many there are so far.
    end: AtomicU64,
    /// For packages with a manifest.
    hasher: Mutex<Option<Sha256>>,
}

impl<F> fmt::Debug for StoredDisk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredDisk")
            .field("start", &self.start)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl<F: WriteAt> StoredDisk<F> {
    fn place(&self, offset: u64, len: usize) -> io::Result<(u64, u64)> {
        let end = offset.checked_add(len as u64);
        let place = self.start.checked_add(offset);
        end.zip(place).ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "disk past 2^64 bytes"))
    }

    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let (end, place) = self.place(offset, data.len())?;
        self.file.write_all_at(data, place)?;
        self.end.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }
}

/// Where the disk goes, front to back; hashed as it passes.
#[derive(Debug)]
pub struct StoredWriter<F> {
    disk: Arc<StoredDisk<F>>,
    offset: u64,
}

impl<F: WriteAt> Write for StoredWriter<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.disk.write(data, self.offset)?;
        self.offset += data.len() as u64;
        if let Some(hasher) = &mut *lock(&self.disk.hasher) {
            hasher.update(data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: WriteAt> Stored<F> {
    /// Where the disk goes.
    pub fn writer(&self) -> StoredWriter<F> {
        StoredWriter { disk: Arc::clone(&self.disk), offset: 0 }
    }

    /// Writes what follows the disk, and what had to wait for it. The disk is complete when this is called.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let Self { package, disk } = self;
        let size = disk.end.load(Ordering::Relaxed);
        let sha256 = lock(&disk.hasher).take().map_or([0; 32], |hasher| hasher.finalize().into());
        let head = package.head(Some(&Facts { size, sha256 }))?;
        assert_eq!(head.len() as u64, disk.start, "what surrounds a disk has one length");
        let mut tail = vec![0; tar::padding(size) as usize];
        tail.extend_from_slice(&tar::END);
        // The end first: as long as the head says that the disk is empty, the archive is not mistaken for a whole one.
        let end = disk.start + size;
        disk.file.write_all_at(&tail, end).map_err(Error::writing("end of the archive", end))?;
        disk.file.write_all_at(&head, 0).map_err(Error::writing("archive", 0))
    }
}

/// A file that is written front to back.
#[derive(Debug)]
struct Appended<F> {
    file: Arc<F>,
    offset: u64,
}

impl<F: WriteAt> Write for Appended<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(data, self.offset)?;
        self.offset += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A tar in a gzip stream in the making; see [`Package::compressed_behind`].
pub struct Behind<F> {
    package: Package,
    head_len: usize,
    file: Arc<F>,
    state: Arc<Mutex<BehindDisk<F>>>,
}

struct BehindDisk<F> {
    /// Until it is finished.
    gzip: Option<ParallelGzip<Appended<F>>>,
    size: u64,
}

impl<F> fmt::Debug for Behind<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behind").field("package", &self.package).finish_non_exhaustive()
    }
}

/// Where the disk goes, front to back.
pub struct BehindWriter<F>(Arc<Mutex<BehindDisk<F>>>);

impl<F> fmt::Debug for BehindWriter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BehindWriter").finish_non_exhaustive()
    }
}

impl<F: WriteAt> Write for BehindWriter<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0);
        let gzip = state.gzip.as_mut().ok_or_else(|| io::Error::other("the archive is finished"))?;
        gzip.write_all(data)?;
        state.size += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: WriteAt> Behind<F> {
    /// Where the disk goes.
    pub fn writer(&self) -> BehindWriter<F> {
        BehindWriter(Arc::clone(&self.state))
    }

    /// Writes what follows the disk, and what had to wait for it. The disk is complete when this is called.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let mut state = lock(&self.state);
        let Some(mut gzip) = state.gzip.take() else { return Ok(()) };
        let head = self.package.head(Some(&Facts { size: state.size, sha256: [0; 32] }))?;
        assert_eq!(head.len(), self.head_len, "what surrounds a disk has one length");
        let mut tail = vec![0; tar::padding(state.size) as usize];
        tail.extend_from_slice(&tar::END);
        gzip.write_all(&tail)
            .and_then(|()| gzip.finish_behind(&head))
            .map_err(Error::writing("end of the archive", 0))?;
        self.file.write_all_at(&head, HEAD_AT).map_err(Error::writing("archive", HEAD_AT))
    }
}

/// A tar in a gzip stream in the making; see [`Package::compressed`].
#[derive(Debug)]
pub struct Compressed<W> {
    disk_size: u64,
    state: Arc<Mutex<CompressedDisk<W>>>,
}

#[derive(Debug)]
struct CompressedDisk<W> {
    /// Until it is finished.
    gzip: Option<ParallelGzip<W>>,
    left: u64,
}

/// Where the disk goes, front to back.
#[derive(Debug)]
pub struct CompressedWriter<W> {
    state: Arc<Mutex<CompressedDisk<W>>>,
}

impl<W: Write> Write for CompressedWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(left) = state.left.checked_sub(data.len() as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "disk larger than was said"));
        };
        let gzip = state.gzip.as_mut().ok_or_else(|| io::Error::other("the archive is finished"))?;
        gzip.write_all(data)?;
        state.left = left;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Compressed<W> {
    /// Where the disk goes.
    pub fn writer(&self) -> CompressedWriter<W> {
        CompressedWriter { state: Arc::clone(&self.state) }
    }

    /// Writes what follows the disk, and flushes.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`]: the disk was not what was said.
    pub fn finish(self) -> Result<()> {
        let mut state = lock(&self.state);
        if state.left != 0 {
            let (said, left) = (self.disk_size, state.left);
            return Err(Error::impossible(format!(
                "a disk of {} bytes that was said to have {said}",
                said - left
            )));
        }
        let Some(mut gzip) = state.gzip.take() else { return Ok(()) };
        let mut tail = vec![0; tar::padding(self.disk_size) as usize];
        tail.extend_from_slice(&tar::END);
        gzip.write_all(&tail)
            .and_then(|()| gzip.finish())
            .map_err(Error::writing("end of the archive", 0))?;
        Ok(())
    }
}
