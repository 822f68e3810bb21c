//! The secret of the key hash, in the file `secret` of the store's directory: keys stay the same from start to start,
//! and nobody outside can aim for collisions.
//!
//! Called with the store open, so that its lock keeps a second process away.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

const LENGTH: usize = 32;

/// The secret that is there; for tools, which make none.
pub(crate) fn load(directory: &Path) -> Result<[u8; LENGTH], String> {
    let path = directory.join("secret");
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    bytes.try_into().map_err(|_| format!("{}: it has a wrong length", path.display()))
}

/// The secret that is there, or a new one.
pub(super) fn load_or_create(directory: &Path) -> Result<[u8; LENGTH], String> {
    let path = directory.join("secret");
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::read(&path) {
        Ok(bytes) => {
            if let Ok(secret) = bytes.try_into() {
                return Ok(secret);
            }
            tracing::warn!(path = %path.display(), "the key secret has a wrong length; a new one is made");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(problem(&error)),
    }
    let mut secret = [0; LENGTH];
    // The system's bytes as they are: a generator of our own would first spend 70 ms on gathering entropy.
    let got = getrandom(&mut secret, GetRandomFlags::empty()).map_err(|error| problem(&error))?;
    if got != LENGTH {
        return Err(problem(&"the system gives too few random bytes"));
    }
    // Under another name first: a crash must not leave half a secret.
    let new = directory.join("secret.new");
    write_durably(directory, &new, &secret).map_err(|error| problem(&error))?;
    Ok(secret)
}

/// Without it no key in the index would be found again: it is on the disk before the first of them.
fn write_durably(directory: &Path, new: &Path, secret: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(new, directory.join("secret"))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_made_once_and_only_the_owner_can_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let secret = load_or_create(directory.path()).expect("made");
        assert_ne!(secret, [0; LENGTH]);
        assert_eq!(load_or_create(directory.path()), Ok(secret));
        let mode = fs::metadata(directory.path().join("secret")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_secret_is_replaced_and_a_missing_directory_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("secret"), b"short").expect("written");
        let secret = load_or_create(directory.path()).expect("made");
        assert_eq!(load_or_create(directory.path()), Ok(secret));
        let missing = load_or_create(Path::new("/nowhere")).expect_err("missing");
        assert!(missing.starts_with("/nowhere/secret: "), "{missing}");
    }
}
