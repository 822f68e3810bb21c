//! What needs no server, so that Miri can watch it: it has no sockets. With a server: `tests/c_programs.rs`.

use super::*;

/// A context that has not connected yet, to a place where nobody is.
fn nobody() -> *mut Context {
    // SAFETY: a string.
    unsafe { DC_CTX_new(c"UNIX:/nobody/is/here".as_ptr(), 0) }
}

#[test]
fn null_is_refused_everywhere() {
    let id = [1; 8];
    let mut used = 7;
    for ctx in [ptr::null_mut(), nobody()] {
        for data in [ptr::null(), id.as_ptr()] {
            if !ctx.is_null() && !data.is_null() {
                continue;
            }
            // SAFETY: null, or what the lengths say.
            unsafe {
                assert_eq!(DC_CTX_add_session(ctx, data, 8, id.as_ptr(), 8, 1000), 0);
                assert_eq!(DC_CTX_remove_session(ctx, data, 8), 0);
                assert_eq!(DC_CTX_get_session(ctx, data, 8, ptr::null_mut(), 0, &raw mut used), 0);
                assert_eq!(DC_CTX_reget_session(ctx, data, 8, ptr::null_mut(), 0, &raw mut used), 0);
                assert_eq!(DC_CTX_has_session(ctx, data, 8), -1);
            }
        }
        // SAFETY: null, or from `DC_CTX_new` and not used any more.
        unsafe { DC_CTX_free(ctx) };
    }
    assert_eq!(used, 7);
    // SAFETY: null.
    assert!(unsafe { DC_CTX_new(ptr::null(), 0) }.is_null());
}

#[test]
fn addresses_that_lead_nowhere_make_no_context() {
    for target in
        [c"", c"UNIX:", c"IP:9001", c"IP:127.0.0.1:x", c"HTTP:127.0.0.1:1", c"TLS:localhost:1", c"UNIX:/\xff"]
    {
        // SAFETY: a string.
        assert!(unsafe { DC_CTX_new(target.as_ptr(), 0) }.is_null(), "{target:?}");
    }
}

#[test]
fn a_session_is_cut_to_the_storage_and_told_with_its_whole_length() {
    let session = b"0123456789";
    for size in [0, 3, 10, 16] {
        let mut storage = [b'-'; 16];
        let mut used = 0;
        // SAFETY: the storage is at least so long.
        assert_eq!(unsafe { deliver(session, storage.as_mut_ptr(), size, &raw mut used) }, 1);
        assert_eq!(used, 10);
        let count = (size as usize).min(10);
        assert_eq!(storage[..count], session[..count]);
        assert!(storage[count..].iter().all(|byte| *byte == b'-'));
    }
    // SAFETY: null.
    assert_eq!(unsafe { deliver(session, ptr::null_mut(), 16, ptr::null_mut()) }, 1);
}

#[test]
fn a_panic_is_a_refusal() {
    assert_eq!(guarded(-1, || -> Option<c_int> { panic!("a test") }), -1);
    assert_eq!(guarded(-1, || Some(1)), 1);
}

#[test]
#[cfg_attr(miri, ignore = "has no sockets")]
fn without_a_server_every_call_says_so() {
    let id = [1; 8];
    let ctx = nobody();
    assert!(!ctx.is_null());
    // SAFETY: from `DC_CTX_new`, and what the lengths say.
    unsafe {
        assert_eq!(DC_CTX_add_session(ctx, id.as_ptr(), 8, id.as_ptr(), 8, 1000), 0);
        assert_eq!(DC_CTX_remove_session(ctx, id.as_ptr(), 8), 0);
        assert_eq!(DC_CTX_get_session(ctx, id.as_ptr(), 8, ptr::null_mut(), 0, ptr::null_mut()), 0);
        assert_eq!(DC_CTX_has_session(ctx, id.as_ptr(), 8), -1);
        DC_CTX_free(ctx);
        // A kept connection is opened at once, unless LATE.
        assert!(DC_CTX_new(c"UNIX:/nobody/is/here".as_ptr(), 1).is_null());
        let late = DC_CTX_new(c"UNIX:/nobody/is/here".as_ptr(), 1 | 8);
        assert!(!late.is_null());
        DC_CTX_free(late);
    }
}
