//! From wishes to changes.

use std::borrow::Cow;
use std::fmt;

use hive::Key;
use hive::reg::Operation;

use crate::script::Extra;
use crate::{About, Error, Result, Wishes, answer, checks, registry, script};

/// What is to be changed.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Files to write, in place of those that are there. Their folders are made.
    pub files: Vec<File>,
    /// Changes to SYSTEM and SOFTWARE, with paths as [`hive::paths`] reads them.
    pub registry: Vec<Operation>,
    /// The files of the image that hold secrets, and how long.
    pub secrets: Vec<SecretFile>,
    /// What will not work, or needs to be known. No secrets.
    pub notes: Vec<String>,
    /// What was done, a line each. No secrets.
    pub report: Vec<String>,
}

/// A file of the image.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from the root of the Windows volume, with backslashes.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Who may read it.
    pub protection: Protection,
    /// Whether its content must not be shown.
    pub holds_secret: bool,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Whoever may read other files of its folder.
    Inherit,
    /// SYSTEM and the administrators, nobody else; nothing is inherited.
    SystemAndAdministrators,
}

/// A file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretFile {
    /// Its path.
    pub path: String,
    /// What of it is secret.
    pub what: String,
    /// Until when it is there.
    pub until: String,
}

/// What `wishes` mean for the image `about`, whose SYSTEM and, where it is at hand, SOFTWARE hives are given by their
/// roots.
///
/// # Errors
/// Any [`Error`]; none of them shows a secret.
pub fn plan(wishes: &Wishes, about: &About, system: &Key, software: Option<&Key>) -> Result<Plan> {
    check(wishes, about)?;
    let mut wishes = Cow::Borrowed(wishes);
    if let Some(zone) = &wishes.time_zone {
        let zone = registry::check_time_zone(zone, software)?;
        wishes.to_mut().time_zone = Some(zone);
    }
    let wishes = wishes.as_ref();
    let mut plan = Plan { report: identity_report(wishes), ..Plan::default() };
    let registry = registry::registry(wishes, about, system, software)?;
    let answer = answer::answer(wishes, about)?;

    let mut to_delete = Vec::new();
    if let Some(content) = answer.content {
        plan.file(answer::PATH, content, answer.holds_secret);
        if wishes.unattend.is_some() {
            plan.report.push("answer file: the given one, with what was asked for besides".to_owned());
        }
        // Commands of the first logon may be read from it after the script has run.
        let delete = answer.our_secret && !answer.logon_commands;
        if delete {
            to_delete.push(answer::PATH);
        }
        if answer.holds_secret {
            let until = if delete {
                "the end of the first boot: SetupComplete.cmd deletes it"
            } else {
                "it is deleted by hand; Windows itself blanks the passwords in it when it has used them"
            };
            plan.secret(answer::PATH, "passwords and keys of the answer file", until);
        }
    }
    if let Some(https) = &wishes.https {
        plan.file(script::PFX, https.pfx.0.clone(), true);
        plan.file(script::PFX_PASSWORD, format!("{}\r\n", https.password.expose()).into_bytes(), true);
        let until = "the first boot: SetupComplete.cmd deletes it, also when the import fails";
        plan.secret(script::PFX, "the private key of the HTTPS certificate", until);
        plan.secret(script::PFX_PASSWORD, "the password of that file", until);
        to_delete.extend([script::PFX, script::PFX_PASSWORD]);
    }
    if let Some(blob) = wishes.domain_blob.as_ref().filter(|_| about.is_nano()) {
        // djoin reads what djoin writes: UTF-16 with a mark and a NUL.
        let units = [0xFEFF].into_iter().chain(blob.expose().encode_utf16()).chain([0]);
        plan.file(script::DOMAIN_BLOB, units.flat_map(u16::to_le_bytes).collect(), true);
        let until = "the first boot: SetupComplete.cmd deletes it, also when joining fails";
        plan.secret(script::DOMAIN_BLOB, "the computer's account in its domain", until);
        to_delete.push(script::DOMAIN_BLOB);
    }
    if let Some(keys) = registry.ssh_keys {
        plan.file(registry::KEYS_PATH, keys, false);
        // OpenSSH ignores the file when others have access.
        if let Some(file) = plan.files.last_mut() {
            file.protection = Protection::SystemAndAdministrators;
        }
    }
    let extra =
        Extra { firewall: &registry.firewall_lines, secrets: &to_delete, services: &registry.services };
    if let Some(script) = script::script(wishes, about, &extra)? {
        if let (Some(path), Some(existing)) = (&script.existing, &wishes.existing_setup_complete) {
            plan.file(path, existing.clone(), false);
            plan.notes.push(format!(
                "the image's own SetupComplete.cmd is kept as {path}, and run before your lines"
            ));
        }
        plan.file(script::PATH, script.content, false);
        plan.report.extend(script.report);
        plan.notes.extend(script.notes);
        if !wishes.setup_complete.is_empty() {
            plan.report.push(format!("SetupComplete.cmd: {} lines of yours", wishes.setup_complete.len()));
        }
        if about.is_client() {
            let note =
                "Windows with an OEM product key, unless it is Enterprise, does not run SetupComplete.cmd";
            plan.notes.push(note.to_owned());
        }
    }
    plan.registry = registry.operations;
    plan.report.extend(registry.report);
    plan.notes.extend(registry.notes);
    plan.notes.extend(answer.notes);
    plan.notes.extend(notes(wishes, about));
    Ok(plan)
}

