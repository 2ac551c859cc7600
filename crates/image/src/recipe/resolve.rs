//! From what was written to what it means: [`RecipeFile`] to [`Recipe`].

use std::path::{Path, PathBuf};

use firstboot::{AnswerFile, DomainBlob, Locale, Secret, WinRm, Wishes};

use super::file::{CompactOs, MAX_TEXT, ReadSecret, RecipeFile, read_limited};
use super::spelled::{Size, Spelled};
use super::wishes::{Customize, HttpsChoice};
use super::{Boot, Compact, MachineWish, Output, Recipe};
use crate::iso_source::WimChoice;
use crate::{Error, Result};

impl RecipeFile {
    /// What it means. Files with secrets are read through `secret`, others as they are.
    ///
    /// # Errors
    /// [`Error::Recipe`] for what contradicts itself, [`Error::Read`], [`Error::FirstBoot`].
    pub fn resolve(self, secret: &mut ReadSecret<'_>) -> Result<Recipe> {
        let missing = |what: &str| Error::Recipe(format!("there is no {what}"));
        let source = self.source.clone().ok_or_else(|| missing("source: give a WIM or an ISO"))?;
        let path = self.output.clone().ok_or_else(|| missing("output: give one with --output"))?;
        let output = if path.as_os_str() == "-" { Output::Stdout } else { Output::File(path) };
        let wim = match (&self.wim, self.nano) {
            (Some(_), true) => {
                return Err(Error::Recipe("wim and nano name two WIMs; only one can be taken".to_owned()));
            }
            (Some(path), false) => Some(WimChoice::Path(path.clone())),
            (None, nano) => nano.then_some(WimChoice::Nano),
        };
        let customize = self.customize(&output, secret)?;
        let machine = MachineWish {
            name: self.machine_name.clone(),
            memory: self.machine_memory.as_ref().map(|size| size.value.0),
            cpus: self.machine_cpus,
            catalog: self.catalog.clone(),
            version: self.box_version.clone(),
            guest: None,
            remote: crate::container::package::remote(&customize),
        };
        let cluster_size = self.cluster_size.map_or(4096, |size| size.value.0);
        let cluster_size = u32::try_from(cluster_size)
            .map_err(|_| Error::Recipe(format!("cluster-size: {cluster_size} is past 2MiB")))?;
        let algorithm = match self.compact_os {
            None | Some(CompactOs::Whether(false)) => None,
            Some(CompactOs::Whether(true)) => Some(None),
            Some(CompactOs::How(how)) => Some(Some(how.value)),
        };
        if algorithm.is_none() && (self.assume_wof || self.no_verify_source) {
            let flag = if self.assume_wof { "assume-wof" } else { "no-verify-source" };
            return Err(Error::Recipe(format!("{flag} is about compressed files, and needs --compact-os")));
        }
        let (assume_driver, verify_source) = (self.assume_wof, !self.no_verify_source);
        let asked = (self.format.map(|format| format.value), self.layout.map(|layout| layout.value));
        let (format, layout) = match self.r#for.map(|platform| platform.value) {
            Some(platform) => (Some(platform.format(asked.0, &output)?), platform.layout(asked.1)?),
            None => (asked.0, asked.1.unwrap_or_default()),
        };
        let value = |size: Option<Spelled<Size>>| size.map(|size| size.value.0);
        Ok(Recipe {
            wim,
            image: self.image.map(|image| image.value),
            format,
            layout,
            size: value(self.size),
            system_size: value(self.system_size),
            recovery_size: value(self.recovery_size),
            cluster_size,
            short_names: self.short_names,
            compact: algorithm.map(|algorithm| Compact { algorithm, assume_driver, verify_source }),
            registry: self.reg,
            hives: self.hive.into_iter().map(|hive| hive.value).collect(),
            boot: Boot {
                files: !self.no_boot_files,
                code: self.boot_code.map(|code| code.value).unwrap_or_default(),
                device: self.bcd_device.map(|device| device.value).unwrap_or_default(),
                ex: self.bootex,
                timeout: self.boot_timeout,
                menu: self.boot_menu.map(|menu| menu.value),
                ems: self.ems.map(|ems| ems.value),
                debug: self.debug.map(|debug| debug.value),
                test_signing: self.test_signing,
            },
            customize,
            seed: self.seed,
            level: self.level.map(|level| level.value).unwrap_or_default(),
            machine,
            ..Recipe::new(source, output)
        })
    }

    fn customize(&self, output: &Output, secret: &mut ReadSecret<'_>) -> Result<Customize> {
        let first_boot = self.wishes(secret)?;
        let flags = [(self.host, "Host"), (self.guest, "Guest"), (self.oem_drivers, "OEM-Drivers")];
        let flagged = flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name.to_owned());
        Ok(Customize {
            first_boot,
            drivers: self.driver.clone(),
            allow_unsigned: self.allow_unsigned,
            packages: self.package.clone(),
            media_packages: flagged.chain(self.packages.iter().cloned()).collect(),
            copies: self.copy.iter().map(|copy| copy.value.clone()).collect(),
            values: self.registry.clone(),
            https: self.winrm_https.then(|| self.https(output)).transpose()?,
        })
    }

    /// Key and certificate lie beside the output, or where the key is.
    fn https(&self, output: &Output) -> Result<HttpsChoice> {
        let names = self.winrm_name.clone();
        let file = match output {
            Output::File(path) if !super::is_block_device(path) => Some(path),
            _ => None,
        };
        let beside = |path: &Path, extension: &str| {
            let mut name = path.file_stem().unwrap_or_default().to_owned();
            name.push(extension);
            path.with_file_name(name)
        };
        match (file, &self.winrm_key) {
            (Some(path), key) => {
                let key = key.clone().unwrap_or_else(|| beside(path, ".winrm.key"));
                Ok(HttpsChoice { key, names, certificate: beside(path, ".winrm.pem") })
            }
            (None, Some(key)) => {
                Ok(HttpsChoice { key: key.clone(), names, certificate: beside(key, ".pem") })
            }
            (None, None) => Err(Error::Recipe(
                "winrm-https writes a key and a certificate beside the output, which has no place for them here; say \
                 with --winrm-key where the key is to be"
                    .to_owned(),
            )),
        }
    }

    fn wishes(&self, secret: &mut ReadSecret<'_>) -> Result<Wishes> {
        let mut read = |path: &PathBuf| {
            Secret::from_file_bytes(&path.display().to_string(), &secret(path)?).map_err(Error::from)
        };
        let administrator_password = self.admin_password_file.as_ref().map(&mut read).transpose()?;
        let mut accounts = self.account.clone();
        for account in &mut accounts {
            let Some(path) = &account.password_file else { continue };
            if account.password.is_some() {
                let name = &account.name;
                return Err(Error::Recipe(format!(
                    "account {name}: password and password-file exclude each other"
                )));
            }
            account.password = Some(read(path)?);
        }
        let domain_blob = match &self.domain_blob {
            Some(path) => Some(DomainBlob::from_file_bytes(&path.display().to_string(), &secret(path)?)?),
            None => None,
        };
        let unattend = match &self.unattend {
            Some(path) => Some(AnswerFile { name: path.display().to_string(), bytes: secret(path)? }),
            None => None,
        };
        let mut setup_complete = match &self.setup_complete {
            Some(path) => lines(path)?,
            None => Vec::new(),
        };
        setup_complete.extend(self.first_boot.iter().cloned());
        let mut ssh_keys = Vec::new();
        for path in &self.ssh_key {
            ssh_keys.extend(lines(path)?.into_iter().filter(|line| {
                let line = line.trim();
                !line.is_empty() && !line.starts_with('#')
            }));
        }
        let or_all = |one: &Option<String>| one.clone().or_else(|| self.locale.clone());
        let winrm = self.winrm || self.winrm_basic || self.winrm_unencrypted || self.winrm_public;
        Ok(Wishes {
            computer_name: self.computer_name.clone(),
            administrator_password,
            accounts,
            remote_administrators: self.remote_administrators,
            time_zone: self.time_zone.clone(),
            locale: Locale {
                ui: self.ui_language.clone(),
                input: or_all(&self.input_locale),
                system: or_all(&self.system_locale),
                user: or_all(&self.user_locale),
            },
            owner: self.owner.clone(),
            organization: self.organization.clone(),
            product_key: self.product_key.as_deref().map(Secret::new),
            domain_blob,
            networks: self.network.clone(),
            setup_complete,
            existing_setup_complete: None,
            unattend,
            quiet: self.quiet_setup,
            remote_management: self.remote_management,
            winrm: winrm.then_some(WinRm {
                basic: self.winrm_basic,
                unencrypted: self.winrm_unencrypted,
                public: self.winrm_public,
            }),
            https: None,
            rdp: self.rdp,
            firewall: self.firewall.clone(),
            private_network: self.private_network,
            grow: self.grow,
            ssh_keys,
            features: self.feature.clone(),
            packages: Vec::new(),
        })
    }
}

/// The lines of a text file.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(read_limited(path, MAX_TEXT)?).map_err(|_| {
        let what = "is not UTF-8".to_owned();
        Error::Unsupported { path: path.to_owned(), what }
    })?;
    Ok(text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect())
}
