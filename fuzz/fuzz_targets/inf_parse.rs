//! Any bytes are an INF file or are refused with a place in them. What compiles, also when it includes itself, can be
//! planned, and what is planned makes a driver database that is like those of Windows.
#![no_main]

use driver::plan::{HiveName, Reflect, Request, Signer};
use driver::{Architecture, Error, Folders, ImageState, Inbox, Inf, ProductType, Target, compile, plan};
use hive::{FileTime, Hive, Kind};
use libfuzzer_sys::fuzz_target;

/// An image whose INF files are all the same.
struct Same<'b>(&'b [u8]);

impl Inbox for Same<'_> {
    fn inf(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok((!name.starts_with('x')).then(|| self.0.to_vec()))
    }
}

fuzz_target!(|data: &[u8]| {
    let inf = match Inf::parse("test.inf", data) {
        Ok(inf) => inf,
        Err(Error::Inf { place, .. }) => {
            assert!(place.line as usize <= data.len() + 1);
            return;
        }
        Err(_) => return,
    };
    let targets = [
        Target::new(Architecture::Amd64, 14393, ProductType::Server),
        Target::new(Architecture::Arm64, 26100, ProductType::Workstation),
        Target::new(Architecture::X86, 7601, ProductType::Workstation),
    ];
    for target in targets {
        let folders = Folders::new(&target, &format!("test.inf_{}_0123456789abcdef", target.architecture));
        let driver = match compile(&inf, &target, &folders, &Same(data)) {
            Ok(driver) => driver,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        for device in &driver.devices {
            assert!(device.configuration < driver.configurations.len());
        }
        let image = ImageState { control_set: "ControlSet001".to_owned(), ..ImageState::default() };
        let request = Request {
            target: &target,
            folders: &folders,
            image: &image,
            reflect: Reflect::All,
            signer: Signer::of(None),
            submission: Some("1"),
            origin: "",
            time: FileTime(1),
        };
        let Ok(plan) = plan(&driver, &request) else { continue };
        for file in plan.files.iter().flat_map(|file| [&file.source, &file.destination]) {
            assert!(file.split('\\').all(|part| !part.is_empty() && part != "." && part != ".."), "{file}");
        }
        let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).expect("a good name");
        let number = |number: u32| number.to_le_bytes();
        let database = hive.root_mut().create("DriverDatabase").expect("a good name");
        database.set("Version", Kind::DWORD, number(0x0A00_0000)).expect("a good name");
        database.set("Architecture", Kind::DWORD, number(9)).expect("a good name");
        // Names that a hive cannot hold are refused.
        if plan.apply(HiveName::System, hive.root_mut(), FileTime(2)).is_err()
            || !target.has_driver_database()
        {
            continue;
        }
        let database = hive.root().subkey("DriverDatabase").expect("was made");
        let wrong = driver::validate::validate(database).into_iter().find(|finding| {
            // An INF file may ask for types of values that no real one has, and have texts that look like tokens.
            !finding.what.contains(" has the type ") && !finding.what.contains("which is not in Strings")
        });
        assert!(wrong.is_none(), "{wrong:?}");
    }
});
