//! Session programs across hosts: TLS between them, and a Redis behind them.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use scenarios::session::{Peer, add, get, have, hex, passes, redis, redis_store, run, said, start, unix};
use tempfile::TempDir;
use testkit::guarded;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// An authority, and one certificate that both ends use.
fn certificates(directory: &Path) -> [String; 3] {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let texts = [("ca", authority.pem()), ("certificate", certificate.pem()), ("key", key.serialize_pem())];
    texts.map(|(name, text)| {
        let path = directory.join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    })
}

#[tokio::test]
async fn tls_lets_in_who_has_a_certificate_and_nobody_else() {
    let directory = directory();
    let [ca, certificate, key] = certificates(directory.path());
    let own = ["--tls-certificate", &certificate, "--tls-key", &key];
    let listen = ["-listen", "TLS:127.0.0.1:0", "-sessions", "60000"];
    let without_ca = run("dc_server", &[&listen[..], &own].concat()).await;
    assert_eq!(without_ca.status.code(), Some(1));
    assert!(said(&without_ca).contains("client CA"), "{}", said(&without_ca));
    let server = start("dc_server", &[&listen[..], &own, &["--tls-client-ca", &ca]].concat()).await;
    let trusted = [&["-persistent", "--tls-ca", &ca][..], &own].concat();
    passes(&server.address, &trusted).await;
    passes(&server.address, &[&["-ops", "50", "--tls-ca", &ca][..], &own].concat()).await;
    // Without a certificate, without trust, without TLS.
    let plain = server.address.replace("TLS:", "IP:");
    for args in [
        &["-connect", &server.address, "--tls-ca", &ca][..],
        &["-connect", &server.address],
        &["-connect", &plain],
    ] {
        let refused = run("dc_test", args).await;
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
    }
    let listen = unix(directory.path(), "proxy");
    let proxy = ["-listen", &listen, "-server", &server.address, "-retry", "20", "--tls-ca", &ca];
    let proxy = start("dc_client", &[&proxy[..], &own, &["--metrics", "127.0.0.1:0"]].concat()).await;
    proxy.connected().await;
    passes(&proxy.address, &["-persistent", "-datamax", "4096"]).await;
    assert!(proxy.stop().await.success() && server.stop().await.success());
}

#[tokio::test]
async fn servers_share_sessions_through_redis_and_survive_its_death() {
    let directory = directory();
    let Some(mut first) = redis(directory.path()).await else { return };
    let [url, key] = redis_store(directory.path());
    let [one, two] = [unix(directory.path(), "one"), unix(directory.path(), "two")];
    let store = ["--store", &url, "--store-key", &key, "--store-timeout", "5s", "--metrics", "127.0.0.1:0"];
    let one = start("dc_server", &[&["-listen", &one][..], &store].concat()).await;
    let two = start("dc_server", &[&["-listen", &two][..], &store].concat()).await;
    passes(&one.address, &["-persistent", "-datamin", "4", "-datamax", "4096", "--connections", "4"]).await;
    let [mut writer, mut reader] = [Peer::connect(&one.address).await, Peer::connect(&two.address).await];
    assert_eq!(writer.status(&add(1, 60_000, b"shared", b"session")).await, 0);
    reader.send(get(2, b"shared")).await;
    reader.expect(&[&hex("00110000 01 00000002 00 01 01 0007")[..], b"session"].concat()).await;
    let text = two.metrics().await;
    assert!(text.lines().any(|line| line == "standpipe_session_store_connected 1"), "{text}");
    first.kill().await.expect("it runs");
    // A store that is down is a miss with a status, never a hang.
    assert_eq!(reader.status(&have(3, b"shared")).await, 2);
    let _second = redis(directory.path()).await.expect("it was there before");
    guarded("the store to come back", async { while reader.status(&have(4, b"shared")).await == 2 {} }).await;
    guarded("the store to come back", async { while writer.status(&have(4, b"shared")).await == 2 {} }).await;
    passes(&one.address, &["-persistent"]).await;
    assert!(one.stop().await.success() && two.stop().await.success());
}
