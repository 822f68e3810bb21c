//! user-demand.md 4c 78 (what leaves gives nothing away) and 79 (a key that is rotated while servers do not agree yet).

use proptest::prelude::*;

use super::*;

const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn keys(lines: &[&str]) -> Keys {
    Keys::parse(lines.join("\n").as_bytes()).expect("keys")
}

fn opened(keys: &Keys, id: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    keys.open(id, sealed.to_vec()).map(|session| session.to_vec())
}

#[test]
fn what_was_sealed_opens_for_its_id_and_no_other() {
    let keys = keys(&[OLD]);
    let (one, other) = (keys.seal(b"one", b"session 1").unwrap(), keys.seal(b"other", b"session 2").unwrap());
    assert_eq!(opened(&keys, b"one", &one).unwrap(), b"session 1");
    assert_eq!(opened(&keys, b"other", &other).unwrap(), b"session 2");
    assert_eq!(opened(&keys, b"one", &other), None, "swapped");
    assert_eq!(opened(&keys, b"other", &one), None, "swapped");
    assert_eq!(opened(&keys, b"on", &one), None);
    assert_eq!(opened(&keys, b"", &one), None);
}

#[test]
fn every_bit_that_flips_is_noticed() {
    let keys = keys(&[NEW, OLD]);
    let sealed = keys.seal(b"id", b"session").unwrap();
    for bit in 0..8 * sealed.len() {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&keys, b"id", &flipped), None, "bit {bit}");
    }
}

#[test]
fn every_cut_and_every_addition_is_noticed() {
    let keys = keys(&[OLD]);
    let mut sealed = keys.seal(b"id", b"session").unwrap();
    for length in 0..sealed.len() {
        assert_eq!(opened(&keys, b"id", &sealed[..length]), None, "{length}");
    }
    sealed.push(0);
    assert_eq!(opened(&keys, b"id", &sealed), None);
}

#[test]
fn another_key_opens_nothing() {
    let (one, other) = (keys(&[OLD]), keys(&[NEW]));
    let sealed = one.seal(b"id", b"session").unwrap();
    assert_eq!(opened(&other, b"id", &sealed), None);
    // Not even when the key is named as if it were the right one.
    let mut renamed = sealed;
    renamed[1..=KEY_NAME].copy_from_slice(&other.seals[0].name);
    assert_eq!(opened(&other, b"id", &renamed), None);
}

#[test]
fn neither_session_nor_id_shows() {
    let keys = keys(&[OLD]);
    let (id, session) = (b"an id of a session", b"the secret of a session");
    let sealed = keys.seal(id, session).unwrap();
    let shows =
        |haystack: &[u8], needle: &[u8]| haystack.windows(4).any(|part| needle.windows(4).any(|n| n == part));
    assert!(!shows(&sealed, session) && !shows(&sealed, id) && !shows(&keys.name(id), id));
    assert_eq!(sealed.len(), session.len() + OVERHEAD);
    assert_ne!(sealed, keys.seal(id, session).unwrap(), "a nonce of its own each time");
    assert!(!format!("{keys:?}").contains("0001"));
}

#[test]
fn names_depend_on_id_and_key_only() {
    let (one, same, other) = (keys(&[OLD]), keys(&[OLD]), keys(&[NEW]));
    assert_eq!(one.name(b"id"), same.name(b"id"));
    assert_ne!(one.name(b"id"), one.name(b"ID"));
    assert_ne!(one.name(b"id"), other.name(b"id"));
}

#[test]
fn servers_in_the_middle_of_a_rotation_read_each_other() {
    let steps = [
        keys(&[OLD]),
        keys(&[&format!("names {OLD}"), OLD, NEW]),
        keys(&[&format!("names {OLD}"), NEW, OLD]),
        keys(&[&format!("names {OLD}"), NEW]),
    ];
    for pair in steps.windows(2) {
        assert_eq!(pair[0].name(b"id"), pair[1].name(b"id"));
        for (sealing, opening) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let sealed = sealing.seal(b"id", b"session").unwrap();
            assert_eq!(opened(opening, b"id", &sealed).unwrap(), b"session");
        }
    }
    let sealed = steps[0].seal(b"id", b"session").unwrap();
    assert_eq!(opened(&steps[3], b"id", &sealed), None, "a key that is gone opens nothing");
    assert_eq!(opened(&keys(&[&format!("names {NEW}"), OLD]), b"id", &sealed).unwrap(), b"session");
}

#[test]
fn files_are_read_strictly() {
    let raw: Vec<u8> = (0..32).collect();
    let spaced = format!("# of 2026\r\n\r\n  {OLD}  \r\n");
    let sealed = keys(&[OLD]).seal(b"id", b"session").unwrap();
    for good in [&raw[..], OLD.as_bytes(), spaced.as_bytes()] {
        assert!(opened(&Keys::parse(good).expect("good"), b"id", &sealed).is_some());
    }
    let many = [OLD; 9].join("\n");
    let mut lines =
        vec![format!("{OLD}\n{}", &NEW[1..]), format!("{OLD}0"), format!("names{OLD}"), "names ".into()];
    lines.push(format!("+{}", &OLD[1..]));
    for bad in &lines {
        assert!(matches!(Keys::parse(bad.as_bytes()), Err(KeysError::Line(_))), "{bad}");
    }
    let two_names = format!("names {OLD}\nnames {NEW}\n{OLD}");
    for bad in ["", "#", &format!("names {OLD}"), &format!("{OLD}\n{OLD}"), &many, &two_names] {
        assert!(matches!(Keys::parse(bad.as_bytes()), Err(KeysError::Count)), "{bad}");
    }
    let problem = Keys::parse(format!("{OLD}\nsecret").as_bytes()).expect_err("no key").to_string();
    assert_eq!(problem, "line 2 is not a key of 64 hex digits");
}

#[test]
fn a_file_that_everyone_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, OLD).unwrap();
    let with_mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Keys::read(&path)
    };
    assert!(matches!(with_mode(0o644), Err(KeysError::Open)));
    assert!(with_mode(0o640).is_ok());
    std::fs::write(&path, vec![b'\n'; FILE as usize + 1]).unwrap();
    assert!(matches!(with_mode(0o600), Err(KeysError::Count)));
    assert!(matches!(Keys::read(&directory.path().join("none")), Err(KeysError::Io(_))));
}

proptest! {
    #[test]
    fn any_session_comes_back_and_garbage_never_does(
        id in prop::collection::vec(any::<u8>(), 1..65),
        session in prop::collection::vec(any::<u8>(), 0..5000),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let keys = keys(&[NEW]);
        let sealed = keys.seal(&id, &session).unwrap();
        prop_assert_eq!(opened(&keys, &id, &sealed), Some(session));
        prop_assert_eq!(opened(&keys, &id, &garbage), None);
    }
}
