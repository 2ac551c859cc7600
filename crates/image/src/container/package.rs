//! Disks in packages: Vagrant boxes and appliances. What surrounds the disk is the `appliance` crate's; here it gets the
//! container that the package wants, and the machine that the disk is for.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use appliance::gzip;
use appliance::vagrant::catalog::{Hosted, catalog};
use appliance::{
    Architecture, DiskKind, Edition, Firmware, Guest, Kind, Machine, Package, Provider, Transport,
};
use disk::{OrderedSink, ReadAt, Seed, Sink, UnitEncoder};
use sha2::{Digest as _, Sha256};

use super::planned::Planned;
use super::{Packing, STREAM_BUFFER};
use crate::customize::About;
use crate::output::PartialFile;
use crate::recipe::{Customize, Format, Layout, Level, MIB, MachineWish, Output};
use crate::{Error, Result};

/// A sink, and what is to be done when it is complete.
struct Packaged {
    inner: Box<dyn OrderedSink>,
    after: Box<dyn FnOnce() -> io::Result<()> + Send>,
}

impl std::fmt::Debug for Packaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packaged").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl OrderedSink for Packaged {
    fn granularity(&self) -> u64 {
        self.inner.granularity()
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        self.inner.encoder()
    }

    fn wants_tokens(&self) -> bool {
        self.inner.wants_tokens()
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        self.inner.commit(offset, len, encoded)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.inner.finish()?;
        (self.after)()
    }
}

/// `inner` with an archive around it that is finished when the disk is.
pub(crate) fn packaged(
    inner: Box<dyn OrderedSink>,
    finish: impl FnOnce() -> appliance::Result<()> + Send + 'static,
) -> Sink<'static> {
    let after = Box::new(move || finish().map_err(io::Error::from));
    Sink::Ordered(Box::new(Packaged { inner, after }))
}

/// What a format packs a disk into, if it does.
pub(crate) fn kind(format: Format) -> Option<Kind> {
    Some(match format {
        Format::Ova => Kind::Ova,
        Format::BoxVirtualbox => Kind::Box(Provider::VirtualBox),
        Format::BoxHyperv => Kind::Box(Provider::HyperV),
        Format::BoxLibvirt => Kind::Box(Provider::Libvirt),
        Format::BoxVmware => Kind::Box(Provider::VMware),
        _ => return None,
    })
}

/// Refuses options that say nothing here, and finds what would be in the way later.
pub(crate) fn check(format: Format, wish: &MachineWish, output: &Output, force: bool) -> Result<()> {
    let said = match kind(format) {
        None => wish.said(),
        Some(Kind::Ova) => {
            wish.catalog.as_ref().map(|_| "catalog").or(wish.version.as_ref().map(|_| "box-version"))
        }
        Some(_) if wish.catalog.is_none() => wish.version.as_ref().map(|_| "box-version"),
        Some(_) => None,
    };
    if let Some(option) = said {
        let what = match option {
            "box-version" => "needs --catalog",
            "catalog" => "is for Vagrant boxes",
            _ => "is for packages (boxes and OVA)",
        };
        return Err(Error::Recipe(format!("--{option} {what}")));
    }
    match (catalog_path(wish, output), output) {
        (Some(path), Output::File(_)) if !force && path.symlink_metadata().is_ok() => {
            Err(Error::Exists { path })
        }
        (None, Output::Stdout) if wish.catalog.is_some() => Err(Error::Recipe(
            "--catalog writes a file beside the box, which standard output has no place for".into(),
        )),
        _ => Ok(()),
    }
}

/// `nano.box` has its catalog in `nano.catalog.json`.
fn catalog_path(wish: &MachineWish, output: &Output) -> Option<PathBuf> {
    wish.catalog.as_ref()?;
    match output {
        Output::File(path) => Some(path.with_extension("catalog.json")),
        Output::Stdout => None,
    }
}

/// What an image is to a hypervisor.
pub(crate) fn guest(about: &About) -> Guest {
    let about = about.first_boot();
    Guest {
        build: if about.build == 0 { Guest::SERVER_2016.build } else { about.build },
        edition: match about.installation {
            firstboot::InstallationType::Client => Edition::Client,
            firstboot::InstallationType::Nano => Edition::Nano,
            _ => Edition::Server,
        },
        architecture: match about.architecture {
            firstboot::Architecture::X86 => Architecture::X86,
            firstboot::Architecture::Arm | firstboot::Architecture::Arm64 => Architecture::Arm64,
            firstboot::Architecture::Amd64 => Architecture::X64,
        },
    }
}

/// How Vagrant reaches what a recipe sets up. No password but the one that everybody knows is written into a box.
pub(crate) fn remote(customize: &Customize) -> appliance::Remote {
    let wishes = &customize.first_boot;
    let transport = match &wishes.winrm {
        _ if customize.https.is_some() => Transport::Ssl,
        Some(winrm) if winrm.basic && winrm.unencrypted => Transport::Plaintext,
        _ => Transport::Negotiate,
    };
    let is_vagrant = |account: &&firstboot::Account| account.name.eq_ignore_ascii_case("vagrant");
    let user = match wishes.accounts.iter().find(is_vagrant).or(wishes.accounts.first()) {
        Some(account) if is_vagrant(&account) => None,
        Some(account) => Some(account.name.clone()),
        None => wishes.administrator_password.as_ref().map(|_| "Administrator".to_owned()),
    };
    appliance::Remote { transport, user, password: None }
}

/// How a disk starts, by its partition table.
pub(crate) fn firmware(disk: &dyn ReadAt, sector: u64) -> io::Result<Firmware> {
    let mut signature = [0; 8];
    if disk.size()? >= 2 * sector {
        disk.read_exact_at(&mut signature, sector)?;
    }
    Ok(if signature == *b"EFI PART" { Firmware::Efi } else { Firmware::Bios })
}

