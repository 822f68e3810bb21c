//! Both clients against our server, and the blocking one against servers that misbehave.

#[cfg(feature = "tls")]
mod slow_tls;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::*;
use crate::address::Address;
use crate::error::ClientError;
use crate::frame::Direction;
use crate::message::{Decoder, encode};
use crate::net::{ListenSettings, Listener};
use crate::operation::Status;
use crate::server::{Server, ServerSettings};
use crate::store::{MemorySettings, MemoryStore};

/// A server of ours on its own threads.
struct Running {
    address: Address,
    server: Server,
    _runtime: tokio::runtime::Runtime,
    _directory: TempDir,
}

fn run() -> Running {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let directory = tempfile::tempdir().expect("a directory");
    let address = Address::Unix(directory.path().join("server"));
    let server =
        Server::new(Arc::new(MemoryStore::new(&MemorySettings::default())), ServerSettings::default());
    let listener = {
        let _runtime = runtime.enter();
        Listener::bind(&address, &ListenSettings::default()).expect("a socket")
    };
    let served = server.clone();
    runtime.spawn(async move { served.serve(listener).await });
    Running { address, server, _runtime: runtime, _directory: directory }
}

fn persistent(persistent: Persistent) -> ClientSettings {
    ClientSettings { connection: Connections::Persistent(persistent), ..ClientSettings::default() }
}

fn temporary() -> ClientSettings {
    ClientSettings { connection: Connections::Temporary, ..ClientSettings::default() }
}

#[test]
fn sessions_of_all_sizes_come_back_over_either_kind_of_connection() {
    let running = run();
    for settings in [temporary(), persistent(Persistent::default())] {
        let mut client = Client::new(running.address.clone(), settings).expect("the server listens");
        for size in [2, 5, 2000, 2013, 2014, 2015, 4069, 4072, 9000, crate::limits::ID_AND_SESSION - 2] {
            let session = vec![size as u8; size];
            assert_eq!(client.have(b"id").expect("a reply"), Status::Absent);
            assert_eq!(client.add(b"id", &session, 60_000).expect("a reply"), Status::Ok);
            assert!(client.is_wiped());
            assert_eq!(client.add(b"id", b"other", 60_000).expect("a reply"), Status::Duplicate);
            assert_eq!(client.get(b"id").expect("a reply").as_deref(), Some(&session));
            assert!(client.is_wiped());
            assert_eq!(client.have(b"id").expect("a reply"), Status::Ok);
            assert_eq!(client.remove(b"id").expect("a reply"), Status::Ok);
            assert_eq!(client.remove(b"id").expect("a reply"), Status::Absent);
            assert!(client.get(b"id").expect("a reply").is_none());
        }
    }
    assert_eq!(running.server.metrics().connections.accepted.get(), 8 * 10 + 1);
}

#[test]
fn what_no_message_can_carry_is_not_sent() {
    let running = run();
    let mut client =
        Client::new(running.address.clone(), ClientSettings::default()).expect("the server listens");
    let session = vec![0; crate::limits::ID_AND_SESSION - 1];
    assert!(matches!(client.add(b"id", &session, 1), Err(ClientError::TooLong)));
    assert_eq!(client.have(b"id").expect("still connected"), Status::Absent);
    assert_eq!(running.server.metrics().connections.accepted.get(), 1);
}

#[test]
fn reget_repeats_the_last_hit_and_nothing_else() {
    let running = run();
    let mut client =
        Client::new(running.address.clone(), ClientSettings::default()).expect("the server listens");
    client.add(b"id", b"session", 60_000).expect("a reply");
    let mut buffer = [0; 4];
    assert_eq!(client.reget_into(b"id", &mut buffer), None);
    assert_eq!(client.get_into(b"id", &mut buffer).expect("a reply"), Some(7));
    assert_eq!(&buffer, b"sess");
    let mut whole = [0; 10];
    assert_eq!(client.reget_into(b"id", &mut whole), Some(7));
    assert_eq!(&whole[..7], b"session");
    assert_eq!(client.reget_into(b"other", &mut whole), None);
    assert_eq!(client.get_into(b"absent", &mut whole).expect("a reply"), None);
    assert_eq!(client.reget_into(b"id", &mut whole), None);
    client.get_into(b"id", &mut whole).expect("a reply");
    client.have(b"id").expect("a reply");
    assert_eq!(client.reget_into(b"id", &mut whole), None);
}

