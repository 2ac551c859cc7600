//! Recipes as files: every option of a build by its name, in TOML.
//!
//! ```toml
//! source = "server.iso"        # paths are relative to the recipe
//! nano = true
//! image = 1
//! output = "nano.vmdk"
//! computer-name = "nano1"
//! admin-password-file = "password.txt"
//! preset = ["winrm-https"]
//!
//! [[network]]
//! addresses = ["192.168.1.10/24"]
//! gateways = ["192.168.1.1"]
//! ```
//!
//! A recipe, the presets that it names and the command line are the same thing three times: a [`RecipeFile`], of which any
//! part may be missing. One is laid over the other, presets first, the command line last: what both have once is taken from
//! the upper one, lists are joined. Only [`resolve`](RecipeFile::resolve) makes a [`Recipe`](super::Recipe) of it, and reads passwords.

use std::path::{Path, PathBuf};

use firstboot::{Account, FirewallRule, Interface};
use serde::{Deserialize, Serialize};

use super::spelled::{Size, Spelled};
use super::wishes::{CopyChoice, RegistryValue};
use super::{
    Algorithm, BcdDevice, BootCode, BootMenu, Format, ImageChoice, Layout, Level, Platform, presets,
};
use crate::registry::HiveChoice;
use crate::{Error, Result};

/// The largest recipe that is read, in bytes.
pub const MAX_RECIPE: u64 = 4 << 20;
/// How deep presets may name presets.
const MAX_PRESET_DEPTH: u32 = 32;
/// The largest answer file, script and list of keys, in bytes.
pub(super) const MAX_TEXT: u64 = 16 << 20;

/// A recipe, or a part of one, as it was written. Its keys are the names of the options of `wimforge build`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the keys are the command line's options, which say what they are")]
pub struct RecipeFile {
    pub source: Option<PathBuf>,
    pub wim: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub nano: bool,
    pub image: Option<Spelled<ImageChoice>>,
    pub output: Option<PathBuf>,
    pub format: Option<Spelled<Format>>,
    pub r#for: Option<Spelled<Platform>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preset: Vec<String>,

    pub layout: Option<Spelled<Layout>>,
    pub size: Option<Spelled<Size>>,
    pub system_size: Option<Spelled<Size>>,
    pub recovery_size: Option<Spelled<Size>>,
    pub cluster_size: Option<Spelled<Size>>,
    #[serde(skip_serializing_if = "is_false")]
    pub short_names: bool,
    /// `true`, or how.
    pub compact_os: Option<CompactOs>,
    #[serde(skip_serializing_if = "is_false")]
    pub assume_wof: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub no_verify_source: bool,
    pub level: Option<Spelled<Level>>,
    pub seed: Option<String>,
    pub machine_name: Option<String>,
    pub machine_memory: Option<Spelled<Size>>,
    pub machine_cpus: Option<u32>,
    pub catalog: Option<String>,
    pub box_version: Option<String>,

    #[serde(skip_serializing_if = "is_false")]
    pub no_boot_files: bool,
    pub boot_code: Option<Spelled<BootCode>>,
    pub bcd_device: Option<Spelled<BcdDevice>>,
    #[serde(skip_serializing_if = "is_false")]
    pub bootex: bool,
    pub boot_timeout: Option<u32>,
    pub boot_menu: Option<Spelled<BootMenu>>,
    pub ems: Option<Spelled<bcd::Ems>>,
    pub debug: Option<Spelled<bcd::Debug>>,
    #[serde(skip_serializing_if = "is_false")]
    pub test_signing: bool,

    pub computer_name: Option<String>,
    pub admin_password_file: Option<PathBuf>,
    pub time_zone: Option<String>,
    pub locale: Option<String>,
    pub ui_language: Option<String>,
    pub input_locale: Option<String>,
    pub system_locale: Option<String>,
    pub user_locale: Option<String>,
    pub owner: Option<String>,
    pub organization: Option<String>,
    /// Not printed: it may be worth money.
    #[serde(skip_serializing)]
    pub product_key: Option<String>,
    pub domain_blob: Option<PathBuf>,
    #[serde(skip_serializing_if = "is_false")]
    pub quiet_setup: bool,
    pub unattend: Option<PathBuf>,
    pub setup_complete: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_boot: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feature: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub grow: bool,