/// The same, by the layout that a disk is going to have.
pub(crate) fn firmware_of(layout: Layout) -> Firmware {
    if layout == Layout::Gpt { Firmware::Efi } else { Firmware::Bios }
}

/// The machine that `wish` and the output's name give.
pub(crate) fn machine(
    wish: &MachineWish,
    output: &Output,
    firmware: Firmware,
    seed: &Seed,
) -> Result<Machine> {
    let name = wish.name.clone().unwrap_or_else(|| match output {
        Output::File(path) => Machine::fitting_name(&path.file_stem().unwrap_or_default().to_string_lossy()),
        Output::Stdout => "windows".to_owned(),
    });
    let guest = wish.guest.unwrap_or(Guest::SERVER_2016);
    let mut machine = Machine::new(name, guest, firmware, seed.child("machine"));
    machine.remote = wish.remote.clone();
    if let Some(bytes) = wish.memory {
        machine.memory = u32::try_from(bytes / MIB).ok().filter(|_| bytes % MIB == 0).ok_or_else(|| {
            Error::Recipe(format!("--machine-memory: {bytes} bytes are no whole number of MiB, or too many"))
        })?;
    }
    if let Some(cpus) = wish.cpus {
        machine.cpus = cpus;
    }
    Ok(machine)
}

impl Packing<'_> {
    fn package(&self, kind: Kind) -> Result<Package> {
        let machine = machine(self.machine, self.output, self.firmware, self.seed)?;
        let (seconds, _) = self.time.to_unix();
        let time = u64::try_from(seconds).unwrap_or(0);
        Package::new(kind, machine, self.map.len(), time).map_err(|e| self.appliance_error(e))
    }

    /// A package whose disk is compressed itself, in a file.
    pub(super) fn package_in_file(&self, kind: Kind, file: File) -> Result<Sink<'static>> {
        let package = self.package(kind)?;
        let options = self.packaged_vmdk(&package);
        let archive = match kind {
            // What is in grains is compressed already, what is between them is not: every grain ends with zeros up to the
            // next sector, 2 % of the file.
            Kind::Box(_) => package.compressed_behind(file, gzip::Level::PADDING, self.threads),
            _ => package.stored(file),
        }
        .map_err(|e| self.appliance_error(e))?;
        let writer = BufWriter::with_capacity(STREAM_BUFFER, archive.writer());
        let sink = vmdk::stream_optimized(writer, &options).map_err(|e| self.failed(e))?;
        Ok(packaged(Box::new(sink), move || archive.finish()))
    }

    /// A package that is compressed as a whole.
    pub(super) fn package_stream(
        &self,
        kind: Kind,
        writer: impl Write + Send + 'static,
    ) -> Result<Sink<'static>> {
        let package = self.package(kind)?;
        let level = match self.level {
            Level::Fast => gzip::Level::FAST,
            Level::Default => gzip::Level::DEFAULT,
            Level::Best => gzip::Level::BEST,
        };
        let disk = match kind.disk() {
            DiskKind::Vhdx => Planned::Vhdx(self.vhdx_options()),
            DiskKind::Qcow2 => Planned::Qcow2(self.qcow2_options()),
            DiskKind::VmdkSparse => Planned::VmdkSparse(self.packaged_vmdk(&package)),
            other => unreachable!("the length of a {other:?} is not known before its end"),
        };
        let size = disk.file_size(self.map).map_err(|e| self.failed(e))?;
        let archive = package.compressed(writer, size, level, self.threads);
        let archive = archive.map_err(|e| self.appliance_error(e))?;
        let sink = disk.ordered(archive.writer(), self.map).map_err(|e| self.failed(e))?;
        Ok(packaged(sink, move || archive.finish()))
    }

    /// A VMDK by its name inside the package, for the controller that the machine has.
    fn packaged_vmdk(&self, package: &Package) -> vmdk::Options {
        let adapter = match package.machine().controller {
            appliance::Controller::Ide => vmdk::Adapter::Ide,
            // VMware takes this word for every controller that is not IDE (research 3.3).
            _ => vmdk::Adapter::LsiLogic,
        };
        // What is handed on is written once and carried often: 1 to 2 % smaller than from the source's matches.
        let take_tokens = self.level == Level::Fast;
        vmdk::Options { name: package.disk_name(), adapter, take_tokens, ..self.vmdk_options() }
    }

    /// Writes the catalog of a box that is complete, if one is wanted: `vagrant box add` takes it.
    pub(crate) fn write_catalog(&self, force: bool) -> Result<()> {
        let (Some(path), Some(url)) = (catalog_path(self.machine, self.output), &self.machine.catalog) else {
            return Ok(());
        };
        let Some(Kind::Box(provider)) = kind(self.format) else { return Ok(()) };
        let machine = machine(self.machine, self.output, self.firmware, self.seed)?;
        let hosted = Hosted {
            name: &machine.name.replace(' ', "-"),
            version: self.machine.version.as_deref().unwrap_or("1.0.0"),
            url,
            sha256: sha256(self.path())?,
        };
        let text = catalog(&machine, provider, &hosted)
            .map_err(|source| Error::Appliance { path: path.clone(), source })?;
        let file = PartialFile::create(&path, force)?;
        file.file()?
            .write_all(text.as_bytes())
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        file.commit()
    }

    fn appliance_error(&self, source: appliance::Error) -> Error {
        Error::Appliance { path: self.path().to_owned(), source }
    }
}

/// A box's head is written last, so its hash is taken when it is complete.
fn sha256(path: &Path) -> Result<[u8; 32]> {
    let wrong = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(wrong)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; STREAM_BUFFER]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(wrong(error)),
        }
    }
}
