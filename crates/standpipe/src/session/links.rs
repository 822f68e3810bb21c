//! `standpipe session links DIR`: this program under its classic names.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::{Failed, Program};

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    let directory = arguments.get_one::<PathBuf>("directory").cloned().unwrap_or_default();
    let target = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    Program::ALL
        .into_iter()
        .try_for_each(|program| link(&target, &directory.join(program.classic_name())))?;
    Ok(())
}

/// Replaces a link, and nothing else.
fn link(target: &Path, path: &Path) -> Result<(), String> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => fs::remove_file(path).map_err(|error| problem(&error))?,
        Ok(_) => return Err(problem(&"something that is no link is there")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(problem(&error)),
    }
    symlink(target, path).map_err(|error| problem(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_and_files_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("dc_server");
        assert_eq!(link(Path::new("/one"), &path), Ok(()));
        assert_eq!(link(Path::new("/two"), &path), Ok(()));
        assert_eq!(fs::read_link(&path).expect("a link"), Path::new("/two"));
        fs::remove_file(&path).expect("there");
        fs::write(&path, "mine").expect("written");
        assert!(link(Path::new("/two"), &path).is_err());
        assert_eq!(fs::read(&path).expect("still there"), b"mine");
    }
}
