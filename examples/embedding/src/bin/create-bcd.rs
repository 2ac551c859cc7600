//! Makes the BCD store of a disk that starts by UEFI, and prints what is in it.
//!
//!     create-bcd OUTPUT
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use bcd::{DeviceKind, Firmware, Setup, Store, check_bytes, create};
use disk::{FileTime, Guid, Seed};

fn main() -> Result<(), Box<dyn Error>> {
    let output = std::env::args_os().nth(1).ok_or("usage: create-bcd OUTPUT")?;
    // On a GPT disk entries name partitions by the ids of both.
    let disk: Guid = "7c3f5a10-0000-4000-8000-000000000001".parse()?;
    let partition = |id: &str| -> Result<DeviceKind, Box<dyn Error>> {
        Ok(DeviceKind::PartitionGpt { disk, partition: id.parse()? })
    };
    let mut setup = Setup::new(
        Firmware::Uefi,
        partition("7c3f5a10-0000-4000-8000-000000000002")?,
        partition("7c3f5a10-0000-4000-8000-000000000003")?,
        Seed::new(b"example"),
        FileTime::from_unix_seconds(1_700_000_000),
    );
    setup.name = "Windows Server".to_owned();
    setup.timeout = 5;

    let bytes = create(&setup)?.to_bytes()?;
    // What a boot manager would refuse, or no Windows would write.
    let report = check_bytes(&bytes);
    for finding in &report.findings {
        println!("{finding}");
    }
    let store = Store::parse(&bytes)?;
    for object in store.objects() {
        println!("{} {} elements", object.id, object.elements.len());
    }
    std::fs::write(output, bytes)?;
    Ok(())
}
