//! The command line: every command's words and exit codes.

use std::ffi::OsString;
use std::process::Output;

use scenarios::impatient;
use testkit::content::content;
use testkit::node::{Node, quote_plus, run};
use testkit::origin::{End, Origin, Script};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `standpipe get` through a node, into a file.
async fn get(node: &Node, url: &str, more: &[&str]) -> (Output, std::path::PathBuf) {
    let file = node.directory().join("downloaded");
    let mut args: Vec<OsString> =
        vec!["get".into(), url.into(), "--server".into(), node.url().into(), "-o".into()];
    args.push(file.clone().into());
    args.extend(more.iter().map(OsString::from));
    (run(args).await, file)
}

#[tokio::test]
async fn get_writes_the_whole_object_or_nothing() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(1, 300_000);
    origin.route("/f", Script::object(bytes.clone()));
    let (output, file) = get(&node, &origin.url("/f"), &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(std::fs::read(&file).expect("the file") == bytes);
    std::fs::remove_file(&file).expect("the file");

    origin.route("/broken", Script::object(bytes.clone()).without_validators().cut_at(200_000, End::Reset));
    for path in ["/broken", "/missing"] {
        let (output, file) = get(&node, &origin.url(path), &[]).await;
        assert!(!output.status.success(), "{path}");
        assert!(!file.exists(), "{path} left a file that looks complete");
        assert!(
            !stderr(&output).trim().is_empty() && !stderr(&output).contains("panicked"),
            "{}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn get_verifies_a_digest() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route("/f", Script::object("abc"));
    let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let (output, file) = get(&node, &origin.url("/f"), &["--sha256", good]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read(&file).expect("the file"), b"abc");
    std::fs::remove_file(&file).expect("the file");
    for bad in [&"0".repeat(64), "nonsense"] {
        let (output, file) = get(&node, &origin.url("/f"), &["--sha256", bad]).await;
        assert!(!output.status.success() && !file.exists(), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn get_shows_both_digests_when_they_differ_and_says_that_nothing_was_kept() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let (small, long) = (content(1, 3000), content(2, 3_000_000));
    origin.route("/small", Script::object(small.clone()));
    origin.route("/long", Script::object(long.clone()));
    let expected = "0".repeat(64);
    for (path, bytes) in [("/small", small), ("/long", long)] {
        // The one is answered with a refusal; the other has begun to come and is cut before its end.
        let (output, file) = get(&node, &origin.url(path), &["--sha256", &expected]).await;
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(!file.exists() && !file.with_added_extension("part").exists(), "{path}");
        let said = stderr(&output);
        assert!(said.contains(&expected) && said.contains("Nothing was kept."), "{path}: {said}");
        let is_digest = |word: &&str| {
            word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) && **word != expected
        };
        let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
        let found = words.find(is_digest).unwrap_or_else(|| panic!("{path}: no digest in {said}"));
        let (output, file) = get(&node, &origin.url(path), &["--sha256", found]).await;
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        assert!(std::fs::read(&file).expect("the file") == bytes);
        std::fs::remove_file(&file).expect("the file");
    }
}

#[tokio::test]
async fn get_without_a_file_writes_to_stdout() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    let output = run(["get", &origin.url("/f"), "--server", &node.url(), "-o", "-"]).await;
    assert_eq!((output.status.success(), stdout(&output).as_str()), (true, "abc"), "{}", stderr(&output));
}

#[tokio::test]
async fn get_says_when_there_is_no_server() {
    let gone = Origin::start().await;
    let server = format!("http://{}", gone.stop().await);
    let output = run(["get", "http://127.0.0.1/f", "--server", &server, "-o", "-"]).await;
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).contains(&server[7..]), "{}", stderr(&output));
}

#[tokio::test]
async fn wrap_prints_the_cached_url() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/a%20b", Script::object("abc"));
    let url = origin.url("/a%20b?x=1&y=2");
    let output = run(["wrap", &url, "--server", &node.url()]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let wrapped = stdout(&output).trim().to_owned();
    let target = wrapped.strip_prefix(&node.url()).unwrap_or_else(|| panic!("{wrapped}"));
    node.get(target).await.expect_body(200, "abc");
    assert_eq!(origin.requests()[0].target, "/a%20b?x=1&y=2");
    assert!(!run(["wrap", "ftp://127.0.0.1/x", "--server", &node.url()]).await.status.success());
}

#[tokio::test]
async fn status_and_delete_talk_to_a_running_server() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    node.fetch(&origin.url("/f")).await.expect(200);
    let output = run(["status", "--server", &node.url()]).await;
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", stderr(&output));
    let output = run(["delete", &origin.url("/f"), "--server", &node.url()]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let again = run(["delete", &origin.url("/f"), "--server", &node.url()]).await;
    assert!(!again.status.success(), "deleting what is not there");
    let delete = format!("/api/v1/delete?url={}", quote_plus(&origin.url("/f")));
    node.request("POST", &delete, &[("Content-Length", "0")]).await.expect_refusal(&[404]);
}

