//! A TLS server that keeps its client busy without ever answering: one byte of a record at a time.

use std::net::{TcpListener, TcpStream};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

use super::*;

/// Time of one call.
const LIMIT: Duration = Duration::from_millis(500);
/// Far fewer than the answer has, and far more than the client has time for.
const BYTES: usize = 100;

/// Both ends' settings: one certificate, which the client trusts.
fn parties() -> (ServerConfig, ClientConfig) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).expect("a certificate");
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate");
    (server, ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Waits for the client to go, a twentieth part of its time at most.
fn is_left(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(LIMIT / 20)).expect("an option");
    stream.read(&mut [0]).is_ok_and(|count| count == 0)
}

/// Answers a request a byte at a time, as long as the client puts up with it, and closes in the middle.
fn drip(listener: &TcpListener, config: ServerConfig) {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_nodelay(true).expect("an option");
    let mut session = ServerConnection::new(Arc::new(config)).expect("a session");
    while session.reader().read(&mut [0; 1000]).is_err() {
        session.complete_io(&mut stream).expect("a client");
    }
    let mut answer = Vec::new();
    encode(&mut answer, Direction::Response, 1, crate::Operation::Get, &[&[7; 3000]]).expect("fits");
    session.writer().write_all(&answer).expect("room");
    let mut record = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut record).expect("memory");
    }
    for byte in &record[..BYTES] {
        if is_left(&mut stream) || stream.write_all(&[*byte]).is_err() {
            return;
        }
    }
}

#[test]
fn a_record_that_comes_byte_by_byte_does_not_stretch_the_time_of_a_call() {
    let (server, client) = parties();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("TLS:127.0.0.1:{}", listener.local_addr().expect("bound").port());
    let server = std::thread::spawn(move || drip(&listener, server));
    let settings = ClientSettings { timeout: LIMIT, tls: Some(Arc::new(client)), ..temporary() };
    let mut client = Client::new(address.parse().expect("an address"), settings).expect("an address");
    let result = client.get(b"id");
    assert!(matches!(result, Err(ClientError::Timeout)), "{result:?}");
    drop(client);
    server.join().expect("no panic");
}
