#![no_main]
//! Places of URLs in a tree of files: never outside it, never two for one, and a file's own URL leads back to it.

use std::path::{Component, PathBuf};

use libfuzzer_sys::fuzz_target;
use url::Url;

// The program is no library.
#[path = "."]
mod cli {
    #[path = "../../crates/standpipe/src/cli/tree/place.rs"]
    mod place;
    #[path = "../../crates/standpipe/src/cli/tree/spelling.rs"]
    mod spelling;

    pub fn place_of(url: &url::Url) -> Option<Vec<std::ffi::OsString>> {
        place::place(url).ok()
    }

    pub fn url_of(path: &std::path::Path) -> Option<url::Url> {
        spelling::url_of(&spelling::base("https://a.example/").expect("a base"), path)
    }
}

fuzz_target!(|text: &str| {
    let Ok(url) = Url::parse("https://a.example/").and_then(|base| base.join(text)) else { return };
    let Some(names) = cli::place_of(&url) else { return };
    let path: PathBuf = names.iter().collect();
    assert!(path.components().all(|component| matches!(component, Component::Normal(_))));
    assert_eq!(path.components().count(), names.len());
    let below: PathBuf = names[2..].iter().collect();
    let again = cli::url_of(&below).expect("a file below the root");
    assert_eq!(cli::place_of(&again).expect("the same place")[2..], names[2..]);
});
