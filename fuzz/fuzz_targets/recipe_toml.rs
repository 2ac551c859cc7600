//! Any text is a recipe or is refused with a line of it. What is read can be printed, and read again as the same.
#![no_main]

use std::path::Path;

use image::RecipeFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("r.toml");
    let file = match RecipeFile::parse(text, path) {
        Ok(file) => file,
        Err(image::Error::RecipeFile { line, .. }) => {
            assert!(line as usize <= text.lines().count() + 1);
            return;
        }
        Err(error) => panic!("{error}"),
    };
    for value in &file.registry {
        let _ = value.operation();
    }
    let mut printed = RecipeFile::parse(&file.to_toml(), path).expect("what was printed can be read");
    // Passwords and product keys are not printed.
    printed.product_key = file.product_key.clone();
    for (account, known) in printed.account.iter_mut().zip(&file.account) {
        account.password = known.password.clone();
    }
    assert_eq!(printed, file);
    let _ = file.clone().relative_to(Path::new("folder"));
    assert_eq!(RecipeFile::default().overlaid(file.clone()), file);
});
