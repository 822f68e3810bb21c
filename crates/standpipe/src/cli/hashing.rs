//! [`hash_file`]: SHA-256 of a file. Waits for the disk.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use store::Digest;

/// Bytes read at once.
const STEP: usize = 1 << 20;

/// The digest of a file's bytes, and how many there are.
pub(super) fn hash_file(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; STEP];
    let (mut context, mut length) = (Context::new(&SHA256), 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                context.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let digest = context.finish();
    let bytes = digest.as_ref().try_into().map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    Ok((Digest::new(bytes), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f");
        for length in [0, 3, STEP, 2 * STEP + 5] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            std::fs::write(&path, &bytes).expect("written");
            assert_eq!(hash_file(&path).expect("readable"), (Digest::of(&bytes), length as u64));
        }
        assert!(hash_file(&directory.path().join("none")).is_err());
    }
}