/// What can be said of wishes by themselves.
fn check(wishes: &Wishes, about: &About) -> Result<()> {
    if let Some(name) = &wishes.computer_name {
        checks::computer_name(name)?;
    }
    if let Some(password) = &wishes.administrator_password {
        password.check_password("admin-password-file")?;
    }
    for (position, account) in wishes.accounts.iter().enumerate() {
        let what = format!("[[account]] {}", account.name);
        checks::account_name(&what, &account.name)?;
        if wishes.accounts[..position]
            .iter()
            .any(|other| other.name.to_lowercase() == account.name.to_lowercase())
        {
            return Err(Error::wish(what, "there are two accounts of this name"));
        }
        match (&account.password, &account.password_file) {
            (Some(password), _) => password.check_password(&what)?,
            (None, Some(_)) => return Err(Error::wish(what, "its password-file was not read")),
            (None, None) => return Err(Error::wish(what, "it has neither password-file nor password")),
        }
        for group in &account.groups {
            checks::group_name(&what, group)?;
        }
        for text in [&account.full_name, &account.description].into_iter().flatten() {
            checks::text(&what, text)?;
        }
    }
    for (option, text) in [("owner", &wishes.owner), ("organization", &wishes.organization)] {
        text.as_deref().map_or(Ok(()), |text| checks::text(option, text))?;
    }
    if let Some(key) = &wishes.product_key {
        checks::product_key(key.expose())?;
    }
    let locale = &wishes.locale;
    for (option, name, keyboard) in [
        ("ui-language", &locale.ui, false),
        ("input-locale", &locale.input, true),
        ("system-locale", &locale.system, false),
        ("user-locale", &locale.user, false),
    ] {
        name.as_deref().map_or(Ok(()), |name| checks::locale(option, name, keyboard))?;
    }
    if let Some(language) = &locale.ui
        && !about.languages.is_empty()
        && !about.languages.iter().any(|known| known.eq_ignore_ascii_case(language))
    {
        let reason = format!("the image does not speak {language}; it has {}", about.languages.join(", "));
        return Err(Error::wish("ui-language", reason));
    }
    Ok(())
}

fn identity_report(wishes: &Wishes) -> Vec<String> {
    let mut report = Vec::new();
    match wishes.computer_name.as_deref() {
        Some("*") => report.push("computer name chosen by Windows".to_owned()),
        Some(name) => report.push(format!("computer name {name}")),
        None => {}
    }
    if wishes.administrator_password.is_some() {
        report.push("password of Administrator".to_owned());
    }
    for account in &wishes.accounts {
        let groups =
            if account.groups.is_empty() { "no group".to_owned() } else { account.groups.join(", ") };
        report.push(format!("account {} ({groups})", account.name));
    }
    let locale = &wishes.locale;
    for (what, value) in [
        ("time zone", &wishes.time_zone),
        ("language", &locale.ui),
        ("keyboard", &locale.input),
        ("system locale", &locale.system),
        ("user locale", &locale.user),
        ("owner", &wishes.owner),
        ("organization", &wishes.organization),
    ] {
        report.extend(value.iter().map(|value| format!("{what} {value}")));
    }
    if wishes.product_key.is_some() {
        report.push("product key".to_owned());
    }
    if wishes.domain_blob.is_some() {
        report.push("domain membership".to_owned());
    }
    if wishes.quiet {
        report.push("no questions at the first boot".to_owned());
    }
    report
}

/// What the user should know of what was asked for together.
fn notes(wishes: &Wishes, about: &About) -> Vec<String> {
    let mut notes = Vec::new();
    let remote = wishes.winrm.is_some() || wishes.https.is_some() || wishes.remote_management || wishes.rdp;
    let nobody =
        wishes.administrator_password.is_none() && wishes.accounts.is_empty() && wishes.unattend.is_none();
    if remote && nobody && wishes.domain_blob.is_none() {
        notes.push(
            "nobody has a password, and without one Windows lets nobody in from the network".to_owned(),
        );
    }
    if about.is_client() && wishes.administrator_password.is_some() && wishes.accounts.is_empty() {
        notes.push(
            "clients keep the account Administrator disabled: an [[account]] is needed to log on".to_owned(),
        );
    }
    if about.is_client() && wishes.quiet && nobody {
        notes.push("the first boot still asks for an account: there is no [[account]]".to_owned());
    }
    if wishes.quiet
        && !about.is_client()
        && !about.is_nano()
        && wishes.administrator_password.is_none()
        && wishes.unattend.is_none()
    {
        notes.push(
            "the first logon asks for a password of Administrator: there is no admin-password-file"
                .to_owned(),
        );
    }
    if about.is_nano() && wishes.locale != crate::Locale::default() {
        notes.push("whether Nano Server heeds locales of an answer file is not known".to_owned());
    }
    if remote && !wishes.remote_administrators && !wishes.accounts.is_empty() && wishes.domain_blob.is_none()
    {
        let note = "local administrators other than Administrator have no administrator's rights over the network \
                    unless LocalAccountTokenFilterPolicy is set";
        notes.push(note.to_owned());
    }
    notes
}

impl Plan {
    fn file(&mut self, path: &str, content: Vec<u8>, holds_secret: bool) {
        let protection = if holds_secret { Protection::SystemAndAdministrators } else { Protection::Inherit };
        self.files.push(File { path: path.to_owned(), content, protection, holds_secret });
    }

    fn secret(&mut self, path: &str, what: &str, until: &str) {
        self.secrets.push(SecretFile {
            path: path.to_owned(),
            what: what.to_owned(),
            until: until.to_owned(),
        });
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("files", &self.files)
            .field("registry", &self.registry.len())
            .field("secrets", &self.secrets)
            .field("notes", &self.notes)
            .field("report", &self.report)
            .finish()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .field("protection", &self.protection)
            .field("holds_secret", &self.holds_secret)
            .finish()
    }
}