    #[serde(skip_serializing_if = "is_false")]
    pub remote_management: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub remote_administrators: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub winrm: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub winrm_basic: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub winrm_unencrypted: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub winrm_public: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub winrm_https: bool,
    pub winrm_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub winrm_name: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub rdp: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub private_network: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_key: Vec<PathBuf>,

    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub driver: Vec<PathBuf>,
    #[serde(skip_serializing_if = "is_false")]
    pub allow_unsigned: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub package: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub host: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub guest: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub oem_drivers: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<Spelled<CopyChoice>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hive: Vec<Spelled<HiveChoice>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reg: Vec<PathBuf>,

    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account: Vec<Account>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<Interface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub firewall: Vec<FirewallRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registry: Vec<RegistryValue>,
}

/// `compact-os`: whether, or how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum CompactOs {
    /// `true`: however the source is compressed.
    Whether(bool),
    /// This way.
    How(Spelled<Algorithm>),
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Reads what holds a secret: `-` is the caller's to understand.
pub type ReadSecret<'a> = dyn FnMut(&Path) -> Result<Vec<u8>> + 'a;

impl RecipeFile {
    /// Reads a recipe. Its paths are made relative to it.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::RecipeFile`] names the line, and for a key that is unknown the nearest that is not.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, MAX_RECIPE)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::RecipeFile {
            path: path.to_owned(),
            line: 1,
            problem: "is not UTF-8".to_owned(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(&text, path)?.relative_to(folder))
    }

    /// Parses a recipe. `path` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() as u32;
            Error::RecipeFile { path: path.to_owned(), line, problem: explain(error.message()) }
        })
    }

    /// A table of a recipe in one line: `key=value,key=value`. The keys in `lists` may be given several times, those in
    /// `flags` are `true` or `false`. A password cannot be given this way: command lines are no place for one.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn table<T: for<'de> Deserialize<'de>>(
        text: &str,
        lists: &[&str],
        flags: &[&str],
    ) -> Result<T, String> {
        let mut table = toml::Table::new();
        for part in text.split(',') {
            let (key, value) =
                part.split_once('=').ok_or_else(|| "expected key=value, with commas between".to_owned())?;
            if key == "password" {
                return Err(
                    "a password on the command line can be seen by everybody; use password-file".to_owned()
                );
            }
            let text = || toml::Value::String(value.to_owned());
            if lists.contains(&key) {
                let list = table.entry(key).or_insert_with(|| toml::Value::Array(Vec::new()));
                list.as_array_mut().expect("only lists are put there").push(text());
                continue;
            }
            let value = match flags.contains(&key) {
                true => value.parse().map_err(|_| format!("{key} is true or false, not {value:?}"))?,
                false => text(),
            };
            if table.insert(key.to_owned(), value).is_some() {
                return Err(format!("{key} is given twice"));
            }
        }
        table.try_into().map_err(|error: toml::de::Error| explain(error.message()))
    }

    /// The names of all keys.
    pub fn keys() -> &'static [&'static str] {
        super::keys::of::<Self>()
    }

    /// The same with paths that begin where `folder` is. `-` stays standard input.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        if folder.as_os_str().is_empty() {
            return self;
        }
        let single = [
            &mut self.source,
            &mut self.output,
            &mut self.admin_password_file,
            &mut self.domain_blob,
            &mut self.unattend,
            &mut self.setup_complete,
            &mut self.winrm_key,
        ];
        let lists = [&mut self.ssh_key, &mut self.driver, &mut self.package, &mut self.reg];
        let passwords = self.account.iter_mut().filter_map(|account| account.password_file.as_mut());
        let paths = single.into_iter().flatten().chain(lists.into_iter().flatten()).chain(passwords);
        for path in paths.chain(self.copy.iter_mut().map(|copy| &mut copy.value.from)) {
            place(path, folder);
        }
        for hive in &mut self.hive {
            place(&mut hive.value.file, folder);
        }
        for preset in self.preset.iter_mut().filter(|preset| presets::is_path(preset)) {
            *preset = folder.join(&*preset).to_string_lossy().into_owned();
        }
        self.respell()
    }

    /// Texts that show paths, after these were changed.
    fn respell(mut self) -> Self {
        for copy in &mut self.copy {
            let CopyChoice { from, to } = &copy.value;
            copy.spell(format!("{}={to}", from.display()));
        }
        for hive in &mut self.hive {
            let HiveChoice { key, file } = &hive.value;
            hive.spell(format!("{key}={}", file.display()));
        }
        self
    }

    /// Lays `upper` over it: what both have once is taken from `upper`, lists are joined, this one's first.
    #[must_use]
    pub fn overlaid(self, upper: Self) -> Self {
        macro_rules! join {
            (once: $($once:ident)*; flags: $($flag:ident)*; lists: $($list:ident)*;) => {
                Self {
                    $($once: upper.$once.or(self.$once),)*
                    $($flag: upper.$flag || self.$flag,)*
                    $($list: [self.$list, upper.$list].concat(),)*
                }
            };
        }
        join! {
            once: source wim image output format r#for layout size system_size recovery_size cluster_size compact_os level
                seed boot_code bcd_device boot_timeout boot_menu ems debug computer_name admin_password_file time_zone
                locale ui_language input_locale system_locale user_locale owner organization product_key domain_blob
                unattend setup_complete winrm_key machine_name machine_memory machine_cpus catalog box_version;
            flags: nano short_names assume_wof no_verify_source no_boot_files bootex test_signing quiet_setup grow
                remote_management remote_administrators winrm winrm_basic winrm_unencrypted winrm_public winrm_https
                rdp private_network allow_unsigned host guest oem_drivers;
            lists: preset first_boot feature winrm_name ssh_key driver package packages copy hive reg account network
                firewall registry;
        }
    }

    /// The same with its presets below it, none of which is left to be looked up.
    ///
    /// # Errors
    /// [`Error::Recipe`] for a preset that does not exist; those of [`read`](Self::read).
    pub fn with_presets(self) -> Result<Self> {
        self.over_presets(&mut Vec::new(), 0)
    }

    /// The same; `known` are those that were taken already, `depth` is how many name one another to here.
    fn over_presets(mut self, known: &mut Vec<PathBuf>, depth: u32) -> Result<Self> {
        let mut below = Self::default();
        for name in std::mem::take(&mut self.preset) {
            let which = presets::identity(&name);
            if known.contains(&which) {
                continue;
            }
            if depth == MAX_PRESET_DEPTH {
                let problem =
                    format!("preset {name:?}: more than {MAX_PRESET_DEPTH} presets name one another");
                return Err(Error::Recipe(problem));
            }
            known.push(which);
            below = below.overlaid(presets::find(&name)?.over_presets(known, depth + 1)?);
        }
        Ok(below.overlaid(self))
    }

    /// As TOML, with nothing secret in it: what `--dry-run` prints.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