/// What a server that misbehaves does with the next request.
#[derive(Clone, Copy)]
enum Act {
    Reply(&'static [u8]),
    /// A reply under another uid.
    Confuse,
    /// Two replies to one request.
    Twice,
    /// A reply without its last byte, and nothing more until the client goes.
    AlmostAll,
    Say(&'static [u8]),
    /// No answer, until the client goes.
    Silence,
    Close,
}

/// Plays a script: one row for each connection, one act for each request.
fn play(script: Vec<Vec<Act>>) -> (Address, TempDir, JoinHandle<()>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("server");
    let listener = UnixListener::bind(&path).expect("a socket");
    let thread = std::thread::spawn(move || {
        for acts in script {
            let (mut stream, _) = listener.accept().expect("a client");
            acts.into_iter().for_each(|act| perform(&mut stream, act));
        }
    });
    (Address::Unix(path), directory, thread)
}

fn perform(stream: &mut UnixStream, act: Act) {
    let mut held = Vec::new();
    let mut decoder = Decoder::new(Direction::Request);
    let (uid, operation) = loop {
        let step = decoder.next(&held).expect("well formed");
        if let Some(message) = step.message {
            break (message.uid, message.operation);
        }
        held.drain(..step.used);
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        held.extend(byte);
    };
    let reply = |uid, payload: &[u8]| {
        let mut bytes = Vec::new();
        encode(&mut bytes, Direction::Response, uid, operation, &[payload]).expect("fits");
        bytes
    };
    let bytes = match act {
        Act::Reply(payload) => reply(uid, payload),
        Act::Confuse => reply(uid.wrapping_add(1), &[0]),
        Act::Twice => [reply(uid, &[0]), reply(uid, &[0])].concat(),
        Act::Say(bytes) => bytes.to_vec(),
        Act::Silence | Act::AlmostAll => {
            let almost = reply(uid, &[7; 3000]);
            let count = if let Act::AlmostAll = act { almost.len() - 1 } else { 0 };
            stream.write_all(&almost[..count]).expect("a client");
            let _ = stream.read(&mut [0]);
            return;
        }
        Act::Close => return,
    };
    stream.write_all(&bytes).expect("a client");
}

fn have(script: Vec<Vec<Act>>, settings: ClientSettings, calls: usize) -> Vec<Result<Status, ClientError>> {
    let (address, _directory, thread) = play(script);
    let mut client = Client::new(address, settings).expect("it listens");
    let results = (0..calls).map(|_| client.have(b"id")).collect();
    drop(client);
    thread.join().expect("as told");
    results
}

#[test]
fn a_broken_connection_is_an_error_once_and_the_next_call_connects_again() {
    let script = vec![vec![Act::Reply(&[0]), Act::Close], vec![Act::Reply(&[1])]];
    let results = have(script, persistent(Persistent::default()), 3);
    assert!(
        matches!(results[..], [Ok(Status::Ok), Err(ClientError::Io(_)), Ok(Status::Absent)]),
        "{results:?}"
    );
}

#[test]
fn with_retry_a_broken_connection_costs_nothing_but_only_once() {
    let script =
        vec![vec![Act::Reply(&[0]), Act::Close], vec![Act::Reply(&[1]), Act::Close], vec![Act::Close]];
    let results = have(script, persistent(Persistent { retry: true, ..Persistent::default() }), 3);
    assert!(
        matches!(results[..], [Ok(Status::Ok), Ok(Status::Absent), Err(ClientError::Io(_))]),
        "{results:?}"
    );
}

#[test]
fn temporary_connections_are_not_retried() {
    let results = have(vec![vec![Act::Close], vec![Act::Reply(&[0])]], temporary(), 2);
    assert!(matches!(results[..], [Err(ClientError::Io(_)), Ok(Status::Ok)]), "{results:?}");
}

#[test]
fn replies_that_are_none_are_errors_and_end_their_connection() {
    let bad = [
        Act::Confuse,
        Act::Twice,
        Act::Reply(b""),
        Act::Reply(b"xx"),
        Act::Reply(&[77]),
        Act::Say(b"HTTP/1.1 400 Bad Request"),
        Act::Say(&[0, 0x11, 0, 0, 0, 0, 0, 0, 1, 0, 3, 1, 0, 1, 0]),
    ];
    for (row, act) in bad.into_iter().enumerate() {
        let results = have(vec![vec![act], vec![Act::Reply(&[0])]], temporary(), 2);
        assert!(
            matches!(results[..], [Err(ClientError::Malformed(_)), Ok(Status::Ok)]),
            "row {row}: {results:?}"
        );
    }
}

#[test]
fn no_server_makes_a_call_wait_longer_than_it_should() {
    for act in [Act::Silence, Act::AlmostAll] {
        let settings = ClientSettings { timeout: Duration::from_millis(50), ..temporary() };
        let start = std::time::Instant::now();
        let (address, _directory, thread) = play(vec![vec![act]]);
        let mut client = Client::new(address, settings).expect("it listens");
        let result = client.get(b"id");
        assert!(matches!(result, Err(ClientError::Timeout)), "{result:?}");
        assert!(client.is_wiped());
        assert!(start.elapsed() < Duration::from_secs(3));
        thread.join().expect("as told");
    }
}

#[test]
fn short_replies_are_what_the_settings_say() {
    let table: [(&[u8], bool, bool); 5] = [
        (&[1], false, false),
        (&[2], false, false),
        (b"ab", true, false),
        (b"abcd", true, false),
        (b"abcde", true, true),
    ];
    for (payload, ours, strict) in table {
        for (short, expected) in [(ShortReplies::Sessions, ours), (ShortReplies::Failures, strict)] {
            let (address, _directory, thread) = play(vec![vec![Act::Reply(payload)]]);
            let mut client =
                Client::new(address, ClientSettings { short, ..temporary() }).expect("it listens");
            let session = client.get(b"id").expect("a reply");
            assert_eq!(session.as_deref().map(Vec::as_slice), expected.then_some(payload));
            thread.join().expect("as told");
        }
    }
}

#[test]
fn only_a_persistent_client_that_is_not_late_connects_when_it_is_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let nobody = Address::Unix(directory.path().join("nobody"));
    assert!(Client::new(nobody.clone(), temporary()).is_ok());
    let late = Persistent { late: true, ..Persistent::default() };
    let mut client = Client::new(nobody.clone(), persistent(late)).expect("no connection yet");
    assert!(matches!(client.have(b"id"), Err(ClientError::Io(_))));
    assert!(matches!(Client::new(nobody, persistent(Persistent::default())), Err(ClientError::Io(_))));
    let without_host = "IP:9001".parse().expect("an address");
    assert!(Client::new(without_host, temporary()).is_err());
}

#[test]
fn after_a_fork_the_connection_is_replaced_once() {
    let running = run();
    let accepted = || running.server.metrics().connections.accepted.get();
    for (pid_check, expected) in [(true, 2), (false, 1)] {
        let before = accepted();
        let settings = persistent(Persistent { pid_check, ..Persistent::default() });
        let mut client = Client::new(running.address.clone(), settings).expect("the server listens");
        client.pretend_to_be_forked();
        for _ in 0..5 {
            assert_eq!(client.have(b"id").expect("a reply"), Status::Absent);
        }
        assert_eq!(accepted() - before, expected);
    }
}

#[tokio::test]
async fn the_async_client_does_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let address = Address::Unix(directory.path().join("server"));
    let server =
        Server::new(Arc::new(MemoryStore::new(&MemorySettings::default())), ServerSettings::default());
    let listener = Listener::bind(&address, &ListenSettings::default()).expect("a socket");
    let served = server.clone();
    tokio::spawn(async move { served.serve(listener).await });
    for settings in [temporary(), persistent(Persistent::default())] {
        let mut client = AsyncClient::new(address.clone(), settings).await.expect("the server listens");
        let session = vec![9; 20_000];
        assert_eq!(client.add(b"id", &session, 60_000).await.expect("a reply"), Status::Ok);
        assert!(client.is_wiped());
        assert_eq!(client.get(b"id").await.expect("a reply").as_deref(), Some(&session));
        assert!(client.is_wiped());
        assert_eq!(client.have(b"id").await.expect("a reply"), Status::Ok);
        assert_eq!(client.remove(b"id").await.expect("a reply"), Status::Ok);
        assert!(client.get(b"id").await.expect("a reply").is_none());
    }
}

#[tokio::test]
async fn the_async_client_retries_and_gives_up_like_the_other() {
    let script = vec![
        vec![Act::Reply(&[0]), Act::Close],
        vec![Act::Reply(&[1]), Act::Silence],
        vec![Act::Reply(&[0])],
    ];
    let (address, _directory, thread) = play(script);
    let settings = ClientSettings {
        timeout: Duration::from_millis(500),
        ..persistent(Persistent { retry: true, ..Persistent::default() })
    };
    let mut client = AsyncClient::new(address, settings).await.expect("it listens");
    assert_eq!(client.have(b"id").await.expect("a reply"), Status::Ok);
    assert_eq!(client.have(b"id").await.expect("a reply"), Status::Absent);
    assert!(matches!(client.have(b"id").await, Err(ClientError::Timeout)));
    assert_eq!(client.have(b"id").await.expect("a reply"), Status::Ok);
    drop(client);
    thread.join().expect("as told");
}
