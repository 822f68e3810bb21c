//! What a client had taken stayed in the server's memory until it had taken everything: one that asks on and on and
//! takes its answers in small pieces made the server grow by all that it was ever sent.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use scenarios::session::{add, called, frame, get};
use tokio::task::spawn_blocking;

/// Resident memory of a process, in bytes.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a number") * 1024
}

#[tokio::test]
async fn a_client_that_takes_small_pieces_for_ever_costs_no_more_than_its_limit() {
    // Pipes take a page at a time; a socket would take much more at once.
    let (input, mut asks) = std::io::pipe().expect("a pipe");
    let (mut answers, output) = std::io::pipe().expect("a pipe");
    let mut called = called("dc_server", &["-listen", "FD:0:1"]);
    called.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(output));
    let mut child = called.spawn().expect("the binary runs");
    drop(called);
    let process = child.id().expect("it runs");
    let session = [7; 2000];
    asks.write_all(&add(1, 60_000, b"id", &session)).expect("it reads");
    let (answers, before) = spawn_blocking(move || {
        answers.read_exact(&mut [0; 15]).expect("an answer");
        (answers, resident(process))
    })
    .await
    .expect("no panic");
    // 60 MB of answers, and a page of them at a time.
    let asked = 30_000;
    let asking = spawn_blocking(move || asks.write_all(&get(2, b"id").repeat(asked)).map(|()| asks));
    let taking = spawn_blocking(move || {
        let (mut answers, mut page, mut left) = (answers, [0; 4096], asked * frame(2, 1, 1, &session).len());
        while left > 0 {
            let most = page.len().min(left);
            left -= answers.read(&mut page[..most]).expect("answers");
        }
        answers
    });
    let answers = testkit::guarded("all answers", taking).await.expect("no panic");
    let asks = asking.await.expect("no panic").expect("it reads");
    let grown = resident(process).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    drop((asks, answers));
    child.kill().await.expect("it runs");
}
