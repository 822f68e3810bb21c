//! Session programs under load: a million operations that dc_test checks one by one, and deaths and restarts on the way.

use rustix::process::Signal;
use scenarios::session::{Running, client, pid, run, said, server, start, unix};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// dc_test processes at once.
const AT_ONCE: usize = 8;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Eight dc_test at once, over and over, with sessions of 4 to 4096 bytes; returns how many operations passed.
async fn row(address: &str, switches: &[&'static str], operations: usize, rounds: usize) -> usize {
    let operations_each = operations.to_string();
    for _ in 0..rounds {
        let mut tests = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (address, operations) = (address.to_owned(), operations_each.clone());
            let switches = switches.to_vec();
            tests.spawn(async move {
                let lengths = ["-sessions", "20", "-datamin", "4", "-datamax", "4096", "-ops", &operations];
                scenarios::session::passes(&address, &[&lengths[..], &switches].concat()).await;
            });
        }
        tests.join_all().await;
    }
    operations * rounds * AT_ONCE
}

#[tokio::test]
async fn a_million_operations_are_answered_right() {
    let directory = directory();
    let by_unix = server(&unix(directory.path(), "server")).await;
    let by_tcp = server("IP:127.0.0.1:0").await;
    let by_proxy = client(&unix(directory.path(), "proxy"), &by_tcp.address).await;
    let mut done = 0;
    for (server, rounds) in [(&by_unix, 5), (&by_tcp, 4), (&by_proxy, 3)] {
        done += row(&server.address, &["-persistent"], 8000, rounds).await;
    }
    for (server, operations) in [(&by_unix, 10_000), (&by_tcp, 3000), (&by_proxy, 8000)] {
        done += row(&server.address, &[], operations, 1).await;
    }
    done += row(&by_unix.address, &["-persistent", "--connections", "8"], 8000, 1).await;
    assert!(done >= 1_000_000, "{done}");
    for server in [by_proxy, by_unix, by_tcp] {
        assert!(server.stop().await.success());
    }
}

/// dc_test that would run for ever, under way.
async fn load(address: &str, switches: &[&str]) -> Running {
    let all =
        [&["-connect", address, "-timeout", "3600", "-ops", "1000000000", "-progress", "100"], switches];
    // The first line says how many operations there will be, the next that the first hundred are done.
    Running::start_until("dc_test", &all.concat(), "dc_test: 100 operations").await
}

#[tokio::test]
async fn a_proxy_survives_the_death_of_its_server_under_load_and_finds_the_next() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let first = server(&address).await;
    let proxy = client(&unix(directory.path(), "proxy"), &address).await;
    let mut loads = Vec::new();
    for switches in [&["-persistent"][..], &["-persistent"], &[], &["-persistent", "--connections", "4"]] {
        loads.push(load(&proxy.address, switches).await);
    }
    first.kill().await;
    for load in &mut loads {
        // Told, not left waiting: what the server had is lost, so the check fails.
        assert_eq!(load.ended().await.code(), Some(1), "{}", load.stderr());
    }
    // The abandoned socket is no obstacle.
    let second = server(&address).await;
    proxy.connected().await;
    row(&proxy.address, &["-persistent"], 500, 1).await;
    assert!(proxy.stop().await.success() && second.stop().await.success());
}

#[tokio::test]
async fn a_server_is_stopped_and_started_again_under_load() {
    let directory = directory();
    let address = unix(directory.path(), "server");
    let mut switches = [&["-persistent"][..], &[]].into_iter().cycle();
    for _ in 0..3 {
        let first = server(&address).await;
        let mut under_way = load(&address, switches.next().expect("endless")).await;
        assert!(first.stop().await.success(), "a stop under load is a clean stop");
        assert_eq!(under_way.ended().await.code(), Some(1), "{}", under_way.stderr());
    }
    let last = server(&address).await;
    row(&address, &["-persistent"], 500, 1).await;
    assert!(last.stop().await.success());
}

#[tokio::test]
async fn clients_may_be_killed_in_the_middle_of_requests() {
    let directory = directory();
    let server = server(&unix(directory.path(), "server")).await;
    let proxy = client(&unix(directory.path(), "proxy"), &server.address).await;
    for address in [&server.address, &proxy.address] {
        for _ in 0..4 {
            load(address, &["-persistent", "--connections", "4", "-datamin", "4000", "-datamax", "9000"])
                .await
                .kill()
                .await;
        }
        row(address, &["-persistent"], 500, 1).await;
    }
    assert!(proxy.stop().await.success() && server.stop().await.success());
}

#[tokio::test]
async fn a_server_that_forgets_is_found_out() {
    let directory = directory();
    // Too small for the sessions of the test: some are dropped before their time.
    let server = start("dc_server", &["-listen", &unix(directory.path(), "server"), "-sessions", "64"]).await;
    let ended = run("dc_test", &["-connect", &server.address, "-persistent", "-sessions", "512"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(said(&ended).contains("expected"), "{}", said(&ended));
    // It is the server that must be right, not the test that must be patient.
    rustix::process::test_kill_process(pid(server.pid())).expect("still there");
    server.signal(Signal::TERM);
}
