//! A cluster, and TLS. Neither can be on a unix socket.

use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn a_cluster_serves_every_operation_and_may_die_and_come_back() {
    let mut server = RedisServer::start_on_ports("redis+cluster", |_, port, bus| {
        let words = format!("--port {port} --cluster-enabled yes --cluster-port {bus}");
        words.split(' ').map(str::to_owned).collect()
    });
    let plain = server.url().replace("redis+cluster", "redis");
    let mut raw = ::redis::Client::open(&*plain).unwrap().get_connection().unwrap();
    ::redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).exec(&mut raw).unwrap();
    assert!(server.wait_for("Cluster state changed: ok"));

    let clock = ManualClock::default();
    let settings = RedisSettings { timeout: Duration::from_secs(5), ..settings(server.url()) };
    let redis = Arc::new(RedisStore::with_clock(settings, Arc::new(clock.clone())).expect("a store"));
    let store: Arc<dyn SessionStore> = redis.clone();
    for number in 0..50_u8 {
        assert_eq!(add(&*store, &[number], &[number; 100]).await, Ok(Added::Stored));
        assert_eq!(add(&*store, &[number], b"other").await, Ok(Added::Duplicate));
    }
    assert_eq!(store.len().wait().await, Ok(50));
    assert_eq!(get(&store, &[7]).await, Ok(Some(vec![7; 100])));
    assert_eq!(take(&store, &[7]).await, Ok(Some(vec![7; 100])));
    assert_eq!(take(&store, &[7]).await, Ok(None));
    assert_eq!(store.have(&[8]).wait().await, Ok(true));
    assert_eq!(store.remove(&[8]).wait().await, Ok(true));

    server.kill();
    let given_up = async {
        while redis.breaker().is_closed() {
            assert!(add(&*store, b"id", b"session").await.is_err());
        }
    };
    timeout(Duration::from_secs(300), given_up).await.expect("never a hang");
    server.restart();
    assert!(server.wait_for("Cluster state changed: ok"));
    let back = async {
        while add(&*store, b"id", b"session").await.is_err() {
            clock.advance(Duration::from_secs(60));
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(300), back).await.expect("it comes back");
    assert!(redis.metrics().connects.get() >= 2, "begun anew");
}

#[tokio::test]
async fn tls_is_checked_on_both_sides() {
    let (ca, certificate, key) = certificates();
    let server = RedisServer::start_on_ports("rediss", |directory, port, _| {
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let words = ["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "yes"];
        let mut arguments: Vec<String> = words.into_iter().map(str::to_owned).collect();
        for (switch, path) in [
            ("--tls-ca-cert-file", file("ca.pem", &ca)),
            ("--tls-cert-file", file("certificate.pem", &certificate)),
            ("--tls-key-file", file("key.pem", &key)),
        ] {
            arguments.extend([switch.to_owned(), path]);
        }
        arguments
    });
    let with = |ca: Option<&str>, client: Option<(&str, &str)>| -> Arc<dyn SessionStore> {
        let tls = RedisTls {
            ca: ca.map(|ca| ca.as_bytes().to_vec()),
            client: client.map(|(chain, key)| (chain.as_bytes().to_vec(), key.as_bytes().to_vec())),
        };
        Arc::new(RedisStore::open(RedisSettings { tls, ..settings(server.url()) }).expect("a store"))
    };
    let known = Some((&*certificate, &*key));
    assert_eq!(add(&*with(Some(&ca), known), b"id", b"session").await, Ok(Added::Stored));
    assert!(add(&*with(Some(&ca), None), b"id", b"session").await.is_err(), "who is it?");
    let (stranger, ..) = certificates();
    assert!(add(&*with(Some(&stranger), known), b"id", b"session").await.is_err(), "not whom we trust");
}

/// A CA, and a certificate for localhost with its key.
fn certificates() -> (String, String, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    // With the CA's name OpenSSL would take it for one that signed itself.
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    let certificate = parameters.signed_by(&key, &ca).unwrap();
    (ca.pem(), certificate.pem(), key.serialize_pem())
}
