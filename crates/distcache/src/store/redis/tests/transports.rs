//! A cluster, and TLS. Neither can be on a unix socket.

use std::cell::Cell;

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

/// Three nodes that know each other, each with a third of the slots.
async fn three_nodes() -> [RedisServer; 3] {
    let start = || {
        let used = Cell::new(0);
        let server = RedisServer::start_on_ports("redis", |_, port, bus| {
            used.set(bus);
            let words = format!(
                "--port {port} --cluster-enabled yes --cluster-port {bus} --cluster-node-timeout 1000 \
                 --cluster-require-full-coverage no"
            );
            words.split(' ').map(str::to_owned).collect()
        });
        (server, used.get())
    };
    let nodes = [start(), start(), start()];
    for ((node, _), slots) in nodes.iter().zip([(0, 5460), (5461, 10922), (10923, 16383)]) {
        ::redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(slots.0).arg(slots.1).exec(&mut raw(node)).unwrap();
    }
    for (node, bus) in &nodes[1..] {
        let port = node.url().rsplit(':').next().unwrap();
        let meet = ["MEET", "127.0.0.1", port, &bus.to_string()];
        ::redis::cmd("CLUSTER").arg(&meet).exec(&mut raw(&nodes[0].0)).unwrap();
    }
    for (node, _) in &nodes {
        let knows_all = || {
            let info: String = ::redis::cmd("CLUSTER").arg("INFO").query(&mut raw(node)).unwrap();
            info.contains("cluster_slots_ok:16384") && info.contains("cluster_state:ok")
        };
        while !knows_all() {
            tokio::task::yield_now().await;
        }
    }
    nodes.map(|(node, _)| node)
}

#[tokio::test]
async fn a_cluster_of_three_is_one_store_and_lives_on_without_one_of_them() {
    let mut nodes = timeout(Duration::from_secs(300), three_nodes()).await.expect("they find each other");
    let url = nodes[1].url().replace("redis:", "redis+cluster:");
    let redis = Arc::new(RedisStore::open(settings(&url)).expect("a store"));
    let store: Arc<dyn SessionStore> = redis.clone();
    for number in 0..60_u8 {
        assert_eq!(add(&*store, &[number], &[number; 100]).await, Ok(Added::Stored));
    }
    assert_eq!(store.len().wait().await, Ok(60), "of all nodes together");
    for node in &nodes {
        let own: u64 = ::redis::cmd("DBSIZE").query(&mut raw(node)).unwrap();
        assert!(own > 0, "every node has some");
    }
    for number in 0..30_u8 {
        assert_eq!(take(&store, &[number]).await, Ok(Some(vec![number; 100])));
        assert_eq!(take(&store, &[number]).await, Ok(None));
    }
    nodes[0].kill();
    let mut found = 0;
    for number in 30..60_u8 {
        let within = Duration::from_secs(60);
        let answer = timeout(within, get(&store, &[number])).await.expect("never a hang");
        found += usize::from(answer.is_ok_and(|session| session.is_some()));
    }
    assert!((1..30).contains(&found), "those of the others: {found}");
    assert!(redis.breaker().is_closed(), "most of it works");
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
