//! A disk that stands still: what is written waits, nothing is dropped, and memory does not take what the disk does not.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::support::*;
use crate::*;

/// Most that a fill may take from its source before the disk has taken some.
const MOST: usize = 2 << 20;

/// user-demand 4c: 52.
#[tokio::test]
async fn a_disk_that_stands_still_holds_the_source_back_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).unwrap());
    let mut config = config(&directory, 64 << 20);
    config.disk = disk.clone();
    let house = House::open(directory, config);
    let bytes = source(16 << 20, 1);
    let (entry, mut fill) = house.publish(1, Some(bytes.len() as u64), None).await;
    let still = Arc::new((Mutex::new(true), Condvar::new()));
    let waits = still.clone();
    disk.gate(Arc::new(move |operation| {
        if operation == Operation::Write {
            let mut is_still = waits.0.lock();
            waits.1.wait_while(&mut is_still, |is_still| *is_still);
        }
    }));
    let mut taken = 0;
    let mut rest = pieces(&bytes, 64 << 10);
    let held_back = loop {
        let piece = rest.next().expect("the source is held back before its end");
        let length = piece.len();
        let mut write = Box::pin(fill.write(piece));
        if std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx).is_pending())).await {
            break write;
        }
        taken += length;
    };
    assert!(taken <= MOST, "{taken} bytes wait in memory");
    assert_eq!(entry.body.committed(), 0, "nothing is there that the disk has not got");
    *still.0.lock() = false;
    still.1.notify_all();
    held_back.await.unwrap();
    for piece in rest {
        fill.write(piece).await.unwrap();
    }
    fill.finish().await.unwrap();
    assert!(drain(entry.body.read(0..u64::MAX)).await == (bytes, None));
    assert_eq!(house.metric("disk_errors_total"), 0);
}
