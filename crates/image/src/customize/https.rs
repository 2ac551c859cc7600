//! WinRM over HTTPS: the certificate, its key, and where both are kept.
//!
//! Planning makes them; nothing is written before the disk is. The key is a secret of the user's: it comes from the
//! system's randomness, it is never written over, and a later build that finds it makes the same certificate again.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use certificate::{Certificate, Key, Request};
use disk::FileTime;
use firstboot::{Https, PfxFile, Secret};

use super::report::CertificateReport;
use crate::output::PartialFile;
use crate::recipe::{Customize, HttpsChoice};
use crate::{Error, Result};

/// Files beside the output.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// A key that has no file yet.
    key: Option<(PathBuf, Key)>,
    certificate: Option<(PathBuf, String)>,
}

/// What was made.
pub(super) struct Made {
    pub(super) https: Https,
    pub(super) beside: Beside,
    pub(super) report: CertificateReport,
    pub(super) notes: Vec<String>,
}

/// Makes the certificate, and the key if there is none.
pub(super) fn make(choice: &HttpsChoice, customize: &Customize, time: FileTime) -> Result<Made> {
    let wrong = |source| Error::Certificate { source: Box::new(source) };
    let name = customize.first_boot.computer_name.as_deref().filter(|name| *name != "*");
    let mut request = Request::new("", time);
    request.names.clear();
    for name in name.into_iter().chain(choice.names.iter().map(String::as_str)) {
        match name.parse::<IpAddr>() {
            Ok(address) => request.addresses.push(address),
            Err(_) if request.names.iter().any(|known| known.eq_ignore_ascii_case(name)) => {}
            Err(_) => request.names.push(name.to_owned()),
        }
    }
    let Some(host_name) = request.names.first().cloned() else {
        return Err(Error::Recipe(
            "winrm-https: a certificate is for a name: give --computer-name, or --winrm-name".to_owned(),
        ));
    };
    let mut notes = Vec::new();
    let read = |source| Error::Read { path: choice.key.clone(), source };
    let new_key = !choice.key.try_exists().map_err(read)?;
    let key = if new_key { Key::generate() } else { certificate::read_key(&choice.key) }.map_err(wrong)?;
    if !new_key && certificate::readable_by_others(&choice.key).map_err(wrong)? {
        let key = choice.key.display();
        notes.push(format!("{key} can be read by others on this machine; chmod 600 {key}"));
    }
    let made = Certificate::self_signed(&key, &request).map_err(wrong)?;
    let password = key.password();
    let https = Https {
        pfx: PfxFile(certificate::pkcs12(&key, &made, &password)),
        password: Secret::new(password.as_str()),
        thumbprint: made.thumbprint(),
        host_name,
    };
    let report = CertificateReport {
        subject: made.subject().to_owned(),
        thumbprint: made.thumbprint(),
        certificate: choice.certificate.display().to_string(),
        key: choice.key.display().to_string(),
        new_key,
    };
    let beside = Beside {
        key: new_key.then(|| (choice.key.clone(), key)),
        certificate: Some((choice.certificate.clone(), made.to_pem())),
    };
    Ok(Made { https, beside, report, notes })
}

impl Beside {
    /// Writes a new key: before the disk, so that there is never a disk whose key was lost.
    pub(crate) fn write_key(&self) -> Result<()> {
        let Some((path, key)) = &self.key else { return Ok(()) };
        certificate::write_key(path, key).map_err(|source| Error::Certificate { source: Box::new(source) })
    }

    /// Writes the certificate, unless it is there as it is to be.
    pub(crate) fn write_certificate(&self, force: bool) -> Result<()> {
        let Some((path, pem)) = &self.certificate else { return Ok(()) };
        if is_there(path, pem)? == Some(true) {
            return Ok(());
        }
        let partial = PartialFile::create(path, force)?;
        let write = partial.file()?.write_all(pem.as_bytes());
        write.map_err(|source| Error::Write { path: path.clone(), source })?;
        partial.commit()
    }

    /// Refuses, before anything is written, what could not be written in the end.
    pub(crate) fn check(&self, force: bool) -> Result<()> {
        match &self.certificate {
            Some((path, pem)) if is_there(path, pem)? == Some(false) && !force => {
                Err(Error::Exists { path: path.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Whether what is there has this text; `None` when there is nothing. What cannot be read is neither.
fn is_there(path: &Path, pem: &str) -> Result<Option<bool>> {
    match std::fs::read(path) {
        Ok(found) => Ok(Some(found == pem.as_bytes())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}
