//! Listeners with TLS and HTTP/2, with curl as the client. Skipped, with a word on stderr, where curl is not installed.

use std::path::Path;

use testkit::guarded;
use testkit::node::Node;
use testkit::origin::{Origin, Script};
use tokio::process::Command;

/// A certificate for `name` in `directory`; the certificate is its own authority.
fn certificate(directory: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    std::fs::write(directory.join("site.pem"), made.cert.pem()).expect("written");
    std::fs::write(directory.join("site.key"), made.signing_key.serialize_pem()).expect("written");
}

/// What curl says: body, HTTP version, status.
async fn curl(node: &Node, name: &str, path: &str, more: &[&str]) -> Option<String> {
    let line = node.stdout().lines().find(|line| line.contains("https://")).map(str::to_owned);
    let port = line.as_deref().and_then(|line| line.rsplit(':').next()).expect("it says where").to_owned();
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "30", "-w", "|%{http_version}|%{http_code}"])
        .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
        .arg("--cacert")
        .arg(node.directory().join("site.pem"))
        .args(more)
        .arg(format!("https://{name}:{port}{path}"));
    let done = match guarded("curl", command.output()).await {
        Ok(done) => done,
        Err(error) => {
            eprintln!("skipped: curl does not run ({error})");
            return None;
        }
    };
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Some(format!("{out}{}", err.trim()))
}

async fn start(origin: &Origin) -> Node {
    let builder = Node::builder();
    let directory = builder.directory().to_owned();
    certificate(&directory, "docs.example");
    let toml = format!(
        "[server]\ncertificate-interval = \"1s\"\n[[site]]\nname = \"docs\"\norigin = \"{}\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         site = \"docs\"\n[[listener.certificate]]\nchain = \"{dir}/site.pem\"\nkey = \"{dir}/site.key\"\n",
        origin.url("/"),
        dir = directory.display()
    );
    builder.config(&toml).start().await
}

#[tokio::test]
async fn a_site_is_served_over_tls_by_both_protocols() {
    let origin = Origin::start().await;
    let long = testkit::content::content(3, 3 << 20);
    origin.route("/long", Script::object(long.clone()).header("Cache-Control", "max-age=60"));
    origin.route_with("/who", |request, _| {
        let seen = ["x-forwarded-proto", "x-forwarded-for"]
            .map(|name| request.header(name).unwrap_or("-").to_owned());
        Script::answer("200 OK", seen.join(" "))
    });
    let node = start(&origin).await;
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let file = node.directory().join("long");
        let path = file.to_str().expect("text").to_owned();
        let Some(said) = curl(&node, "docs.example", "/long", &[flag, "-o", &path]).await else { return };
        assert_eq!(said, format!("|{version}|200"));
        assert!(std::fs::read(&file).expect("a file") == long, "wrong bytes by {version}");
        let Some(said) = curl(&node, "docs.example", "/who", &[flag, "-X", "POST", "-d", "x"]).await else {
            return;
        };
        assert_eq!(said, format!("https 127.0.0.1|{version}|200"));
    }
    assert_eq!(origin.requests_for("/long").len(), 1);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let origin = Origin::start().await;
    origin.route("/a", Script::answer("200 OK", "abc"));
    let node = start(&origin).await;
    let Some(said) = curl(&node, "renewed.example", "/a", &[]).await else { return };
    assert!(said.starts_with("|0|000"), "{said}");
    certificate(node.directory(), "renewed.example");
    node.logged(&["certificates read again"]).await;
    let Some(said) = curl(&node, "renewed.example", "/a", &["--http2"]).await else { return };
    assert_eq!(said, "abc|2|200");
}
