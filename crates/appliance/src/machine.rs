use disk::{Guid, Seed};

use crate::{Error, Guest, Result};

/// The machine that is to run a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// Its name: 1 to 80 letters, digits, spaces, `.`, `_`, `-`; also the name of files. No comma, on which Vagrant's
    /// reading of VBoxManage's output would stumble (research 6.2).
    pub name: String,
    /// What Windows it runs.
    pub guest: Guest,
    /// MiB of memory, a multiple of 4 (a rule of VMware's): 64 to 1 TiB.
    pub memory: u32,
    /// Processors: 1 to 64.
    pub cpus: u32,
    /// How it starts.
    pub firmware: Firmware,
    /// Whether the firmware checks signatures.
    pub secure_boot: bool,
    /// What the disk hangs on, where there is a choice.
    pub controller: Controller,
    /// How Vagrant talks to it.
    pub remote: Remote,
    /// Where its addresses and ids come from.
    pub seed: Seed,
    /// The id that the firmware tells Windows. `None` lets the hypervisor make one, so that two machines made from one
    /// package differ.
    pub hardware_uuid: Option<Guid>,
}

/// How a machine starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// From a master boot record.
    Bios,
    /// From an EFI system partition.
    Efi,
}

/// What a disk hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Controller {
    /// IDE (PIIX4): every Windows starts from it.
    Ide,
    /// SATA (AHCI): from Windows 8 and Server 2012 on, whose images start its driver unasked.
    Sata,
    /// LSI Logic SAS: in images of Server up to 2019.
    LsiSas,
}

/// How Vagrant talks to a machine: WinRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// By which way.
    pub transport: Transport,
    /// The account; `None` for Vagrant's own, `vagrant`.
    pub user: Option<String>,
    /// Its password; `None` for Vagrant's own, `vagrant`. It is written where everybody can read it.
    pub password: Option<String>,
}

impl Default for Remote {
    fn default() -> Self {
        Self { transport: Transport::Negotiate, user: None, password: None }
    }
}

/// How WinRM is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// NTLM, with messages that it encrypts.
    #[default]
    Negotiate,
    /// Basic authentication, nothing encrypted.
    Plaintext,
    /// HTTPS, with a certificate that nobody has signed.
    Ssl,
}

/// A name that file systems, hypervisors and shells take.
const MAX_NAME: usize = 80;
const MEMORY: std::ops::RangeInclusive<u32> = 64..=1 << 20;
const MAX_CPUS: u32 = 64;

impl Machine {
    /// A machine of that name: 2 GiB of memory, two processors, and the controller that this Windows has a driver for.
    pub fn new(name: impl Into<String>, guest: Guest, firmware: Firmware, seed: Seed) -> Self {
        // Images of Windows 7 and Server 2008 R2 carry the driver of AHCI, but do not start it.
        let controller = if guest.build < 9200 { Controller::Ide } else { Controller::Sata };
        Self {
            name: name.into(),
            guest,
            memory: 2048,
            cpus: 2,
            firmware,
            secure_boot: false,
            controller,
            remote: Remote::default(),
            seed,
            hardware_uuid: None,
        }
    }

    /// Whether every consumer takes it.
    pub(crate) fn check(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
        let name = &self.name;
        let clean =
            name.chars().all(allowed) && !name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']);
        if name.is_empty() || name.len() > MAX_NAME || !clean {
            return Err(Error::impossible(format!(
                "{name:?} cannot be the name of a machine (1 to {MAX_NAME} letters, digits, spaces, `.`, `_`, `-`)"
            )));
        }
        if !MEMORY.contains(&self.memory) || !self.memory.is_multiple_of(4) {
            return Err(Error::impossible(format!(
                "{} MiB of memory (expected a multiple of 4 from {} to {})",
                self.memory,
                MEMORY.start(),
                MEMORY.end()
            )));
        }
        if !(1..=MAX_CPUS).contains(&self.cpus) {
            return Err(Error::impossible(format!("{} processors (expected 1 to {MAX_CPUS})", self.cpus)));
        }
        if self.secure_boot && self.firmware == Firmware::Bios {
            return Err(Error::impossible("a BIOS has no secure boot"));
        }
        Ok(())
    }

    /// A name like it that fits ([`name`](Self::name)): what is not allowed becomes `-`.
    pub fn fitting_name(text: &str) -> String {
        let name: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || " ._-".contains(c) { c } else { '-' })
            .take(MAX_NAME)
            .collect();
        let name = name.trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']);
        if name.is_empty() { "windows".to_owned() } else { name.to_owned() }
    }

    /// The address of its network adapter: VirtualBox's prefix 08-00-27, and three bytes that follow from the seed.
    pub fn mac(&self) -> [u8; 6] {
        let tail = self.seed.u64("machine mac").to_le_bytes();
        [0x08, 0x00, 0x27, tail[0], tail[1], tail[2]]
    }

    /// The same as Vagrant and VirtualBox write it: twelve hexadecimal digits.
    pub fn mac_text(&self) -> String {
        self.mac().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new("nano", Guest::SERVER_2016, Firmware::Bios, Seed::new(b"x"))
    }

    #[test]
    fn what_no_consumer_takes_is_refused() {
        machine().check().unwrap();
        for name in ["", "a,b", "a/b", "..", ".a", "-a", "a ", "ü", "a\"b", "a\n", &"x".repeat(81)] {
            assert!(Machine { name: name.to_owned(), ..machine() }.check().is_err(), "{name:?}");
            let fitting = Machine { name: Machine::fitting_name(name), ..machine() };
            fitting.check().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        }
        for memory in [0, 60, 2049, 2_000_000] {
            assert!(Machine { memory, ..machine() }.check().is_err(), "{memory}");
        }
        for cpus in [0, 65] {
            assert!(Machine { cpus, ..machine() }.check().is_err(), "{cpus}");
        }
        assert!(Machine { secure_boot: true, ..machine() }.check().is_err());
    }

    #[test]
    fn the_address_is_virtualboxs_and_the_seeds() {
        let text = machine().mac_text();
        assert!(text.starts_with("080027") && text.len() == 12, "{text}");
        let other = Machine { seed: Seed::new(b"y"), ..machine() };
        assert_ne!(other.mac(), machine().mac());
    }

    #[test]
    fn what_has_no_driver_for_ahci_hangs_on_ide() {
        let old = Guest { build: 7601, ..Guest::SERVER_2016 };
        assert_eq!(Machine::new("a", old, Firmware::Bios, Seed::new(b"x")).controller, Controller::Ide);
        assert_eq!(machine().controller, Controller::Sata);
    }
}
