//! The seven functions as C calls them; the header says what they promise.
//!
//! The only place of this crate with `unsafe`: pointers from C become values here, and values become what C is given.
//! Every call ends with a value: what a null pointer, a failure or a panic means is the call's refusal. Pointers that
//! are not null must be what the header says; nothing here can find out whether they are.

#![allow(unsafe_code)]

#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulong};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use crate::context::{Context, Presence};

/// Makes a context for the server at an address; null when that fails.
///
/// # Safety
/// `target` is null or a string that ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_new(target: *const c_char, flags: c_uint) -> *mut Context {
    guarded(ptr::null_mut(), || {
        if target.is_null() {
            return None;
        }
        // SAFETY: it is not null, and the caller says that it is a string; it is not used after this call.
        let target = unsafe { CStr::from_ptr(target) }.to_str().ok()?;
        Some(Box::into_raw(Box::new(Context::new(target, flags)?)))
    })
}

/// Ends a context and its connection.
///
/// # Safety
/// `ctx` is null or came from [`DC_CTX_new`], and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_free(ctx: *mut Context) {
    guarded((), || {
        if !ctx.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the caller has given up the only pointer to it.
            drop(unsafe { Box::from_raw(ctx) });
        }
        Some(())
    });
}

/// Stores a session: 1, or 0 when it is not stored.
///
/// # Safety
/// `ctx` as above and in use by nobody else; each pointer is null or has as many bytes as its length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_add_session(
    ctx: *mut Context,
    id_data: *const c_uchar,
    id_len: c_uint,
    sess_data: *const c_uchar,
    sess_len: c_uint,
    timeout_msecs: c_ulong,
) -> c_int {
    guarded(0, || {
        // SAFETY: what this function asks of its caller is what these ask.
        let (context, id) = unsafe { (context(ctx)?, bytes(id_data, id_len)?) };
        // SAFETY: as above.
        let session = unsafe { bytes(sess_data, sess_len)? };
        Some(context.add(id, session, timeout_msecs).into())
    })
}

/// Drops a session: 1, or 0 when there is none or nobody could say.
///
/// # Safety
/// As [`DC_CTX_add_session`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_remove_session(
    ctx: *mut Context,
    id_data: *const c_uchar,
    id_len: c_uint,
) -> c_int {
    guarded(0, || {
        // SAFETY: what this function asks of its caller is what these ask.
        let (context, id) = unsafe { (context(ctx)?, bytes(id_data, id_len)?) };
        Some(context.remove(id).into())
    })
}

/// Fetches a session: 1, or 0 when there is none or nobody could say.
///
/// # Safety
/// As [`DC_CTX_add_session`]; `result_storage` need not be initialised; `result_used` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_get_session(
    ctx: *mut Context,
    id_data: *const c_uchar,
    id_len: c_uint,
    result_storage: *mut c_uchar,
    result_size: c_uint,
    result_used: *mut c_uint,
) -> c_int {
    guarded(0, || {
        // SAFETY: what this function asks of its caller is what these ask.
        let (context, id) = unsafe { (context(ctx)?, bytes(id_data, id_len)?) };
        let session = context.get(id)?;
        // SAFETY: the same; the id, which may lie in the storage, is not used any more.
        Some(unsafe { deliver(session, result_storage, result_size, result_used) })
    })
}

/// Gives the session of the last get again, without asking the server: 1, or 0 when the last call was no such get.
///
/// # Safety
/// As [`DC_CTX_get_session`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_reget_session(
    ctx: *mut Context,
    id_data: *const c_uchar,
    id_len: c_uint,
    result_storage: *mut c_uchar,
    result_size: c_uint,
    result_used: *mut c_uint,
) -> c_int {
    guarded(0, || {
        // SAFETY: what this function asks of its caller is what these ask.
        let (context, id) = unsafe { (context(ctx)?, bytes(id_data, id_len)?) };
        let session = context.reget(id)?;
        // SAFETY: the same; the id, which may lie in the storage, is not used any more.
        Some(unsafe { deliver(session, result_storage, result_size, result_used) })
    })
}

/// Asks for a session: 1 it is there, 0 it is not, -1 nobody could say.
///
/// # Safety
/// As [`DC_CTX_add_session`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DC_CTX_has_session(
    ctx: *mut Context,
    id_data: *const c_uchar,
    id_len: c_uint,
) -> c_int {
    guarded(-1, || {
        // SAFETY: what this function asks of its caller is what these ask.
        let (context, id) = unsafe { (context(ctx)?, bytes(id_data, id_len)?) };
        match context.has(id) {
            Presence::Present => Some(1),
            Presence::Absent => Some(0),
            Presence::Unknown => None,
        }
    })
}

/// Runs a call; `refused` when it has no result or panics. A context that saw a panic is whole: its connection was taken
/// out of it before it was used.
fn guarded<T>(refused: T, call: impl FnOnce() -> Option<T>) -> T {
    catch_unwind(AssertUnwindSafe(call)).ok().flatten().unwrap_or(refused)
}

/// # Safety
/// `ctx` is null or came from [`DC_CTX_new`], has not been freed, and nobody else uses it for as long as `'a`.
unsafe fn context<'a>(ctx: *mut Context) -> Option<&'a mut Context> {
    // SAFETY: as the caller promises.
    unsafe { ctx.as_mut() }
}

/// The bytes that a pointer and a length name; `None` for null with a length.
///
/// # Safety
/// `data` is null or has `len` initialised bytes that nobody changes for as long as `'a`.
unsafe fn bytes<'a>(data: *const c_uchar, len: c_uint) -> Option<&'a [u8]> {
    if len == 0 {
        return Some(&[]);
    }
    let len = usize::try_from(len).ok()?;
    // SAFETY: not null, and so long as the caller promises; an object of C is never longer than `isize::MAX`.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data, len) })
}

/// Gives C as much of a session as fits, and the length of the whole. Returns 1.
///
/// # Safety
/// `storage` is null or `size` bytes can be written there; `used` is null or can be written.
unsafe fn deliver(session: &[u8], storage: *mut c_uchar, size: c_uint, used: *mut c_uint) -> c_int {
    let count = session.len().min(usize::try_from(size).unwrap_or(usize::MAX));
    if !storage.is_null() {
        // SAFETY: `count` bytes can be read, as the session is that long, and written, as the caller promises; the
        // session lies in memory of this library, so the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(session.as_ptr(), storage, count) };
    }
    if !used.is_null() {
        // SAFETY: not null, so it can be written. A message is far shorter than the greatest value.
        unsafe { used.write(c_uint::try_from(session.len()).unwrap_or(c_uint::MAX)) };
    }
    1
}
