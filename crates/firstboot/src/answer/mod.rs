//! The answer file, `Windows\Panther\unattend.xml`: where Windows looks when it was never started, after the value
//! `UnattendFile` of `SYSTEM\Setup`.
//!
//! Only two passes are written. `specialize` runs first, and machine-wide things belong there; `oobeSystem` runs last, and
//! makes accounts and sets passwords. `offlineServicing`, which Microsoft's own Nano Server module used for the password,
//! is carried out by DISM on a mounted image and never by the Windows in it, so nothing is ever put there.
//!
//! Each wish is one [`Setting`]: a pass, a component, a path of elements and a value. A user's answer file is merged with
//! them by [`merge`]; without one, they are merged with an empty file, so there is one way to write both.

mod hidden;
mod merge;

use crate::wishes::{Account, Wishes};
use crate::xml::{Document, Element, Node};
use crate::{About, Error, Result, Secret};

use merge::merge;

/// Where the file lies.
pub(crate) const PATH: &str = "Windows\\Panther\\unattend.xml";

/// The namespace of answer files.
const UNATTEND: &str = "urn:schemas-microsoft-com:unattend";
/// The namespace of the attribute `action`, which marks elements of lists.
const WCM: &str = "http://schemas.microsoft.com/WMIConfig/2002/State";
/// The public key that all components of Windows are signed with.
const PUBLIC_KEY_TOKEN: &str = "31bf3856ad364e35";

const SHELL_SETUP: &str = "Microsoft-Windows-Shell-Setup";
const INTERNATIONAL: &str = "Microsoft-Windows-International-Core";

/// Elements whose content is a secret, wherever they are.
const SECRETS: &[&str] = &[
    "Password",
    "AdministratorPassword",
    "OfflineAdministratorPassword",
    "MachinePassword",
    "ProductKey",
    "AccountData",
    "Credentials",
];

/// A pass of Windows Setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Specialize,
    OobeSystem,
}

impl Pass {
    const ALL: [Self; 2] = [Self::Specialize, Self::OobeSystem];

    const fn name(self) -> &'static str {
        match self {
            Self::Specialize => "specialize",
            Self::OobeSystem => "oobeSystem",
        }
    }
}

/// Something that an answer file is to say.
struct Setting<'a> {
    pass: Pass,
    component: &'static str,
    /// The elements from the component's on.
    path: &'static [&'static str],
    value: Value<'a>,
    /// The option that wants it.
    option: String,
}

/// The value of a setting.
enum Value<'a> {
    /// Text whose case counts.
    Text(String),
    /// A name, or `true` and `false`: case does not count.
    Name(String),
    /// Text that is not to be seen.
    Hidden(String),
    /// A group of `Value` and `PlainText`.
    Password(&'a Secret),
    /// An element of a list, told from others by its name.
    Account(&'a Account),
}

/// What became of the answer file.
#[derive(Default)]
pub(crate) struct Answer {
    /// The file; `None` when there is nothing to say.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether it holds secrets, the user's own included.
    pub(crate) holds_secret: bool,
    /// Whether some of them come from wishes.
    pub(crate) our_secret: bool,
    /// Whether it has commands for the first logon, after `SetupComplete.cmd`.
    pub(crate) logon_commands: bool,
    pub(crate) notes: Vec<String>,
}

/// What `wishes` make of the user's answer file, or of none.
pub(crate) fn answer(wishes: &Wishes, about: &About) -> Result<Answer> {
    let settings = settings(wishes, about);
    let mut answer = Answer::default();
    let mut document = match &wishes.unattend {
        None if settings.is_empty() => return Ok(answer),
        None => empty(),
        Some(theirs) => {
            let document = Document::parse(&theirs.name, &theirs.bytes)?;
            check_root(&theirs.name, &document)?;
            answer.notes.extend(notes(&theirs.name, &document, about));
            document
        }
    };
    let name = wishes.unattend.as_ref().map_or("the answer file", |theirs| theirs.name.as_str());
    let mut changed = false;
    for setting in &settings {
        let added = merge(&mut document, setting, name, about)?;
        changed |= added;
        answer.our_secret |=
            added && matches!(setting.value, Value::Hidden(_) | Value::Password(_) | Value::Account(_));
    }
    answer.holds_secret = any(&document.root, &|element| SECRETS.contains(&element.local_name()));
    answer.logon_commands = any(&document.root, &|element| {
        ["FirstLogonCommands", "LogonCommands"].contains(&element.local_name())
    });
    answer.content = match &wishes.unattend {
        // Not a byte of it is changed without a reason.
        Some(theirs) if !changed => Some(theirs.bytes.clone()),
        _ => Some(document.to_bytes()),
    };
    Ok(answer)
}

/// The settings that wishes ask for.
fn settings<'a>(wishes: &'a Wishes, about: &About) -> Vec<Setting<'a>> {
    let mut settings = Vec::new();
    let mut add = |pass, component, path, value, option: &str| {
        settings.push(Setting { pass, component, path, value, option: option.to_owned() });
    };
    if let Some(name) = &wishes.computer_name {
        add(Pass::Specialize, SHELL_SETUP, &["ComputerName"], Value::Name(name.clone()), "computer-name");
    }
    if let Some(key) = &wishes.product_key {
        let key = Value::Hidden(key.expose().to_ascii_uppercase());
        add(Pass::Specialize, SHELL_SETUP, &["ProductKey"], key, "product-key");
    }
    if let Some(owner) = &wishes.owner {
        add(Pass::Specialize, SHELL_SETUP, &["RegisteredOwner"], Value::Text(owner.clone()), "owner");
    }
    if let Some(organization) = &wishes.organization {
        let organization = Value::Text(organization.clone());
        add(Pass::Specialize, SHELL_SETUP, &["RegisteredOrganization"], organization, "organization");
    }
    if let Some(blob) = &wishes.domain_blob
        && !about.is_nano()
    {
        // Valid in specialize by Microsoft's description of Identification/Provisioning.
        let blob = Value::Hidden(blob.expose().to_owned());
        let path = &["Identification", "Provisioning", "AccountData"];
        add(Pass::Specialize, "Microsoft-Windows-UnattendedJoin", path, blob, "domain-blob");
    }
    if wishes.rdp && !about.is_nano() {
        let component = "Microsoft-Windows-TerminalServices-LocalSessionManager";
        let allowed = Value::Name("false".to_owned());
        add(Pass::Specialize, component, &["fDenyTSConnections"], allowed, "rdp");
    }
    // In the last pass these also answer the questions of the pages after it.
    let locale = &wishes.locale;
    for (name, path, option) in [
        (&locale.input, &["InputLocale"], "input-locale"),
        (&locale.system, &["SystemLocale"], "system-locale"),
        (&locale.ui, &["UILanguage"], "ui-language"),
        (&locale.user, &["UserLocale"], "user-locale"),
    ] {
        if let Some(name) = name {
            add(Pass::OobeSystem, INTERNATIONAL, path, Value::Name(name.clone()), option);
        }
    }
    if let Some(zone) = &wishes.time_zone {
        // The pass in which Nano Server is known to heed it.
        add(Pass::OobeSystem, SHELL_SETUP, &["TimeZone"], Value::Name(zone.clone()), "time-zone");
    }
    if wishes.quiet && !about.is_nano() {
        for (path, value) in quiet(about) {
            add(Pass::OobeSystem, SHELL_SETUP, path, Value::Name((*value).to_owned()), "quiet");
        }
    }
    if let Some(password) = &wishes.administrator_password {
        let path = &["UserAccounts", "AdministratorPassword"];
        add(Pass::OobeSystem, SHELL_SETUP, path, Value::Password(password), "admin-password-file");
    }
    for account in &wishes.accounts {
        let option = format!("[[account]] {}", account.name);
        let path = &["UserAccounts", "LocalAccounts", "LocalAccount"];
        add(Pass::OobeSystem, SHELL_SETUP, path, Value::Account(account), &option);
    }
    settings
}

