//! A package as it lies in a folder: its INF file compiled, its catalog checked, its files looked at.

use std::collections::BTreeMap;

use disk::FileTime;

use crate::catalog::trust::Trusted;
use crate::catalog::{Anchor, Catalog, File, Verdict, pe};
use crate::compile::{CompiledDriver, Inbox, version_line};
use crate::find::FileTree;
use crate::inf::{Inf, same};
use crate::plan::{Plan, Reflect, Refused, Request, Signer, package_name, plan};
use crate::target::Target;
use crate::{Error, Folders, ImageState, Result, compile};

/// A driver package for a target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Package {
    /// The folder of its INF file in the tree.
    pub folder: String,
    /// What the INF file asks for.
    pub driver: CompiledDriver,
    /// The folders that it was compiled with; its own in the driver store is one.
    pub folders: Folders,
    /// What the catalog says of its files.
    pub verdict: Verdict,
    /// The submission that Microsoft signed, if the catalog says.
    pub submission: Option<String>,
    /// Where its files lie in the tree, by their paths from the folder with backslashes; the INF file and the catalog
    /// are among them. Files that no list copies need not be there.
    pub files: BTreeMap<String, String>,
    /// Why Windows would not install or load it, whoever signed it. Each is a sentence without its stop.
    pub problems: Vec<String>,
    /// The same of its catalog: Windows would not accept the signature.
    pub catalog_problems: Vec<String>,
}

impl Package {
    /// Reads the package of an INF file.
    ///
    /// # Errors
    /// What [`Inf::parse`] and [`compile()`] return, and [`Error::Io`] for files that cannot be read. Files that are
    /// missing are [`problems`](Self::problems), and a catalog that cannot be read is a verdict.
    pub fn load(
        tree: &dyn FileTree,
        inf_path: &str,
        target: &Target,
        inbox: &dyn Inbox,
        trusted: &Trusted,
    ) -> Result<Self> {
        Self::load_with(tree, inf_path, target, inbox, trusted, &[])
    }

