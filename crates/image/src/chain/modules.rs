//! Programs and libraries that the loader loads, each with all it is linked with.
//!
//! A missing library is as fatal as a missing driver, and harder to see: `storport.sys` is nobody's service. Names that
//! begin with `api-ms-` or `ext-ms-` are no files; the API set schema says what is meant.

use std::collections::{BTreeMap, BTreeSet};

use super::hive_file::{Wof, unreadable};
use super::manager::program;
use super::pe::{Machine, Version};
use super::volume::Volume;

/// Modules that are looked at. Windows starts with some 250.
const MAX_MODULES: usize = 4096;
/// Links between modules that are followed: Windows has some 5,000 when each driver's are counted anew.
const MAX_LINKS: u32 = 200_000;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Missing,
    /// It is there, and boot programs cannot read it.
    Unreadable,
    /// It is no program, or one for another machine.
    Invalid,
}

/// Why a module does not load.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    pub(super) kind: Trouble,
    pub(super) text: String,
}

impl Faulty {
    fn new(kind: Trouble, text: String) -> Self {
        Self { kind, text }
    }
}

/// A module that was looked at.
#[derive(Debug)]
struct Module {
    fault: Option<Faulty>,
    machine: Option<Machine>,
    version: Option<Version>,
    imports: Vec<String>,
}

/// The modules of one Windows.
pub(super) struct Modules<'v> {
    volume: &'v Volume,
    /// The directory of Windows, as `\Windows`.
    root: String,
    wof: Wof,
    /// What all of them have to run on, once a kernel was seen.
    machine: Option<Machine>,
    /// By path in lower case.
    known: BTreeMap<String, Module>,
    /// Where modules lie, by name in lower case.
    paths: BTreeMap<String, String>,
    /// Links that may still be followed.
    left: u32,
}

impl<'v> Modules<'v> {
    pub(super) fn new(volume: &'v Volume, root: &str, wof: Wof) -> Self {
        Self {
            volume,
            root: root.trim_end_matches('\\').to_owned(),
            wof,
            machine: None,
            known: BTreeMap::new(),
            paths: BTreeMap::new(),
            left: MAX_LINKS,
        }
    }

    /// What is wrong with a file of System32 and with everything that it is linked with.
    pub(super) fn all_of(&mut self, name: &str) -> Vec<Faulty> {
        let path = self.path_of(name);
        self.all_at(&path)
    }

    /// The same, by path from the directory of Windows.
    pub(super) fn all_at(&mut self, path: &str) -> Vec<Faulty> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![(path.to_owned(), None::<String>)];
        while let Some((path, wanted_by)) = waiting.pop() {
            let key = path.to_ascii_lowercase();
            if !seen.insert(key.clone()) || !self.look_at(&path) {
                continue;
            }
            let module = &self.known[&key];
            if let Some(fault) = &module.fault {
                let needed = wanted_by.map_or_else(String::new, |by| format!(", which {by} is linked with"));
                faults.push(Faulty::new(fault.kind, format!("{}{needed}", fault.text)));
            }
            let own = path.rsplit('\\').next().unwrap_or_default().to_owned();
            let imports: Vec<String> = module.imports.clone();
            for import in imports.into_iter().rev() {
                // What is left out on a disk made to be followed for ever is no fault that is missed on another.
                let Some(left) = self.left.checked_sub(1) else { break };
                self.left = left;
                waiting.push((self.path_of(&import), Some(own.clone())));
            }
        }
        faults
    }

    /// What is wrong with a file that is no program.
    pub(super) fn plain(&self, path: &str) -> Option<Faulty> {
        self.open(path).err()
    }

    /// The version of a file of System32 that was looked at.
    pub(super) fn version(&mut self, name: &str) -> Option<Version> {
        let path = self.path_of(name).to_ascii_lowercase();
        self.known.get(&path)?.version
    }

    /// What a file of System32 that was looked at runs on.
    pub(super) fn machine(&mut self, name: &str) -> Option<Machine> {
        let path = self.path_of(name).to_ascii_lowercase();
        self.known.get(&path)?.machine
    }

    /// How many were looked at.
    pub(super) fn loaded(&self) -> usize {
        self.known.len()
    }

    /// Where the loader finds a module: in System32 or with the drivers; where it should be, if it is in neither.
    fn path_of(&mut self, name: &str) -> String {
        let key = name.to_ascii_lowercase();
        if let Some(path) = self.paths.get(&key) {
            return path.clone();
        }
        let (own, drivers) = (format!("System32\\{name}"), format!("System32\\drivers\\{name}"));
        let (first, second) = if key.ends_with(".sys") { (drivers, own) } else { (own, drivers) };
        let is_there = |path: &str| self.volume.has(&format!("{}\\{path}", self.root));
        let path = if is_there(&first) || !is_there(&second) { first } else { second };
        // As many as there are imports in known modules.
        self.paths.insert(key, path.clone());
        path
    }

    fn open(&self, path: &str) -> Result<super::volume::Found, Faulty> {
        let whole = format!("{}\\{path}", self.root);
        let file = match self.volume.find(&whole) {
            Ok(Some(file)) if !file.directory => file,
            Ok(_) => return Err(Faulty::new(Trouble::Missing, format!("no {whole}"))),
            Err(why) => return Err(Faulty::new(Trouble::Unreadable, format!("{whole}: {why}"))),
        };
        match unreadable(&file.storage, self.wof) {
            Some(why) => Err(Faulty::new(Trouble::Unreadable, format!("{whole} {why}"))),
            None => Ok(file),
        }
    }

    /// Whether it could be looked at within the limit.
    fn look_at(&mut self, path: &str) -> bool {
        let key = path.to_ascii_lowercase();
        if self.known.contains_key(&key) {
            return true;
        }
        if self.known.len() >= MAX_MODULES {
            return false;
        }
        let mut module = Module { fault: None, machine: None, version: None, imports: Vec::new() };
        match self.open(path) {
            Err(fault) => module.fault = Some(fault),
            Ok(file) => match program(self.volume, &file) {
                Ok(program) => {
                    module.machine = Some(program.machine);
                    module.version = program.version;
                    let is_file =
                        |name: &String| !name.starts_with("api-ms-") && !name.starts_with("ext-ms-");
                    module.imports = program.imports.into_iter().filter(is_file).collect();
                    let machine = *self.machine.get_or_insert(program.machine);
                    if machine != program.machine {
                        let text = format!(
                            "{}\\{path} is for {}, Windows for {machine}",
                            self.root, program.machine
                        );
                        module.fault = Some(Faulty::new(Trouble::Invalid, text));
                        module.imports.clear();
                    }
                }
                Err(why) => {
                    module.fault =
                        Some(Faulty::new(Trouble::Invalid, format!("{}\\{path} {why}", self.root)));
                }
            },
        }
        self.known.insert(key, module);
        true
    }
}
