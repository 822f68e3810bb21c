//! A body whose last hole has closed is hashed, and becomes a complete one.
//!
//! Disk jobs read it from the start to the end, one at a time and a few steps each, so that others have their turns.
//! Invariants: started once for each body, by whoever closed the last hole or found it closed; a body that ends here badly
//! has left the index. When the store ends meanwhile, nothing is lost: the next start finds all extents recorded.
//!
//! Deliberately not here: what is done with a complete body ([`recording`](crate::recording)).

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use crate::bodies::Named;
use crate::body::Partial;
use crate::files::disk::read_full_at;
use crate::fill::STEP;
use crate::shared::Completed;
use crate::{Body, BodyState, Digest, Failure, reasons};

/// Steps that a job reads before it makes way.
const TURN: usize = 16;

/// Begins to hash a body that has no holes.
pub(crate) fn start(body: &Arc<Body>) {
    Hashing { body: body.clone(), hasher: Context::new(&SHA256), at: 0 }.go_on();
}

struct Hashing {
    body: Arc<Body>,
    hasher: Context,
    at: u64,
}

impl Hashing {
    fn go_on(self) {
        let shared = self.body.shared.clone();
        let (watch, settling) = (Watch(self.body.clone()), shared.settling());
        shared.pool.push(move || {
            let store = watch.0.partial.as_ref().and_then(Partial::hold);
            self.turn();
            // The body first: it may be its end. The store last: its end waits for what is settling.
            drop(watch);
            drop(settling);
            drop(store);
        });
    }

    fn turn(mut self) {
        let body = self.body.clone();
        if body.shared.is_closed() || matches!(body.state(), BodyState::Failed(_)) {
            return;
        }
        match self.read() {
            Ok(true) => self.end(),
            Ok(false) => self.go_on(),
            Err(failure) => body.lose(failure),
        }
    }

    /// Hashes a few steps; `true` at the end.
    fn read(&mut self) -> Result<bool, Failure> {
        let (body, shared) = (&self.body, &self.body.shared);
        let (file, length) = (shared.open_body(body)?, body.length().unwrap_or_default());
        let mut buffer = vec![0; STEP];
        for _ in 0..TURN {
            let wanted = (length - self.at).min(STEP as u64) as usize;
            let read = read_full_at(shared.disk(), file.file(), &mut buffer[..wanted], self.at)
                .and_then(|read| if read == wanted { Ok(read) } else { Err(short()) })
                .map_err(|error| shared.disk_error("read", *body.place.lock(), &error))?;
            self.hasher.update(&buffer[..read]);
            self.at += read as u64;
            if self.at == length {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end(self) {
        let Self { body, hasher, at: length } = self;
        let digest = hasher.finish();
        let digest = Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"));
        if let Some(promised) = body.growth.promised().filter(|promised| *promised != digest) {
            return body.lose(reasons::digest_mismatch(&promised, &digest));
        }
        if let Err(failure) = complete(&body, length, digest) {
            body.lose(failure);
        }
    }
}

fn complete(body: &Arc<Body>, length: u64, digest: Digest) -> Result<(), Failure> {
    let shared = &body.shared;
    let Some(partial) = &body.partial else { return Ok(()) };
    let file = shared.open_body(body)?;
    let _not_while_it_is_recorded = partial.recording.lock();
    body.growth.commit(0..length);
    let completed = shared.complete_file(body, length, digest, file)?;
    match &completed {
        Completed { named: Ok(Named::Own), .. } => shared.bodies.part_has_left(shared, partial.id),
        // It stays a part whose extents are all there: the next start tries again.
        Completed { named: Err(_), .. } => body.tell_news(),
        _ => {}
    }
    partial.completed(body, completed);
    shared.metrics.closed.inc();
    Ok(())
}

fn short() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file ends before the body does")
}

/// A turn of hashing. Were it to panic, everybody would wait for ever: it ends the body.
struct Watch(Arc<Body>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose(reasons::disk_job_lost());
        }
    }
}