    /// Reads the package of an INF file that names no catalog, as those in packages of Windows: of these catalogs of the
    /// tree the first is taken that covers the INF file, or else the first. One that the INF file names comes before.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        tree: &dyn FileTree,
        inf_path: &str,
        target: &Target,
        inbox: &dyn Inbox,
        trusted: &Trusted,
        catalogs: &[String],
    ) -> Result<Self> {
        let (folder, name) = inf_path.rsplit_once('/').unwrap_or(("", inf_path));
        let mut lookup = Lookup { tree, folder, listed: BTreeMap::new() };
        let inf_bytes = lookup.read(inf_path)?;
        let inf = Inf::parse(name, &inf_bytes)?;
        let (mut problems, mut catalog_problems) = (Vec::new(), Vec::new());
        let catalog_name = match version_line(&inf, target, "CatalogFile") {
            Some(line) => Some(inf.expand(target.language, line.field(0), &|_| None)?.text.into_owned()),
            None => None,
        };
        let catalog_name = catalog_name.filter(|name| !name.is_empty());
        let (catalog_name, catalog_path) = match catalog_name {
            Some(name) => {
                let path = lookup.path(&name)?;
                (Some(name), path)
            }
            None => match lookup.covering(catalogs, name, &inf_bytes)? {
                Some(path) => {
                    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                    (Some(format!("{stem}.cat")), Some(path))
                }
                None => (None, None),
            },
        };
        let catalog = match &catalog_path {
            Some(path) => Some(lookup.read(path)?),
            None => None,
        };
        if let (Some(name), None) = (&catalog_name, &catalog_path) {
            catalog_problems.push(format!("its catalog {name} is not there"));
        }
        let package = package_name(name, target, &inf_bytes, catalog.as_deref().unwrap_or_default());
        let folders = Folders::new(target, &package);
        let mut driver = compile(&inf, target, &folders, inbox)?;
        driver.version.catalog = driver.version.catalog.or_else(|| catalog_name.clone());

        let mut files = BTreeMap::from([(name.to_owned(), inf_path.to_owned())]);
        if let (Some(name), Some(path)) = (catalog_name, catalog_path) {
            files.insert(name, path);
        }
        let read = catalog.as_deref().map(Catalog::parse);
        let mut verdict = match &read {
            None => Verdict::Unsigned,
            Some(Ok(catalog)) => catalog.verdict(trusted)?,
            Some(Err(error)) => Verdict::BadSignature { reason: error.to_string() },
        };
        let read = read.and_then(Result::ok);
        let mut look_at = |path: &str, bytes: &[u8]| {
            // A file that is wrong says more than a signature that is: what happens is that files are changed.
            let signature_only = matches!(verdict, Verdict::Signed(_) | Verdict::BadSignature { .. });
            if let Some(wrong) =
                read.as_ref().filter(|_| signature_only).and_then(|it| it.wrong(&File { path, bytes }))
            {
                verdict = wrong;
            }
        };
        look_at(name, &inf_bytes);
        let copied = driver.copied_files();
        let mut all = copied.clone();
        all.extend(driver.source_files.iter().map(String::as_str));
        for path in all {
            if files.contains_key(path) {
                continue;
            }
            let Some(found) = lookup.path(path)? else {
                if copied.contains(path) {
                    problems.push(format!("its file {path} is not there"));
                }
                continue;
            };
            // One file at a time is in memory.
            let bytes = lookup.read(&found)?;
            look_at(path, &bytes);
            problems.extend(wrong_machine(path, &bytes, target));
            files.insert(path.to_owned(), found);
        }
        if read.as_ref().and_then(|catalog| catalog.is_for(target.major, target.minor)) == Some(false) {
            catalog_problems
                .push(format!("its catalog is not for Windows {}.{}", target.major, target.minor));
        }
        let submission =
            read.as_ref().and_then(|catalog| catalog.attribute("Submission ID")).map(str::to_owned);
        let folder = folder.to_owned();
        Ok(Self { folder, driver, folders, verdict, submission, files, problems, catalog_problems })
    }

    /// What is to be done to an image: [`plan()`] without the files that are not there. `origin` is where the package came
    /// from, as text for the database; `time` is when.
    ///
    /// # Errors
    /// [`Refused`], as [`plan()`].
    pub fn plan(
        &self,
        target: &Target,
        image: &ImageState,
        reflect: Reflect,
        origin: &str,
        time: FileTime,
    ) -> Result<Plan, Refused> {
        let request = Request {
            target,
            folders: &self.folders,
            image,
            reflect,
            signer: self.signer(),
            submission: self.submission.as_deref(),
            origin,
            time,
        };
        let mut plan = plan(&self.driver, &request)?;
        plan.files.retain(|file| self.files.contains_key(&file.source));
        Ok(plan)
    }

    /// Who signed it, for the driver database. A name alone is worth what anybody's is: only a known key makes its owner
    /// Microsoft.
    pub fn signer(&self) -> Signer {
        match &self.verdict {
            Verdict::Signed(by) => match by.anchor {
                Anchor::Known(_) => Signer::of(Some(&by.subject)),
                Anchor::Unknown(_) => Signer { name: by.subject.clone(), score: Signer::AUTHENTICODE },
            },
            _ => Signer::of(None),
        }
    }
}

/// A kernel driver for another architecture does not load. Other programs may be there for 32-bit programs.
fn wrong_machine(path: &str, bytes: &[u8], target: &Target) -> Option<String> {
    if !path.to_ascii_lowercase().ends_with(".sys") || !pe::is_program(bytes) {
        return None;
    }
    let machine = pe::read(bytes).ok()?.machine;
    let wanted = target.architecture.machine();
    (machine != wanted).then(|| {
        format!(
            "its file {path} is for machine type {machine:#x}, and {} has {wanted:#x}",
            target.architecture
        )
    })
}

/// Finds files by names in any case, as Windows does.
struct Lookup<'t> {
    tree: &'t dyn FileTree,
    folder: &'t str,
    listed: BTreeMap<String, Vec<crate::find::Entry>>,
}

