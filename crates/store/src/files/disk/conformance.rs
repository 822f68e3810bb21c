//! What every [`Disk`] does; the real one and its faulty twin are both held to it.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::time::SystemTime;

use super::faulty::FaultyDisk;
use super::{Disk, Kind, Listed, RealDisk, read_full_at, read_small, replace, write_all_at};

fn each(check: impl Fn(&dyn Disk, &Path)) {
    let root = tempfile::tempdir().unwrap();
    check(&RealDisk, root.path());
    let root = tempfile::tempdir().unwrap();
    check(&FaultyDisk::new(root.path(), 1).unwrap(), root.path());
    let root = tempfile::tempdir().unwrap();
    let short = FaultyDisk::new(root.path(), 1).unwrap();
    short.short_writes();
    check(&short, root.path());
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn files_are_created_opened_written_and_read() {
    each(|disk, root| {
        let path = root.join("a");
        assert_eq!(kind(disk.open(&path)), Some(ErrorKind::NotFound));
        let file = disk.create(&path).unwrap();
        assert_eq!(kind(disk.create(&path)), Some(ErrorKind::AlreadyExists));
        let written = disk.write_at(&file, &[IoSlice::new(b"hello "), IoSlice::new(b"world")], 2).unwrap();
        assert!((1..=11).contains(&written));
        write_all_at(disk, &file, b"hello world", 2).unwrap();
        disk.sync(&file).unwrap();

        let again = disk.open(&path).unwrap();
        let mut bytes = [9; 20];
        assert_eq!(read_full_at(disk, &again, &mut bytes, 0).unwrap(), 13);
        assert_eq!(bytes[..13], *b"\0\0hello world");
        assert_eq!(disk.read_at(&again, &mut bytes, 13).unwrap(), 0, "the end");
        assert!(disk.write_at(&again, &[IoSlice::new(b"x")], 0).is_err(), "opened for reading");

        let both = disk.open_write(&path).unwrap();
        disk.set_length(&both, 4).unwrap();
        assert_eq!(disk.length(&path).unwrap(), 4);
        disk.set_length(&both, 6).unwrap();
        assert_eq!(read_small(disk, &path, 6).unwrap(), b"\0\0he\0\0");
        assert_eq!(kind(read_small(disk, &path, 5)), Some(ErrorKind::InvalidData));
    });
}

#[test]
fn names_are_moved_linked_and_removed() {
    each(|disk, root| {
        let [a, b, c] = ["a", "b", "c"].map(|name| root.join(name));
        replace(disk, &a, b"first").unwrap();
        replace(disk, &a, b"again").unwrap();
        replace(disk, &b, b"second").unwrap();
        assert_eq!(kind(disk.link(&a, &b)), Some(ErrorKind::AlreadyExists));
        disk.link(&a, &c).unwrap();
        disk.rename(&a, &b).unwrap();
        assert_eq!(kind(disk.open(&a)), Some(ErrorKind::NotFound));
        assert_eq!(read_small(disk, &b, 99).unwrap(), b"again");
        assert_eq!(read_small(disk, &c, 99).unwrap(), b"again");
        disk.remove(&b).unwrap();
        assert_eq!(kind(disk.remove(&b)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.rename(&b, &a)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.length(&b)), Some(ErrorKind::NotFound));
    });
}

#[test]
fn directories_are_created_listed_and_removed() {
    each(|disk, root| {
        let (directory, inner) = (root.join("x/y"), root.join("x/y/a"));
        disk.create_directory(&directory).unwrap();
        disk.create_directory(&directory).unwrap();
        disk.create(&inner).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("x/link")).unwrap();
        let mut listed = disk.list(&root.join("x")).unwrap();
        listed.sort_by(|one, other| one.path.cmp(&other.path));
        let kinds: Vec<_> =
            listed.iter().map(|listed| (listed.path.file_name().unwrap(), listed.kind)).collect();
        assert_eq!(kinds, [("link".as_ref(), Kind::Other), ("y".as_ref(), Kind::Directory)]);
        let [Listed { path, kind: Kind::File, length: 0, modified }] = &disk.list(&directory).unwrap()[..]
        else {
            panic!("one empty file")
        };
        assert!(*path == inner && *modified > SystemTime::UNIX_EPOCH);
        assert_eq!(kind(disk.remove_directory(&directory)), Some(ErrorKind::DirectoryNotEmpty));
        disk.remove(&inner).unwrap();
        disk.sync_directory(&directory).unwrap();
        disk.remove_directory(&directory).unwrap();
        assert_eq!(kind(disk.list(&directory)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.sync_directory(&directory)), Some(ErrorKind::NotFound));
        assert!(disk.free(root).unwrap() > 0);
    });
}
