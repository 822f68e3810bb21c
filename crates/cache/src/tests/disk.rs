//! A disk that fails is no reason to fail: what cannot be stored is streamed.

use store::{FaultyDisk, Operation};

use super::*;
use crate::tests::origin::Reply;
use crate::{Error, Kind};

const LENGTH: usize = 200_000;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;

/// A bed over a disk that fails when told.
fn faulty() -> (Bed, Arc<FaultyDisk>) {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(FaultyDisk::new(directory.path(), 1).expect("a disk"));
    let bed = Bed::over(directory, disk.clone());
    bed.origin.always(|_| Reply::whole(&content(LENGTH)));
    (bed, disk)
}

async fn refused(bed: &Bed) -> Error {
    bed.cache.answer(Request { when_full: WhenFull::Refuse, ..get() }).await.err().expect("none")
}

// 4c 52
#[tokio::test]
async fn what_the_disk_does_not_take_is_streamed() {
    for errno in [ENOSPC, EROFS] {
        let (bed, disk) = faulty();
        disk.fail_from(Operation::Create, 1, errno);
        for _ in 0..2 {
            let full = bed.get(get()).await;
            assert_eq!((full.body(), full.how()), (&content(LENGTH)[..], ("bypass", "disk_error")));
        }
        assert_eq!(bed.origin.count(), 2);
        let degraded = bed.cache.reader().usage().degraded.expect("the store says why");
        let error = refused(&bed).await;
        assert_eq!(error.kind, Kind::DiskError);
        assert!(!degraded.is_empty() && !error.detail.is_empty());
        bed.quiet().await;
    }
}

// 4c 52
#[tokio::test]
async fn a_disk_that_fails_in_the_midst_cuts_and_the_next_request_is_streamed() {
    for errno in [ENOSPC, EIO] {
        let (bed, disk) = faulty();
        disk.fail_from(Operation::Write, 1, errno);
        // Cut or passed, as the failure comes after the head or before it; never short and clean.
        if let Ok(answer) = bed.cache.answer(get()).await
            && let Ok(bytes) = Full::of(answer).await.body
        {
            assert!(bytes == content(LENGTH));
        }
        bed.quiet().await;
        let full = bed.get(get()).await;
        assert_eq!((full.body(), full.how()), (&content(LENGTH)[..], ("bypass", "disk_error")));
        bed.quiet().await;
        disk.heal();
    }
}