fn place(path: &mut PathBuf, folder: &Path) {
    if path.as_os_str() != "-" {
        *path = folder.join(&*path);
    }
}

/// Reads a file that is not larger than `limit`.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    use std::io::Read;
    let wrong = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > limit {
        let what = format!("is larger than {limit} bytes, the most that such a file may have");
        return Err(Error::Unsupported { path: path.to_owned(), what });
    }
    Ok(bytes)
}

/// Reads a secret, or what may hold one, from a file.
///
/// # Errors
/// [`Error::Read`], [`Error::Unsupported`] for what is too large.
pub fn read_secret(path: &Path) -> Result<Vec<u8>> {
    read_limited(path, MAX_TEXT)
}

/// The parser's words, with the nearest key for one that is unknown.
fn explain(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(unknown)) = (message.starts_with("unknown field `"), quoted.next()) else {
        return message.trim_end().to_owned();
    };
    match super::nearest(unknown, quoted) {
        Some(known) => format!("unknown key {unknown:?}; did you mean {known:?}?"),
        None => format!("unknown key {unknown:?}"),
    }
}

#[cfg(test)]
mod tests {
    use firstboot::Secret;

    use super::super::{HttpsChoice, Recipe};
    use super::*;

    fn parse(text: &str) -> Result<RecipeFile> {
        RecipeFile::parse(text, Path::new("r.toml"))
    }

    fn resolve(text: &str) -> Result<Recipe> {
        parse(&format!("source='a.wim'\noutput='a.vhd'\n{text}"))?
            .with_presets()?
            .resolve(&mut |path| Ok(format!("{}-password\n", path.display()).into_bytes()))
    }

