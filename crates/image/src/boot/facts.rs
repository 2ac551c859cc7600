//! What a store has to know of an image, and what the image's own template says.

use bcd::{BootMenuPolicy, DeviceKind, Edition, Generation, Options, Recovery, Setup, Store};
use disk::{FileTime, Seed};

use super::Places;
use super::files::{BootFiles, Firmware};
use crate::prepass::Prepass;
use crate::recipe::{BcdDevice, Boot as Wishes, BootMenu, Recipe};
use crate::tree_index::TreeIndex;
use crate::{Error, Result};

/// The store that an image brings along: what bcdboot takes the settings from.
pub(super) const TEMPLATE: &str = "\\Windows\\System32\\config\\BCD-Template";
/// Real ones have 32 KiB.
const LARGEST_TEMPLATE: u64 = 16 << 20;
/// The first build of Windows 8 and of Windows 10 that was sold.
const WINDOWS_8: u32 = 9200;
const WINDOWS_10: u32 = 10240;

/// What an image is, as far as it matters for its start.
#[derive(Debug)]
pub(super) struct Facts {
    name: String,
    locale: String,
    edition: Edition,
    generation: Generation,
    /// Whether it can wake up from hibernation.
    resume: bool,
    memory_test: bool,
    /// The image's template, when it has one that can be read.
    pub(super) template: Option<Store>,
}

impl Facts {
    /// Of an image that nothing is taken from.
    pub(super) fn none() -> Self {
        Self {
            name: "Windows".to_owned(),
            locale: "en-US".to_owned(),
            edition: Edition::Client,
            generation: Generation::Windows10,
            resume: false,
            memory_test: false,
            template: None,
        }
    }

    pub(super) fn of(
        index: &TreeIndex<'_>,
        info: Option<&wim::ImageInfo>,
        firmware: Firmware,
        files: &BootFiles,
        prepass: &Prepass<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let text =
            |of: fn(&wim::ImageInfo) -> Option<&String>| info.and_then(of).filter(|text| !text.is_empty());
        let kind = text(|info| info.installation_type.as_ref()).map(|kind| kind.to_ascii_lowercase());
        let edition = match kind.as_deref() {
            Some(kind) if kind.contains("nano") => Edition::Nano,
            Some(kind) if kind.contains("server") => Edition::Server,
            _ => Edition::Client,
        };
        let generation = match info.and_then(|info| info.version.as_ref()).map(|version| version.build) {
            Some(..WINDOWS_8) => Generation::Windows7,
            Some(WINDOWS_8..WINDOWS_10) => Generation::Windows8,
            _ => Generation::Windows10,
        };
        let extension = firmware.program_extension();
        let system32 = |name: &str| format!("\\Windows\\System32\\{name}.{extension}");
        if !files.files.is_empty() && index.find(&system32("winload")).is_none() {
            notes.push(format!("the image has no {}, which the boot manager starts", system32("winload")));
        }
        let name = text(|info| info.display_name.as_ref())
            .or_else(|| text(|info| info.product_name.as_ref()))
            .or_else(|| text(|info| info.name.as_ref()));
        let locale =
            text(|info| info.default_language.as_ref()).or(info.and_then(|info| info.languages.first()));
        Ok(Self {
            // A control character would be a second line of the menu.
            name: name.map_or("Windows".to_owned(), |name| name.replace(char::is_control, " ")),
            locale: locale.filter(|locale| is_locale(locale)).map_or("en-US".to_owned(), Clone::clone),
            edition,
            generation,
            resume: edition != Edition::Nano && index.find(&system32("winresume")).is_some(),
            memory_test: files.get(firmware.memory_test()).is_some(),
            template: template(index, prepass, notes)?,
        })
    }

    /// What the store is made of.
    pub(super) fn setup(
        &self,
        firmware: Firmware,
        recipe: &Recipe,
        places: &Places,
        recovery: Option<DeviceKind>,
        seed: &Seed,
        time: FileTime,
    ) -> Setup {
        let device = |partition| match recipe.boot.device {
            BcdDevice::Partition => partition,
            BcdDevice::Locate => DeviceKind::Locate,
        };
        // A BIOS boot manager has no path to be located by, and where it was started from it knows.
        let system = match recipe.boot.device {
            BcdDevice::Partition => places.system,
            BcdDevice::Locate => DeviceKind::Boot,
        };
        let firmware = match firmware {
            Firmware::Bios => bcd::Firmware::Bios,
            Firmware::Uefi => bcd::Firmware::Uefi,
        };
        let mut setup = Setup::new(firmware, system, device(places.windows), *seed, time);
        setup.generation = self.generation;
        setup.edition = self.edition;
        setup.name.clone_from(&self.name);
        setup.locale.clone_from(&self.locale);
        setup.timeout = recipe.boot.timeout.unwrap_or(30);
        setup.resume = self.resume;
        setup.memory_test = self.memory_test;
        setup.recovery = recovery.map(|partition| Recovery::on(device(partition)));
        setup.options = options(&recipe.boot);
        setup
    }

    /// The template with what the boot options ask for, so that stores made of it later say the same; `None` when nothing
    /// is asked for, or there is none.
    pub(super) fn edited_template(&self, recipe: &Recipe) -> Result<Option<Vec<u8>>> {
        let options = options(&recipe.boot);
        let (Some(template), true) = (&self.template, options != Options::default()) else { return Ok(None) };
        let mut template = template.clone();
        let edited = bcd::edit_template(&mut template, &options).and_then(|()| template.to_bytes());
        edited.map(Some).map_err(|source| Error::Bcd { source })
    }
}

fn is_locale(text: &str) -> bool {
    (2..=85).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

/// One that cannot be read is not used: the store does not depend on it.
fn template(index: &TreeIndex<'_>, prepass: &Prepass<'_>, notes: &mut Vec<String>) -> Result<Option<Store>> {
    let Some((_, node)) = index.find(TEMPLATE) else { return Ok(None) };
    let Some(content) = &index.tree().nodes[node.0 as usize].data else { return Ok(None) };
    let bytes = prepass.read(content, LARGEST_TEMPLATE)?;
    match Store::parse(&bytes) {
        Ok(store) => Ok(Some(store)),
        Err(error) => {
            notes.push(format!("{TEMPLATE} is not used: {error}"));
            Ok(None)
        }
    }
}

fn options(wishes: &Wishes) -> Options {
    Options {
        ems: wishes.ems,
        debug: wishes.debug.clone(),
        test_signing: wishes.test_signing,
        boot_menu: wishes.menu.map(|menu| match menu {
            BootMenu::Legacy => BootMenuPolicy::Legacy,
            BootMenu::Standard => BootMenuPolicy::Standard,
        }),
        ..Options::default()
    }
}
