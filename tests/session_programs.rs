//! The session programs as programs: switches, exit codes, background, users, sockets, metrics, TLS, links, snoop.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::{Signal, kill_process, test_kill_process};
use scenarios::session::{Peer, add, get, have, hex, passes, pid, program, run, said, server, start, unix};
use tempfile::TempDir;
use testkit::{client as http, guarded};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

const PROGRAMS: [&str; 4] = ["dc_server", "dc_client", "dc_test", "dc_snoop"];

#[tokio::test]
async fn help_is_no_failure_and_wrong_usage_is() {
    for name in PROGRAMS {
        for word in ["-h", "-help", "-?", "--help"] {
            let ended = run(name, &[word]).await;
            assert_eq!((ended.status.code(), ended.stdout.len()), (Some(0), 0), "{name} {word}");
            assert!(said(&ended).contains(&format!("Usage: {name}")), "{}", said(&ended));
        }
    }
    let listen = ["-listen", "UNIX:/tmp/never"];
    let with = |more: &[&'static str]| [&listen[..], more].concat();
    let cases: [(&str, Vec<&str>, &str); 28] = [
        ("dc_server", vec![], "listen"),
        ("dc_server", vec!["-listen"], "needs a value"),
        ("dc_server", vec!["-listen", "/tmp/no-prefix"], "UNIX:"),
        ("dc_server", vec!["-listen", "UNIX:"], "path"),
        ("dc_server", with(&["-sessions", "63"]), "64"),
        ("dc_server", with(&["-sessions", "64x"]), "whole number"),
        ("dc_server", with(&["-progress", "1000001"]), "1000000"),
        ("dc_server", with(&["-sockperms", "rw"]), "octal"),
        ("dc_server", with(&["-nonsense"]), "-nonsense"),
        ("dc_server", with(&["nonsense"]), "nonsense"),
        ("dc_server", with(&["--max-bytes", "much"]), "size"),
        ("dc_server", with(&["--max-bytes", "100"]), "at least 33920"),
        ("dc_server", with(&["--tls-certificate", "/none"]), "together"),
        ("dc_client", vec![], "server"),
        ("dc_client", vec!["-server", "IP:9001"], "host"),
        ("dc_client", vec!["-server", "UNIX:/a", "-connect", "UNIX:/b"], "exactly one"),
        ("dc_client", vec!["-server", "UNIX:/a", "-retry", "0"], "1 to 3600000"),
        ("dc_client", vec!["-server", "UNIX:/a", "-idle", "3600001"], "0 to 3600000"),
        ("dc_client", vec!["-server", "TLS:localhost:1"], "--tls-ca"),
        ("dc_test", vec!["-connect", "TLS:localhost:1"], "--tls-ca"),
        ("dc_snoop", with(&["-server", "TLS:localhost:1"]), "--tls-ca"),
        ("dc_test", vec![], "connect"),
        ("dc_test", vec!["-connect", "UNIX:/none", "-datamin", "3"], "4"),
        ("dc_test", vec!["-connect", "UNIX:/none", "-datamin", "9", "-datamax", "8"], "datamin"),
        ("dc_test", vec!["-connect", "UNIX:/none", "-timeout", "5", "-timevar", "5"], "timevar"),
        ("dc_test", vec!["-connect", "UNIX:/none", "-withcert", "1"], "withcert"),
        ("dc_test", vec!["-connect", "UNIX:/none"], "No such file"),
        ("dc_snoop", vec!["-listen", "UNIX:/tmp/never"], "server"),
    ];
    for (name, args, words) in cases {
        let ended = run(name, &args).await;
        assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{name} {args:?}");
        assert!(said(&ended).contains(words), "{name} {args:?}: no {words:?} in {}", said(&ended));
        assert!(!said(&ended).contains("panicked"), "{}", said(&ended));
    }
    assert!(!Path::new("/tmp/never").exists());
}

#[tokio::test]
async fn the_long_commands_are_the_same_programs() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let server = server(&address).await;
    for switches in [["--connect", &address, "--ops", "100"], ["-connect", &address, "-ops", "100"]] {
        let tested = testkit::node::run([&["session", "test"][..], &switches].concat()).await;
        assert!(tested.status.success(), "{}", said(&tested));
    }
    for wrong in [&["session"][..], &["session", "serve"], &["session", "serve", "-listne", &address]] {
        assert_eq!(testkit::node::run(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    let taken = testkit::node::run(["session", "serve", "--listen", &address]).await;
    assert_eq!(taken.status.code(), Some(1));
    assert!(said(&taken).contains("somebody listens"), "{}", said(&taken));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn links_give_the_programs_their_names() {
    let directory = directory();
    let path = shown(directory.path());
    for _ in 0..2 {
        let made = testkit::node::run(["session", "links", &path]).await;
        assert!(made.status.success(), "{}", said(&made));
    }
    let target = fs::canonicalize(program()).expect("the binary");
    for name in PROGRAMS {
        let link = directory.path().join(name);
        assert_eq!(fs::canonicalize(&link).expect("a link"), target);
        let ended = tokio::process::Command::new(&link).arg("-h").output().await.expect("runs");
        assert!(
            ended.status.success() && said(&ended).contains(&format!("Usage: {name}")),
            "{}",
            said(&ended)
        );
    }
    fs::remove_file(directory.path().join("dc_test")).expect("a link");
    fs::write(directory.path().join("dc_test"), "mine").expect("written");
    let refused = testkit::node::run(["session", "links", &path]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read(directory.path().join("dc_test")).expect("still there"), b"mine");
}

#[tokio::test]
async fn a_daemon_is_open_when_its_first_process_ends() {
    let directory = directory();
    let (address, pidfile) = (unix(directory.path(), "server"), directory.path().join("pid"));
    let args =
        ["-listen", &address, "-daemon", "-killable", "-pidfile", &shown(&pidfile), "-sockperms", "640"];
    let started = run("dc_server", &args).await;
    assert!(started.status.success(), "{}", said(&started));
    let text = fs::read_to_string(&pidfile).expect("a pidfile");
    let leftover = Leftover(pid(text.trim().parse().expect("a number")));
    let daemon = leftover.0;
    assert_eq!(text, text.trim());
    let proc = Path::new("/proc").join(&text);
    if is_root() {
        // Its links belong to root, because it cannot be dumped.
        assert_eq!(fs::read_link(proc.join("cwd")).expect("readable"), Path::new("/"));
        for stream in 0..3 {
            let open = fs::read_link(proc.join(format!("fd/{stream}"))).expect("readable");
            assert_eq!(open, Path::new("/dev/null"));
        }
    }
    let stat = fs::read_to_string(proc.join("stat")).expect("readable");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(fields[3], text, "a session of its own");
    assert_eq!(
        fs::metadata(directory.path().join("server")).expect("a socket").permissions().mode() & 0o7777,
        0o640
    );
    passes(&address, &["-persistent"]).await;
    kill_process(daemon, Signal::USR2).expect("it runs");
    guarded("the daemon to end", async { while test_kill_process(daemon).is_ok() && !is_zombie(&text) {} })
        .await;
    assert!(pidfile.exists() && directory.path().join("server").exists(), "both stay, as they always did");
}

/// A daemon that must not outlive a test that fails.
struct Leftover(rustix::process::Pid);

impl Drop for Leftover {
    fn drop(&mut self) {
        // Mostly it has ended as it should.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// Ended, and its new parent has not looked yet.
fn is_zombie(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_so_before_it_goes() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let key = directory.path().join("key");
    fs::write(&key, "5a".repeat(32)).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
    let key = shown(&key);
    for args in [
        &["-listen", "UNIX:/none/at/all"][..],
        // What can never be a store.
        &["-listen", &address, "--store-key", &key, "--store", "http://localhost/"],
        &["-listen", &address, "-pidfile", "/none/at/all"],
        &["-listen", &address, "-user", "no-such-user"],
        &["-listen", &address, "--metrics", "192.0.2.1:1"],
    ] {
        for more in [&["-daemon"][..], &[]] {
            let ended = run("dc_server", &[args, more].concat()).await;
            assert_eq!(ended.status.code(), Some(1), "{args:?}");
            let (said, cause) = (said(&ended), args.last().expect("one"));
            let cause = if cause.starts_with("http:") { "URL" } else { cause };
            assert!(said.contains(cause), "no {cause} in {said}");
        }
    }
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    server(&address).await.kill().await;
    let live = server(&address).await;
    let second = run("dc_server", &["-listen", &address]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("somebody listens"), "{}", said(&second));
    passes(&address, &[]).await;
    assert!(live.stop().await.success());
    fs::write(directory.path().join("file"), "mine").expect("written");
    let file = run("dc_server", &["-listen", &unix(directory.path(), "file")]).await;
    assert_eq!(file.status.code(), Some(1));
    assert_eq!(fs::read(directory.path().join("file")).expect("still there"), b"mine");
}

#[tokio::test]
async fn signals_for_users_end_a_killable_program_and_no_other() {
    let directory = directory();
    for (name, more) in [("dc_server", vec![]), ("dc_client", vec!["-server", "UNIX:/none"])] {
        let address = unix(directory.path(), name);
        let args = [&["-listen", &address][..], &more].concat();
        let ignores = start(name, &args).await;
        ignores.signal(Signal::USR1);
        ignores.signal(Signal::USR2);
        let mut peer = Peer::connect(&address).await;
        let expected = if name == "dc_server" { 1 } else { 2 };
        assert_eq!(peer.status(&have(1, b"id")).await, expected);
        assert!(ignores.stop().await.success());
        for signal in [Signal::USR1, Signal::USR2, Signal::TERM, Signal::INT, Signal::HUP] {
            let mut ends = start(name, &[&args[..], &["-killable"]].concat()).await;
            ends.signal(signal);
            assert_eq!(ends.ended().await.code(), Some(0), "{name} {signal:?}");
        }
    }
}

#[tokio::test]
async fn a_socket_gets_owner_group_and_mode() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let path = directory.path().join("server");
    let with = async |more: &[&str]| {
        let server = start("dc_server", &[&["-listen", &address][..], more].concat()).await;
        let found = fs::metadata(&path).expect("a socket");
        let said = server.stderr();
        assert!(server.stop().await.success());
        ((found.uid(), found.gid(), found.mode() & 0o7777), said)
    };
    let ((uid, gid, _), _) = with(&[]).await;
    assert_eq!(with(&["-sockperms", "0606"]).await.0, (uid, gid, 0o606));
    // Failing is a warning.
    let (found, said) = with(&["-sockowner", "no-such-user", "-sockperms", "660"]).await;
    assert_eq!(found, (uid, gid, 0o660));
    assert!(said.contains("warning") && said.contains("no-such-user"), "{said}");
    if is_root() {
        // Of the user, or of the first line about it: every Debian has these.
        let ((uid, gid, _), _) = with(&["-sockowner", "daemon"]).await;
        assert_eq!((uid, gid), (1, 1));
        let ((uid, gid, _), _) = with(&["-sockgroup", "daemon"]).await;
        assert_eq!((uid, gid), (0, 1));
        let ((uid, gid, _), _) = with(&["-sockowner", "daemon", "-sockgroup", "root"]).await;
        assert_eq!((uid, gid), (1, 0));
    }
    let tcp = start("dc_server", &["-listen", "IP:127.0.0.1:0", "-sockperms", "600"]).await;
    tcp.says(&["warning", "unix sockets"]).await;
    assert!(tcp.stop().await.success());
}

#[tokio::test]
async fn a_program_becomes_another_user_with_its_groups_and_cannot_go_back() {
    if !is_root() {
        return; // Only root can become somebody.
    }
    let directory = directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let (address, pidfile) = (unix(directory.path(), "server"), directory.path().join("pid"));
    // The pidfile is written before: `daemon` could not.
    let args = ["-listen", &address, "-user", "daemon", "-pidfile", &shown(&pidfile), "-sockperms", "666"];
    let server = start("dc_server", &args).await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("readable");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((field("Uid:"), field("Gid:")), (vec!["1".to_owned(); 4], vec!["1".to_owned(); 4]));
    assert!(!field("Groups:").contains(&"0".to_owned()), "{status}");
    assert_eq!(field("CapEff:"), ["0000000000000000"]);
    for thread in fs::read_dir(format!("/proc/{}/task", server.pid())).expect("readable").flatten() {
        let status = fs::read_to_string(thread.path().join("status")).expect("readable");
        assert!(status.contains("Uid:\t1\t1\t1\t1"), "{status}");
    }
    passes(&address, &["-persistent"]).await;
    assert_eq!(fs::read_to_string(&pidfile).expect("a pidfile"), server.pid().to_string());
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn sessions_stay_out_of_core_dumps() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("readable");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn status_lines_tell_of_sessions_and_of_progress() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let server = start("dc_server", &["-listen", &address, "-progress", "100"]).await;
    let mut peer = Peer::connect(&address).await;
    assert_eq!(peer.status(&add(1, 60_000, b"id", b"session")).await, 0);
    server.says(&["1 operations (+1), 1 sessions (+1)"]).await;
    for _ in 0..99 {
        assert_eq!(peer.status(&have(1, b"id")).await, 0);
    }
    server.says(&["100 operations (+99), 1 sessions (+0)"]).await;
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn timeouts_have_a_floor_when_that_is_wanted() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let server = start("dc_server", &["-listen", &address, "--min-ttl", "5min"]).await;
    let mut peer = Peer::connect(&address).await;
    // What httpd's own module asks for. Without a floor it were gone with the next millisecond.
    assert_eq!(peer.status(&add(1, 0, b"id", b"session")).await, 0);
    assert_eq!(peer.status(&add(1, 0, b"marker", b"session")).await, 0);
    let later = std::time::Instant::now();
    while later.elapsed().as_millis() < 5 {
        assert_eq!(peer.status(&have(1, b"id")).await, 0);
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn bytes_are_bounded_and_shown() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let args =
        ["-listen", &address, "-sessions", "100000", "--max-bytes", "64KiB", "--metrics", "127.0.0.1:0"];
    let server = start("dc_server", &args).await;
    let mut peer = Peer::connect(&address).await;
    for number in 0..1000_u32 {
        assert_eq!(peer.status(&add(1, 60_000 + number, &number.to_be_bytes(), &[7; 1000])).await, 0);
    }
    // The newest ends last.
    assert_eq!(peer.status(&have(1, &999_u32.to_be_bytes())).await, 0);
    assert_eq!(peer.status(&have(1, &0_u32.to_be_bytes())).await, 1);
    let text = server.metrics().await;
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(-1.0)
    };
    let (bytes, sessions) = (value("standpipe_session_bytes"), value("standpipe_session_sessions"));
    assert!(bytes > 0.0 && bytes <= 65_536.0, "{text}");
    assert!(sessions > 10.0 && sessions < 66.0, "{text}");
    assert!((value("standpipe_session_evicted_total") - (1000.0 - sessions)).abs() < 0.5, "{text}");
    assert!(
        text.contains("standpipe_session_operations_total{operation=\"add\",result=\"stored\"} 1000"),
        "{text}"
    );
    let address = server.metrics_address().await;
    assert_eq!(http::get(address, "/other").await.status, 404);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn only_the_named_users_may_connect() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let me = rustix::process::getuid().as_raw();
    let (mine, other) = (me.to_string(), (me + 1).to_string());
    let args = ["-listen", &address, "--allow-uid", &other, "--allow-uid", &mine];
    let server = start("dc_server", &args).await;
    passes(&address, &[]).await;
    assert!(server.stop().await.success());
    let server =
        start("dc_server", &["-listen", &address, "--allow-uid", &other, "--metrics", "127.0.0.1:0"]).await;
    let mut peer = Peer::connect(&address).await;
    peer.send_to_deaf_ears(have(1, b"id")).await;
    assert_eq!(peer.rest().await, b"");
    let text = server.metrics().await;
    assert!(text.contains("standpipe_session_connections_refused_total{reason=\"uid\"} 1"), "{text}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn connections_and_idle_clients_are_bounded() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let server = start("dc_server", &["-listen", &address, "--connections", "1", "--idle", "50ms"]).await;
    let mut first = Peer::connect(&address).await;
    assert_eq!(first.status(&have(1, b"id")).await, 1);
    assert_eq!(Peer::connect(&address).await.rest().await, b"");
    // It asks no more.
    assert_eq!(first.rest().await, b"");
    assert!(server.stop().await.success());
    let proxy = unix(directory.path(), "proxy");
    let idle = start("dc_client", &["-listen", &proxy, "-server", &address, "-idle", "50"]).await;
    assert_eq!(Peer::connect(&proxy).await.rest().await, b"");
    assert!(idle.stop().await.success());
}

#[tokio::test]
async fn a_server_on_a_descriptor_ends_with_its_client() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut called = scenarios::session::called("dc_server", &["-listen", "FD:0"]);
    let mut child = called.stdin(std::os::fd::OwnedFd::from(theirs)).spawn().expect("runs");
    drop(called);
    ours.set_nonblocking(true).expect("an option");
    let mut peer = Peer::from(tokio::net::UnixStream::from_std(ours).expect("a stream"));
    assert_eq!(peer.status(&have(1, b"id")).await, 1);
    drop(peer);
    let status = guarded("the server to end", child.wait()).await.expect("a child");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_test_reports_and_keeps_to_its_rate() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let args =
        ["-connect", &server.address, "-persistent", "-ops", "200", "--rate", "400", "--connections", "2"];
    let ended =
        run("dc_test", &[&args[..], &["--report", "--json", "-progress", "50", "--seed", "1"]].concat())
            .await;
    let said = said(&ended);
    assert!(ended.status.success(), "{said}");
    for words in
        ["200 operations on UNIX:", "50 operations", "200 operations passed", "operations/s", "p99.9"]
    {
        assert!(said.contains(words), "no {words} in {said}");
    }
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON and nothing else");
    assert_eq!(report["operations"], 200);
    let counted =
        report["histogram"].as_array().expect("rows").iter().filter_map(|row| row["count"].as_u64());
    assert_eq!(counted.sum::<u64>(), 200);
    // The last of 200 at 400 a second begins 497.5 ms after the first.
    let seconds = report["seconds"].as_f64().expect("a number");
    assert!(seconds >= 0.497, "{seconds}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_snoop_passes_everything_on_and_shows_no_secrets() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let listen = unix(directory.path(), "snoop");
    let snoop = start("dc_snoop", &["-listen", &listen, "-server", &server.address]).await;
    passes(&listen, &["-persistent", "-datamin", "4", "-datamax", "9000"]).await;
    passes(&listen, &["-ops", "200"]).await;
    let mut peer = Peer::connect(&listen).await;
    peer.send(hex("00110000 00 00000001 00 00 01 001c 0000ea60 00000008 4142434445464748")).await;
    peer.send(b"session-data").await;
    peer.expect(&hex("00110000 01 00000001 00 00 01 0001 00")).await;
    peer.send(get(0xdead_beef, b"ABCDEFGH")).await;
    peer.expect(&[&hex("00110000 01 deadbeef 00 01 01 000c")[..], b"session-data"].concat()).await;
    snoop.says(&["> uid 1, 42 bytes: add", "id_bytes 8", "session_bytes 12", "timeout_ms 60000"]).await;
    snoop.says(&["< uid 3735928559, 26 bytes: get", "session_bytes 12", "after "]).await;
    peer.send_to_deaf_ears(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(peer.rest().await, b"");
    snoop.says(&["version"]).await;
    let said = snoop.stderr();
    for secret in ["ABCDEFGH", "4142434445464748", "session-data", "73657373"] {
        assert!(!said.contains(secret), "{secret} is shown");
    }
    assert!(snoop.stop().await.success() && server.stop().await.success());
}

#[tokio::test]
async fn a_snoop_shows_json_and_secrets_when_it_is_told_to() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let args = ["-listen", "FD:0", "-connect", &server.address, "--json", "--reveal"];
    let mut called = scenarios::session::called("dc_snoop", &args);
    called.stdin(std::os::fd::OwnedFd::from(theirs));
    let running =
        tokio::spawn(called.stdout(std::process::Stdio::piped()).spawn().expect("runs").wait_with_output());
    drop(called);
    ours.set_nonblocking(true).expect("an option");
    let mut peer = Peer::from(tokio::net::UnixStream::from_std(ours).expect("a stream"));
    assert_eq!(peer.status(&add(7, 60_000, b"ABCDEFGH", b"session")).await, 0);
    drop(peer);
    let ended = guarded("the snoop to end with its client", running).await.expect("no panic").expect("runs");
    assert_eq!(ended.status.code(), Some(0));
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}")))
        .collect();
    assert_eq!(
        (&lines[0]["uid"], &lines[0]["operation"], &lines[0]["id"]),
        (&7.into(), &"add".into(), &"4142434445464748".into())
    );
    assert_eq!((&lines[1]["direction"], &lines[1]["status"]), (&"response".into(), &0.into()));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn the_proxy_shows_metrics_and_starts_without_a_server() {
    let directory = directory();
    let (listen, address) = (unix(directory.path(), "proxy"), unix(directory.path(), "server"));
    let args = ["-listen", &listen, "-server", &address, "-retry", "20", "--metrics", "127.0.0.1:0"];
    let proxy = start("dc_client", &args).await;
    let mut peer = Peer::connect(&listen).await;
    assert_eq!(peer.status(&have(1, b"id")).await, 2);
    let server = server(&address).await;
    guarded("the proxy to find its server", async { while peer.status(&have(1, b"id")).await == 2 {} }).await;
    let text = proxy.metrics().await;
    for line in ["standpipe_session_proxy_connected 1", "standpipe_session_connections_open 1"] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(server.stop().await.success() && proxy.stop().await.success());
}
