//! Sets a value in a registry hive, in place.
//!
//!     edit-hive HIVE KEY NAME TEXT
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use hive::file::{Allow, HiveFile};
use hive::{Kind, data};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(key), Some(name), Some(text)) =
        (args.next(), args.next(), args.next(), args.next())
    else {
        return Err("usage: edit-hive HIVE KEY NAME TEXT".into());
    };
    // Logs beside the hive are applied. A hive that was not closed and whose logs are missing is refused.
    let mut file = HiveFile::open(path, Allow::default())?;
    for finding in &file.report().findings {
        println!("{finding}");
    }

    // Keys on the way are made, with the security of the key that they lie in.
    let key = file.hive_mut().root_mut().create(&key)?;
    let before = key.value(&name).and_then(|value| value.as_str());
    match before {
        Some(before) => println!("was {before:?}"),
        None => println!("was not there"),
    }
    key.set(&name, Kind::SZ, data::sz(&text))?;

    // Written anew and put in place by renaming: the file is the old hive or the new one, never half of it.
    file.save()?;
    Ok(())
}
