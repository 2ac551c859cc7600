use serde::Serialize;

/// The machine that a package describes, as far as anybody said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MachineWish {
    /// Its name; `None` for that of the output.
    pub name: Option<String>,
    /// Bytes of memory; `None` for 2 GiB.
    pub memory: Option<u64>,
    /// Processors; `None` for two.
    pub cpus: Option<u32>,
    /// Where a Vagrant box will be found: a catalog for it is written beside the box.
    pub catalog: Option<String>,
    /// The box's version in that catalog; `None` for 1.0.0.
    pub version: Option<String>,
    /// What Windows it runs; `None` where a build knows better, or nobody knows.
    #[serde(skip)]
    pub guest: Option<appliance::Guest>,
    /// How Vagrant talks to it.
    #[serde(skip)]
    pub remote: appliance::Remote,
}

impl MachineWish {
    /// Whether anything was said that only packages can say; the name of what, as an option.
    pub(crate) fn said(&self) -> Option<&'static str> {
        [
            ("machine-name", self.name.is_some()),
            ("machine-memory", self.memory.is_some()),
            ("machine-cpus", self.cpus.is_some()),
            ("catalog", self.catalog.is_some()),
            ("box-version", self.version.is_some()),
        ]
        .into_iter()
        .find_map(|(option, said)| said.then_some(option))
    }
}