// Regression: what was no JSON was printed with `--json`, and passed for a status.
#[tokio::test]
async fn status_of_something_else_is_no_status() {
    let other = Origin::start().await;
    other.route("/api/v1/status/", Script::object("<html>\u{1b}[31mhello</html>"));
    let server = other.url("");
    for arguments in [vec!["status", "--server", &server], vec!["status", "--json", "--server", &server]] {
        let output = run(&arguments).await;
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr(&output).contains("no JSON"), "{}", stderr(&output));
    }
}

// Regression: a URL that cannot be fetched ended `get` and `delete` with 1.
#[tokio::test]
async fn a_wrong_url_is_wrong_usage_in_every_command() {
    for command in ["get", "delete", "wrap"] {
        for url in ["nonsense", "ftp://127.0.0.1/x", "http://"] {
            let output = run([command, url, "--server", "http://127.0.0.1:1"]).await;
            assert_eq!(output.status.code(), Some(2), "{command} {url}: {}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn completions_man_help_and_version_are_there() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(["completions", shell]).await;
        assert!(output.status.success() && stdout(&output).contains("standpipe"), "{shell}");
    }
    let man = run(["man"]).await;
    assert!(man.status.success() && stdout(&man).contains(".TH"), "{}", stderr(&man));
    let help = run(["--help"]).await;
    assert!(help.status.success());
    for word in [
        "serve",
        "get",
        "status",
        "delete",
        "wrap",
        "fsck",
        "scrub",
        "export",
        "import",
        "check-config",
        "--listen",
        "--store-quota",
    ] {
        assert!(stdout(&help).contains(word), "no {word} in --help");
    }
    let version = run(["--version"]).await;
    assert!(version.status.success() && stdout(&version).starts_with("standpipe "));
    assert!(!run(["no-such-command"]).await.status.success());
    assert!(!run(["--no-such-flag"]).await.status.success());
}

#[tokio::test]
async fn check_config_accepts_good_files_and_names_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("standpipe.toml");
    let check = async |text: &str| {
        std::fs::write(&file, text).expect("a writable directory");
        let args: [OsString; 3] = ["check-config".into(), "--config".into(), file.clone().into()];
        run(args).await
    };
    let good = check("[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nquota = \"1GB\"\n").await;
    assert!(good.status.success(), "{}", stderr(&good));
    assert!(check("").await.status.success());
    for (text, line, words) in [
        ("[server]\nlisen = [\"127.0.0.1:0\"]\n", ":2", vec!["lisen", "listen"]),
        ("[sever]\nname = \"x\"\n", ":1", vec!["sever", "server"]),
        ("\n[store]\nquota = \"many\"\n", ":3", vec!["store.quota"]),
        ("[store]\nquota = 1\nquota = 2\n", ":3", vec![]),
        ("[store\n", ":1", vec![]),
        ("[fill]\nretry-for = -1\n", ":2", vec!["fill.retry-for"]),
        ("[server]\nworkers = 0\n", ":2", vec!["server.workers"]),
    ] {
        let output = check(text).await;
        let said = stderr(&output);
        assert!(!output.status.success(), "{text:?} was accepted");
        assert!(said.contains(line), "no line in {said:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} not in {said:?}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let missing: [OsString; 3] =
        ["check-config".into(), "--config".into(), directory.path().join("none").into()];
    assert!(!run(missing).await.status.success());
}

#[tokio::test]
async fn flag_beats_environment_beats_file() {
    let (origin, toml) = (Origin::start().await, "[server]\nname = \"from-file\"\n");
    origin.route("/f", Script::object("abc"));
    let name = async |node: &Node| {
        let answer = node.fetch(&origin.url("/f")).await.expect(200);
        answer.header("x-cache").expect("X-Cache").rsplit(' ').next().unwrap_or_default().to_owned()
    };
    let file = Node::builder().config(toml).start().await;
    assert_eq!(name(&file).await, "from-file");
    let environment = Node::builder().config(toml).env("STANDPIPE_SERVER_NAME", "from-env").start().await;
    assert_eq!(name(&environment).await, "from-env");
    let flag = Node::builder()
        .config(toml)
        .env("STANDPIPE_SERVER_NAME", "from-env")
        .args(["--server-name", "from-flag"])
        .start()
        .await;
    assert_eq!(name(&flag).await, "from-flag");
}

#[tokio::test]
async fn an_upstream_proxy_from_the_environment_is_used() {
    // The scripted origin stands in for a proxy: it sees the absolute form.
    let proxy = Origin::start().await;
    proxy.route("/f", Script::object("abc"));
    let node = impatient()
        .args(["--origin-resolver", "system"])
        .env("http_proxy", format!("http://{}", proxy.address()))
        .env("no_proxy", "127.0.0.2")
        .start()
        .await;
    node.fetch("http://artifacts.example/f").await.expect_body(200, "abc");
    assert_eq!(proxy.requests()[0].target, "http://artifacts.example/f");
    let direct = Origin::start_on("127.0.0.2".parse().expect("an address")).await;
    direct.route("/g", Script::object("def"));
    node.fetch(&direct.url("/g")).await.expect_body(200, "def");
    assert_eq!(proxy.requests().len(), 1);
}