    #[test]
    fn the_examples_are_recipes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let file = RecipeFile::read(&path).unwrap().with_presets().unwrap();
                let recipe = file.resolve(&mut |_| Ok(b"Pass-word1".to_vec())).unwrap();
                recipe.format().unwrap();
                seen += 1;
            }
        }
        assert!(seen >= 4);
    }

    #[test]
    fn numbers_and_texts_mean_the_same() {
        let a = resolve("image=1\nsize='40GiB'\nems=1").unwrap();
        let b = resolve("image='1'\nsize=42949672960\nems='1,115200'").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.image, Some(ImageChoice::Index(1)));
        assert_eq!(a.size, Some(40 << 30));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        for (text, problem) in [
            (
                "layout='gpt'\ncomputer-nam='x'",
                "r.toml:2: unknown key \"computer-nam\"; did you mean \"computer-name\"?",
            ),
            ("zzz=1", "r.toml:1: unknown key \"zzz\""),
            (
                "\n\n[[account]]\nname='a'\npasword='b'",
                "r.toml:5: unknown key \"pasword\"; did you mean \"password\"?",
            ),
            ("[[registry]]\nkey='a'\nvalu=1", "r.toml:3: unknown key \"valu\"; did you mean \"value\"?"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [("a", 1), ("image=1\nsize='40GB'", 2), ("\nlayout='x'", 2), ("nano='x'", 1)] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("r.toml:{line}: ")), "{error}");
        }
    }

    #[test]
    fn keys_are_all_of_them() {
        let keys = RecipeFile::keys();
        for key in ["source", "admin-password-file", "registry", "copy"] {
            assert!(keys.contains(&key), "{key}");
        }
        assert!(keys.len() > 60);
    }

    #[test]
    fn the_upper_one_wins_and_lists_are_joined() {
        let lower = parse("size='1G'\nlayout='gpt'\nreg=['a']\nrdp=true").unwrap();
        let upper = parse("size='2G'\nreg=['b']").unwrap();
        let both = lower.overlaid(upper);
        assert_eq!(both, parse("size='2G'\nlayout='gpt'\nreg=['a','b']\nrdp=true").unwrap());
    }

    #[test]
    fn paths_are_relative_to_the_recipe() {
        let text = "source='a.iso'\noutput='/x/o.vhd'\nadmin-password-file='-'\ndriver=['d']\ncopy=['s=\\d']\n\
                    hive=['SOFTWARE=h']\n[[account]]\nname='a'\npassword-file='p'";
        let file = parse(text).unwrap().relative_to(Path::new("dir/sub"));
        assert_eq!(file.source.as_deref(), Some(Path::new("dir/sub/a.iso")));
        assert_eq!(file.output.as_deref(), Some(Path::new("/x/o.vhd")));
        assert_eq!(file.admin_password_file.as_deref(), Some(Path::new("-")));
        assert_eq!(file.copy[0].value.from, Path::new("dir/sub/s"));
        assert_eq!(file.copy[0].to_string(), "dir/sub/s=\\d");
        assert_eq!(file.account[0].password_file.as_deref(), Some(Path::new("dir/sub/p")));
        // What is printed means the same.
        let again = parse(&file.to_toml()).unwrap();
        assert_eq!(again, file);
    }

    #[test]
    fn presets_that_name_each_other_are_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("a.toml", "preset=['./b.toml']\nreg=['a']\nowner='a'");
        put("b.toml", "preset=['./a.toml', '././b.toml']\nreg=['b']\nowner='b'\nseed='b'");
        let file = RecipeFile {
            preset: vec![folder.path().join("a.toml").display().to_string()],
            ..RecipeFile::default()
        };
        let both = file.with_presets().unwrap();
        let names: Vec<_> = both.reg.iter().map(|path| path.file_name().unwrap()).collect();
        // What a preset names lies below it.
        assert_eq!(names, ["b", "a"]);
        assert_eq!((both.owner.as_deref(), both.seed.as_deref()), (Some("a"), Some("b")));
    }

    #[test]
    fn the_certificate_lies_beside_the_output_or_the_key() {
        let https = |text: &str| {
            let file = parse(&format!("source='a.wim'\nwinrm-https=true\n{text}")).unwrap();
            let recipe = file.resolve(&mut |_| Ok(Vec::new()))?;
            let HttpsChoice { key, certificate, .. } = recipe.customize.https.unwrap();
            Ok::<_, Error>((key.display().to_string(), certificate.display().to_string()))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(https("output='x/a.vhd'").unwrap(), pair("x/a.winrm.key", "x/a.winrm.pem"));
        assert_eq!(
            https("output='x/a.vhd'\nwinrm-key='k/my.key'").unwrap(),
            pair("k/my.key", "x/a.winrm.pem")
        );
        assert_eq!(https("output='-'\nwinrm-key='k/my.key'").unwrap(), pair("k/my.key", "k/my.pem"));
        assert!(https("output='-'").unwrap_err().to_string().contains("--winrm-key"));
    }

    #[test]
    fn passwords_come_from_files_and_are_not_printed() {
        let recipe =
            resolve("admin-password-file='p'\n[[account]]\nname='a'\npassword='in the clear'").unwrap();
        let wishes = &recipe.customize.first_boot;
        assert_eq!(wishes.administrator_password, Some(Secret::new("p-password")));
        assert!(!format!("{recipe:?}").contains("clear"));
        let file = parse("[[account]]\nname='a'\npassword='in the clear'").unwrap();
        assert!(!file.to_toml().contains("clear"));
        assert!(resolve("[[account]]\nname='a'\npassword='x'\npassword-file='y'").is_err());
    }
}