/// Answers to the pages between the first boot and the first logon. `HideLocalAccountScreen` is for servers only, by its
/// description; the screens of online accounts and wireless networks are of Windows 8 and later.
fn quiet(about: &About) -> Vec<(&'static [&'static str], &'static str)> {
    let mut pages: Vec<(&'static [&'static str], &'static str)> = vec![(&["OOBE", "HideEULAPage"], "true")];
    if about.is_client() {
        pages.push((&["OOBE", "HideOEMRegistrationScreen"], "true"));
        if about.build >= 9200 || about.build == 0 {
            pages.push((&["OOBE", "HideOnlineAccountScreens"], "true"));
        }
        pages.push((&["OOBE", "HideWirelessSetupInOOBE"], "true"));
    } else {
        pages.push((&["OOBE", "HideLocalAccountScreen"], "true"));
    }
    pages.push((&["OOBE", "ProtectYourPC"], "3"));
    pages
}

/// An answer file that says nothing.
fn empty() -> Document {
    let mut root = Element::new("unattend");
    root.attributes =
        vec![("xmlns".to_owned(), UNATTEND.to_owned()), ("xmlns:wcm".to_owned(), WCM.to_owned())];
    let comment = " Written by wimforge. Windows reads this file at its first boot. ";
    Document { before: vec![Node::Comment(comment.to_owned())], root, after: Vec::new() }
}

fn check_root(name: &str, document: &Document) -> Result<()> {
    let root = &document.root;
    let declaration = match root.prefix() {
        "" => "xmlns".to_owned(),
        prefix => format!("xmlns:{prefix}"),
    };
    if root.local_name() == "unattend" && root.attribute(&declaration) == Some(UNATTEND) {
        return Ok(());
    }
    let reason = format!("the root element is another, expected <unattend xmlns=\"{UNATTEND}\">");
    Err(Error::Malformed { what: name.to_owned(), offset: 0, reason })
}

/// What a user should know of an answer file.
fn notes(name: &str, document: &Document, about: &About) -> Vec<String> {
    let mut notes = Vec::new();
    let architecture = about.architecture.name();
    let settings = || document.root.elements().filter(|element| element.local_name() == "settings");
    let mut components =
        settings().flat_map(Element::elements).filter(|e| e.local_name() == "component").peekable();
    if components.peek().is_some()
        && !components.any(|one| is_name(one.attribute("processorArchitecture"), architecture))
    {
        notes.push(format!("{name} has no component for {architecture}: Windows will heed none of it"));
    }
    for pass in ["windowsPE", "offlineServicing"] {
        let has = |settings: &Element| {
            is_name(settings.attribute("pass"), pass)
                && settings
                    .elements()
                    .any(|one| is_name(one.attribute("processorArchitecture"), architecture))
        };
        if settings().any(has) {
            notes.push(format!(
                "{name}: the pass {pass} is for Setup or DISM; an image that is installed skips it"
            ));
        }
    }
    notes
}

fn is_name(attribute: Option<&str>, name: &str) -> bool {
    attribute.is_some_and(|value| value.trim().eq_ignore_ascii_case(name))
}

/// Whether an element or one below it is so. Trees are no deeper than the parser lets them be.
fn any(element: &Element, test: &dyn Fn(&Element) -> bool) -> bool {
    test(element) || element.elements().any(|child| any(child, test))
}

#[cfg(test)]
mod tests;
