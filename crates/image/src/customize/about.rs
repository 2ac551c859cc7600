//! What Windows an image is: by the description in its WIM, and where that says nothing, by its own registry.

use driver::{Architecture, ProductType, Target};
use firstboot::InstallationType;
use hive::paths::{KnownHive, control_set};
use hive::{Key, Value};
use serde::Serialize;

use super::Session;
use crate::pipeline::BlobStore as _;
use crate::registry::{MAX_HIVE, find_hive};
use crate::tree::Content;
use crate::{DiskFile, DiskVolume, Error, Partitions, Result, Scope, TreeIndex, VolumeOptions};

/// An image, as a report shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// `Windows Server 2016 Standard`, if it says.
    pub product: Option<String>,
    /// `ServerStandardNano`.
    pub edition: Option<String>,
    /// `Nano Server`, `Server Core`, `Server`, `Client`.
    pub installation: Option<String>,
    /// `amd64`.
    pub architecture: Option<&'static str>,
    /// `14393`.
    pub build: Option<u32>,
    /// The revision of the build.
    pub revision: Option<u32>,
    /// The languages, the default first.
    pub languages: Vec<String>,
    /// Whether it is a server; by its installation type, its edition or its registry.
    #[serde(skip)]
    server: Option<bool>,
}

impl About {
    /// Of an image with this description.
    pub(crate) fn of(info: Option<&wim::ImageInfo>) -> Self {
        let text = |of: fn(&wim::ImageInfo) -> Option<&String>| {
            info.and_then(of).filter(|text| !text.is_empty()).cloned()
        };
        let version = info.and_then(|info| info.version.as_ref());
        let architecture = info.and_then(|info| info.architecture);
        let mut languages: Vec<String> = info.map(|info| info.languages.clone()).unwrap_or_default();
        if let Some(default) = text(|info| info.default_language.as_ref()) {
            languages.retain(|language| !language.eq_ignore_ascii_case(&default));
            languages.insert(0, default);
        }
        Self {
            product: text(|info| info.display_name.as_ref()),
            edition: text(|info| info.edition.as_ref()),
            installation: text(|info| info.installation_type.as_ref()),
            architecture: architecture
                .and_then(|number| Architecture::from_number(number.0))
                .map(Architecture::name),
            build: version.map(|version| version.build),
            revision: version.and_then(|version| version.service_pack_build),
            languages,
            server: None,
        }
    }

    /// Of the Windows on a disk, by its registry; `None` when there is none that can be read.
    pub fn of_disk(disk: &DiskFile) -> Option<Self> {
        let partitions = Partitions::of(disk).ok()?.partitions;
        let ntfs = partitions.iter().filter(|partition| partition.is_ntfs());
        let volumes = ntfs.filter_map(|found| DiskVolume::open(disk, found, VolumeOptions::default()).ok());
        volumes.filter_map(|volume| Self::of_volume(&volume)).next()
    }

    fn of_volume(volume: &DiskVolume) -> Option<Self> {
        // A directory is listed, and so the logs beside the hives are among what is found.
        let (tree, blobs) = volume.tree(&Scope::paths(["Windows/System32/config"], false)).ok()?;
        let index = TreeIndex::new(&tree);
        let mut reader = blobs.reader();
        let mut read = |path: &str| {
            let Some((_, node)) = index.find(path) else { return Ok(None) };
            match &tree.nodes[node.0 as usize].data {
                Some(Content::Empty) => Ok(Some(Vec::new())),
                Some(Content::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
                Some(Content::Blob { blob, len }) if *len <= MAX_HIVE => {
                    let mut bytes = vec![0; *len as usize];
                    reader.read(*blob, 0, &mut bytes, None)?;
                    Ok(Some(bytes))
                }
                _ => Ok(None),
            }
        };
        let mut open = |which| {
            let found = find_hive(volume.path(), which, &mut read)?;
            found.open(volume.path()).map(|(hive, _)| hive)
        };
        let software = open(KnownHive::Software).ok()?;
        let mut about = Self::default();
        about.software(software.root());
        let system: Result<_, Error> = open(KnownHive::System);
        if let Ok(system) = system {
            about.system(system.root());
        }
        about.build.map(|_| about)
    }

    /// The same for packages. What says nothing of itself is taken for Windows Server 2016 on x86-64.
    pub fn guest(&self) -> appliance::Guest {
        crate::container::package::guest(self)
    }

    /// Adds what the description does not say.
    pub(crate) fn look_into(&mut self, session: &mut Session<'_>) -> Result<()> {
        if let Some(software) = session.hive(KnownHive::Software)? {
            self.software(software);
        }
        if let Some(system) = session.hive(KnownHive::System)? {
            self.system(system);
        }
        Ok(())
    }

    fn software(&mut self, software: &Key) {
        let Some(version) = software.open("Microsoft\\Windows NT\\CurrentVersion") else { return };
        let text = |name: &str| version.value(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        self.product = self.product.take().or_else(|| text("ProductName"));
        self.edition = self.edition.take().or_else(|| text("EditionID"));
        self.installation = self.installation.take().or_else(|| text("InstallationType"));
        let build = || text("CurrentBuildNumber").or_else(|| text("CurrentBuild"))?.parse().ok();
        self.build = self.build.or_else(build);
        self.revision = self.revision.or_else(|| version.value("UBR").and_then(Value::as_u32));
    }

    fn system(&mut self, system: &Key) {
        let Some(set) = control_set(system) else { return };
        let text = |key: &str, name: &str| {
            system.open(&format!("{set}\\Control\\{key}"))?.value(name).and_then(Value::as_str)
        };
        if self.architecture.is_none() {
            let name = text("Session Manager\\Environment", "PROCESSOR_ARCHITECTURE");
            self.architecture = name.and_then(|name| Architecture::named(&name)).map(Architecture::name);
        }
        self.server = text("ProductOptions", "ProductType").map(|kind| !kind.eq_ignore_ascii_case("WinNT"));
    }

    fn is_server(&self) -> bool {
        let says_server = |text: &Option<String>| {
            text.as_ref().map(|text| {
                let text = text.to_ascii_lowercase();
                text.contains("server") || text.contains("nano")
            })
        };
        says_server(&self.installation).or(says_server(&self.edition)).or(self.server).unwrap_or(false)
    }

    /// The same for drivers; `None` when not enough is known.
    pub(crate) fn target(&self) -> Option<Target> {
        let architecture = Architecture::named(self.architecture?)?;
        let product = if self.is_server() { ProductType::Server } else { ProductType::Workstation };
        Some(Target::new(architecture, self.build?, product))
    }

    /// The same for the first boot. An image that says nothing of itself is taken for a server on x86-64.
    pub(crate) fn first_boot(&self) -> firstboot::About {
        let architecture = match self.architecture {
            Some("x86") => firstboot::Architecture::X86,
            Some("arm") => firstboot::Architecture::Arm,
            Some("arm64") => firstboot::Architecture::Arm64,
            _ => firstboot::Architecture::Amd64,
        };
        let by_name = self.installation.as_deref().and_then(InstallationType::from_name);
        let installation = by_name.unwrap_or_else(|| {
            let nano = self.edition.as_deref().is_some_and(|edition| edition.ends_with("Nano"));
            match (nano, self.is_server()) {
                (true, _) => InstallationType::Nano,
                (false, true) => InstallationType::Server,
                (false, false) => InstallationType::Client,
            }
        });
        firstboot::About {
            architecture,
            build: self.build.unwrap_or(0),
            edition: self.edition.clone().unwrap_or_default(),
            installation,
            languages: self.languages.clone(),
        }
    }
}
