//! A C program, compiled here with the system's compiler and linked as C programs link the old library, against our
//! server: every call, forks, and a server that goes away.
#![forbid(unsafe_code)]

#[path = "support/library.rs"]
mod library;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use distcache::net::{ListenSettings, Listener};
use distcache::store::MemorySettings;
use distcache::{Address, MemoryStore, Server, ServerSettings};
use library::{Library, run};

/// A server of ours on a thread of its own. Ends with its connections when it is dropped.
struct Running {
    address: Address,
    server: Server,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Running {
    fn start(address: &Address) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads");
        let store = MemoryStore::new(&MemorySettings::default());
        let server = Server::new(Arc::new(store), ServerSettings::default());
        let within = runtime.enter();
        let listener = Listener::bind(address, &ListenSettings::default()).expect("a socket");
        drop(within);
        let address = listener.address().clone();
        let served = server.clone();
        runtime.spawn(async move { served.serve(listener).await });
        Self { address, server, runtime: Some(runtime) }
    }

    fn accepted(&self) -> u64 {
        self.server.metrics().connections.accepted.get()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its tasks and their sockets end now, not some time later.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(60));
        }
    }
}

fn calls(library: &Library, address: &Address, part: &str) -> Command {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/calls.c");
    let mut command = Command::new(library.compile(&source, &[]));
    command.args([&address.to_string(), part]);
    command
}

fn unix(library: &Library) -> Address {
    Address::Unix(library.prefix().join("server"))
}

#[test]
fn a_c_program_calls_everything() {
    let library = Library::install();
    for address in [unix(&library), "IP:127.0.0.1:0".parse().expect("an address")] {
        let running = Running::start(&address);
        run(&mut calls(&library, &running.address, "all"));
        assert_eq!(running.server.metrics().connections.closed_malformed.get(), 0);
        // Nine calls on connections of their own, then one kept connection each for two lives, reget and limits.
        assert_eq!(running.accepted(), 9 + 4);
    }
}

#[test]
fn every_forked_process_connects_once() {
    let library = Library::install();
    let running = Running::start(&unix(&library));
    run(&mut calls(&library, &running.address, "forks"));
    assert_eq!(running.accepted(), 1 + 3);
}

#[test]
fn a_server_that_goes_away_is_a_refusal_and_its_return_is_noticed() {
    let library = Library::install();
    let address = unix(&library);
    let mut running = Some(Running::start(&address));
    let mut command = calls(&library, &address, "restart");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut go = child.stdin.take().expect("piped");
    let asked = BufReader::new(child.stdout.take().expect("piped")).lines();
    for line in asked {
        match line.expect("text").as_str() {
            "gone?" => running = None,
            "back?" => running = Some(Running::start(&address)),
            "again?" => {
                drop(running.take());
                running = Some(Running::start(&address));
            }
            other => panic!("{other}"),
        }
        go.write_all(b"\n").expect("it listens");
    }
    assert!(child.wait().expect("it ends").success());
    drop(running);
}

#[test]
fn pkg_config_and_the_static_library_are_enough_to_build_a_program() {
    let library = Library::install();
    let lib = library.prefix().join("lib");
    let description = std::fs::read_to_string(lib.join("pkgconfig/distcache.pc")).expect("installed");
    assert!(!description.contains('@'), "{description}");
    assert!(description.contains(&format!("prefix={}\n", library.prefix().display())), "{description}");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/calls.c");
    let program = library.prefix().join("static");
    let words = description.lines().find_map(|line| line.strip_prefix("Libs.private: ")).expect("a line");
    let mut cc = Command::new("cc");
    cc.arg("-o")
        .arg(&program)
        .arg(&source)
        .arg(format!("-I{}", library.prefix().join("include").display()))
        .arg(lib.join("libdistcache.a"))
        .args(words.split(' '))
        .arg("-lgcc_s");
    run(&mut cc);
    let running = Running::start(&unix(&library));
    run(Command::new(program).args([&running.address.to_string(), "all"]));
}
