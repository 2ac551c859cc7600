//! Where a walk through directories is.
//!
//! With a path for each directory that waits, a walk would take memory by depth times breadth, and a volume of a few MiB
//! could ask for as many GiB. So each has its own name, and which one is above it.

/// The directories, and files, that a walk has met.
#[derive(Debug)]
pub(super) struct Trail(Vec<(Step, Box<str>)>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step(u32);

impl Step {
    /// Where every walk begins.
    pub(super) const ROOT: Self = Self(0);
}

impl Trail {
    /// The root alone.
    pub(super) fn new() -> Self {
        Self(vec![(Step::ROOT, Box::default())])
    }

    /// Adds a name in a directory.
    pub(super) fn add(&mut self, above: Step, name: &[u16]) -> Step {
        let step = Step(self.0.len() as u32);
        self.0.push((above, String::from_utf16_lossy(name).into()));
        step
    }

    /// The path, with a slash before each name; the root's is empty.
    pub(super) fn path(&self, mut step: Step) -> String {
        let mut names = Vec::new();
        while step != Step::ROOT {
            let (above, name) = &self.0[step.0 as usize];
            names.push(&**name);
            step = *above;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }

    /// The path of a name in a directory.
    pub(super) fn below(&self, directory: Step, name: &[u16]) -> String {
        format!("{}/{}", self.path(directory), String::from_utf16_lossy(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_the_root() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        let mut trail = Trail::new();
        let windows = trail.add(Step::ROOT, &units("Windows"));
        let users = trail.add(Step::ROOT, &units("Users"));
        let system = trail.add(windows, &units("System32"));
        assert_eq!(trail.path(Step::ROOT), "");
        assert_eq!((trail.path(system), trail.path(users)), ("/Windows/System32".into(), "/Users".into()));
        assert_eq!(trail.below(system, &units("a")), "/Windows/System32/a");
        assert_eq!(trail.below(Step::ROOT, &units("a")), "/a");
    }
}