impl Lookup<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.tree.read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// The catalog that covers an INF file, or the first.
    fn covering(&self, catalogs: &[String], name: &str, inf: &[u8]) -> Result<Option<String>> {
        for path in catalogs {
            let bytes = self.read(path)?;
            let covers = |catalog: Catalog<'_>| catalog.wrong(&File { path: name, bytes: inf }).is_none();
            if Catalog::parse(&bytes).is_ok_and(covers) {
                return Ok(Some(path.clone()));
            }
        }
        Ok(catalogs.first().cloned())
    }

    /// Where a file lies in the tree, by its path from the package's folder; `None` when it is not there.
    fn path(&mut self, path: &str) -> Result<Option<String>> {
        let mut at = self.folder.to_owned();
        let mut names = path.split(['\\', '/']).filter(|name| !name.is_empty()).peekable();
        while let Some(name) = names.next() {
            if !self.listed.contains_key(&at) {
                let entries = self.tree.list(&at).map_err(|source| Error::Io { path: at.clone(), source })?;
                self.listed.insert(at.clone(), entries);
            }
            let is_folder = names.peek().is_some();
            let found =
                self.listed[&at].iter().find(|entry| entry.is_folder == is_folder && same(&entry.name, name));
            let Some(entry) = found else { return Ok(None) };
            let separator = if at.is_empty() { "" } else { "/" };
            at = format!("{at}{separator}{}", entry.name);
        }
        Ok(Some(at))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::find::Entry;
    use crate::plan::CATALOG_FOLDER;
    use crate::{Architecture, ProductType};

    /// A package of Windows: the catalogs lie at the top, the driver names none.
    struct Component;

    const INF: &[u8] = include_bytes!("../tests/data/disk.inf");

    impl FileTree for Component {
        fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
            let names: &[&str] =
                if folder == "amd64_disk.inf" { &["disk.inf"] } else { &["a.cat", "update.cat"] };
            Ok(names.iter().map(|name| Entry { name: (*name).to_owned(), is_folder: false }).collect())
        }

        fn read(&self, file: &str) -> io::Result<Vec<u8>> {
            match file {
                "a.cat" => Ok(b"no catalog".to_vec()),
                "update.cat" => Ok(include_bytes!("../tests/data/disk.cat").to_vec()),
                "amd64_disk.inf/disk.inf" => {
                    Ok(String::from_utf8_lossy(INF).replace("CatalogFile", "NoFile").into_bytes())
                }
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn catalogs(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_catalog_that_covers_it() {
        let lookup = Lookup { tree: &Component, folder: "", listed: BTreeMap::new() };
        let both = catalogs(&["a.cat", "update.cat"]);
        assert_eq!(lookup.covering(&both, "disk.inf", INF).unwrap().as_deref(), Some("update.cat"));
        assert_eq!(lookup.covering(&both, "other.inf", b"x").unwrap().as_deref(), Some("a.cat"));
        assert_eq!(lookup.covering(&[], "disk.inf", INF).unwrap(), None);
        assert!(lookup.covering(&catalogs(&["none.cat"]), "disk.inf", INF).is_err());
    }

    /// It is put where those of other packages are, under the name of the INF file.
    #[test]
    fn a_catalog_from_elsewhere() {
        let target = Target::new(Architecture::Amd64, 14393, ProductType::Server);
        let load = |names: &[&str]| {
            let (inf, trusted) = ("amd64_disk.inf/disk.inf", Trusted::microsoft());
            Package::load_with(&Component, inf, &target, &(), &trusted, &catalogs(names)).unwrap()
        };
        let package = load(&["update.cat", "a.cat"]);
        assert_eq!(package.files["disk.cat"], "update.cat");
        assert_eq!(package.driver.version.catalog.as_deref(), Some("disk.cat"));
        // This test's INF file is not the one that was signed.
        assert!(
            matches!(&package.verdict, Verdict::Mismatch { file, .. } if file == "disk.inf"),
            "{}",
            package.verdict
        );
        let image = ImageState::default();
        let plan = package.plan(&target, &image, Reflect::Nothing, "", FileTime(0)).unwrap();
        let catalog = format!("{CATALOG_FOLDER}\\oem0.cat");
        assert!(plan.files.iter().any(|file| file.destination == catalog && file.source == "disk.cat"));
        assert!(matches!(load(&["a.cat"]).verdict, Verdict::BadSignature { .. }));
        assert_eq!(load(&[]).verdict, Verdict::Unsigned);
    }
}
