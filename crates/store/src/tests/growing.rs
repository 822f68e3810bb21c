//! Bodies while they grow and when they end.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::support::*;
use crate::*;

#[tokio::test]
async fn a_small_body_is_whole_for_readers_before_it_is_on_disk() {
    let house = House::new(1 << 20);
    let (entry, mut fill) = house.publish(1, Some(5), None).await;
    let mut reader = entry.body.read(0..u64::MAX);
    assert_eq!(now(&mut reader), Got::Nothing);
    fill.write("hello".into()).await.unwrap();
    assert_eq!(now(&mut reader), Got::Bytes("hello".into()));
    assert_eq!(now(&mut reader), Got::End);
    assert_eq!(house.files("bodies"), 0);
    assert_eq!(fill.finish().await, Ok(Digest::of(b"hello")));
    assert_eq!(entry.body.wait_complete().await, Ok((5, Digest::of(b"hello"))));
    house.writer.settle().await;
    assert_eq!(house.body(&Digest::of(b"hello")), b"hello");
    assert_eq!(entry.body.state(), BodyState::Complete);
}

#[tokio::test]
async fn a_long_body_grows_under_its_readers() {
    let house = House::new(64 << 20);
    for length in [Some(3_000_000), None] {
        let source = source(3_000_000, length.unwrap_or(0));
        let (entry, mut fill) = house.publish(1, length, None).await;
        let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
        for piece in pieces(&source, 100_000) {
            fill.write(piece).await.unwrap();
        }
        assert_eq!(fill.received(), 3_000_000);
        let digest = fill.finish().await.unwrap();
        assert_eq!(follower.await.unwrap(), (source.clone(), None));
        assert_eq!(house.body(&digest), source);
        assert_eq!(entry.body.length(), Some(3_000_000));
        assert_eq!(drain(entry.body.read(2_999_999..u64::MAX)).await, (source[2_999_999..].to_vec(), None));
    }
}

/// user-demand 4c: 30.
#[tokio::test]
async fn bodies_of_no_byte_and_of_one_byte_are_bodies() {
    let house = House::new(1 << 20);
    for (key, bytes) in [(1, ""), (2, "x")] {
        for length in [Some(bytes.len() as u64), None] {
            for promised in [None, Some(Digest::of(bytes.as_bytes()))] {
                let (entry, mut fill) = house.publish(key, length, promised).await;
                let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
                fill.write(bytes.into()).await.unwrap();
                assert_eq!(fill.finish().await, Ok(Digest::of(bytes.as_bytes())));
                assert_eq!(follower.await.unwrap(), (bytes.into(), None));
                assert_eq!(drain(entry.body.read(1..9)).await, (vec![], None));
                house.writer.settle().await;
                assert_eq!(house.body(&Digest::of(bytes.as_bytes())), bytes.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn first_bytes_are_committed_at_once_and_later_ones_in_steps() {
    let house = House::new(1 << 20);
    let (entry, mut fill) = house.publish(1, None, None).await;
    fill.write("a".into()).await.unwrap();
    assert_eq!(entry.body.wait_committed(1).await, Ok(1));
    fill.write(vec![0; 200_000].into()).await.unwrap();
    assert_eq!(entry.body.committed(), 1);
    fill.write(vec![0; 100_000].into()).await.unwrap();
    assert_eq!(entry.body.wait_committed(2).await, Ok(1 + (256 << 10)));
    fill.flush().await.unwrap();
    assert_eq!(entry.body.committed(), 300_001);
    assert_eq!(entry.body.gaps(300_000..300_003).first(), Some(&(300_001..300_003)));
}

#[tokio::test]
async fn a_range_ends_where_asked_or_at_the_true_end() {
    let house = House::new(1 << 20);
    let source = source(100_000, 1);
    let (entry, mut fill) = house.publish(1, None, None).await;
    let (mut early, mut beyond) = (entry.body.read(10..20), entry.body.read(100_001..100_002));
    fill.write(source[..50_000].to_vec().into()).await.unwrap();
    fill.flush().await.unwrap();
    assert_eq!(now(&mut early), Got::Bytes(source[10..20].to_vec().into()));
    assert_eq!(now(&mut early), Got::End);
    assert_eq!(now(&mut beyond), Got::Nothing);
    assert_eq!(now(&mut entry.body.read(50_000..50_000)), Got::End);
    fill.write(source[50_000..].to_vec().into()).await.unwrap();
    fill.finish().await.unwrap();
    assert_eq!(now(&mut beyond), Got::End);
    assert_eq!(drain(entry.body.read(99_990..200_000)).await, (source[99_990..].to_vec(), None));
}

/// user-demand 4c: 31, 32.
#[tokio::test]
async fn a_body_of_another_length_than_declared_fails_after_what_is_committed() {
    let house = House::new(1 << 20);
    for length in [10, 100_000] {
        let (entry, mut fill) = house.publish(1, Some(length), None).await;
        let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
        fill.write("short".into()).await.unwrap();
        assert_eq!(fill.finish().await.unwrap_err().reason, "origin_short_body");
        let (bytes, failure) = follower.await.unwrap();
        assert_eq!((bytes.as_slice(), failure.unwrap().reason), (&b"short"[..], "origin_short_body"));
        assert!(house.writer.reader().lookup(&key_of(1)).is_none());

        let (entry, mut fill) = house.publish(1, Some(length), None).await;
        let long = vec![1; length as usize + 1];
        assert_eq!(fill.write(long.into()).await.unwrap_err().reason, "origin_long_body");
        assert_eq!(fill.write("more".into()).await.unwrap_err().reason, "origin_long_body");
        assert_eq!(drain(entry.body.read(0..length)).await.1.unwrap().reason, "origin_long_body");
        assert_eq!(fill.finish().await.unwrap_err().reason, "origin_long_body");
    }
}

#[tokio::test]
async fn a_dropped_fill_fails_its_followers_and_leaves_nothing() {
    let house = House::new(1 << 20);
    for length in [Some(10), Some(100_000), None] {
        let (entry, mut fill) = house.publish(1, length, None).await;
        fill.write("begin".into()).await.unwrap();
        fill.flush().await.unwrap();
        drop(fill);
        assert!(house.writer.reader().lookup(&key_of(1)).is_none());
        let (bytes, failure) = drain(entry.body.read(0..u64::MAX)).await;
        assert_eq!((bytes.as_slice(), failure.unwrap().reason), (&b"begin"[..], "fill_abandoned"));
        assert_eq!(drain(entry.body.read(0..5)).await, (b"begin".to_vec(), None));
        assert!(entry.body.wait_complete().await.is_err());
        assert_eq!(entry.body.wait_committed(5).await, Ok(5));
        assert!(entry.body.wait_committed(6).await.is_err());
        drop(entry);
        house.writer.settle().await;
        assert_eq!((house.files("fills"), house.files("bodies")), (0, 0));
        assert_eq!(house.usage(), Usage { quota: 1 << 20, ..Usage::default() });
    }
}

#[tokio::test]
async fn a_fill_dropped_when_its_body_is_complete_already_changes_nothing() {
    let house = House::new(1 << 20);
    for (key, length) in [(1, 5), (2, 100_000)] {
        let (entry, mut fill) = house.publish(key, Some(length), None).await;
        fill.write(vec![key; length as usize].into()).await.unwrap();
        let mut finish = Box::pin(fill.finish());
        let end = entry.body.wait_complete();
        tokio::select! {
            biased;
            end = end => assert!(end.is_ok()),
            // The fill may hear of it first.
            digest = &mut finish => assert!(digest.is_ok()),
        }
        drop(finish);
        assert_eq!(entry.body.state(), BodyState::Complete);
        assert!(house.writer.reader().lookup(&key_of(key)).is_some());
    }
}

#[tokio::test]
async fn a_promised_digest_is_matched_before_the_last_block_is_released() {
    let house = House::new(8 << 20);
    for (key, size) in [(1, 1000), (2, 300_000)] {
        let source = source(size, key);
        for length in [Some(size as u64), None] {
            for right in [true, false] {
                let promised = if right { Digest::of(&source) } else { Digest::of(b"other") };
                let (entry, mut fill) = house.publish(key as u8, length, Some(promised)).await;
                let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
                for piece in pieces(&source, 7000) {
                    fill.write(piece).await.unwrap();
                }
                fill.flush().await.unwrap();
                let released = size.saturating_sub(64 << 10);
                assert_eq!(entry.body.committed(), released as u64);
                let end = fill.finish().await;
                let (bytes, failure) = follower.await.unwrap();
                if right {
                    assert_eq!(end, Ok(promised));
                    assert_eq!((bytes, failure), (source.clone(), None));
                } else {
                    assert_eq!(end.unwrap_err().reason, "digest_mismatch");
                    assert_eq!(failure.unwrap().reason, "digest_mismatch");
                    assert!(bytes == source[..released]);
                    let known = house.writer.reader().lookup(&key_of(key as u8));
                    assert!(known.is_none_or(|known| !Arc::ptr_eq(&known.body, &entry.body)));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_verified_reader_gets_the_last_block_only_of_the_right_body() {
    let house = House::new(8 << 20);
    for (key, size) in [(1, 1000), (2, 300_000)] {
        let source = source(size, key);
        let (right, wrong) = (Digest::of(&source), Digest::of(b"other"));
        let (entry, mut fill) = house.publish(key as u8, Some(size as u64), None).await;
        let followers =
            [right, wrong].map(|digest| tokio::spawn(drain(entry.body.read_verified(0..u64::MAX, digest))));
        fill.write(source.clone().into()).await.unwrap();
        fill.finish().await.unwrap();
        let [good, bad] = followers;
        assert_eq!(good.await.unwrap(), (source.clone(), None));
        let (bytes, failure) = bad.await.unwrap();
        assert_eq!(failure.unwrap().reason, "digest_mismatch");
        assert!(bytes.len() <= size.saturating_sub(64 << 10) && source.starts_with(&bytes));

        assert_eq!(drain(entry.body.read_verified(0..u64::MAX, right)).await, (source, None));
        let (bytes, failure) = drain(entry.body.read_verified(0..u64::MAX, wrong)).await;
        assert_eq!((bytes.len(), failure.unwrap().reason), (0, "digest_mismatch"));
    }
}

#[tokio::test]
async fn a_verified_reader_of_a_part_gets_its_last_block_only_of_the_right_body() {
    let house = House::new(8 << 20);
    let source = source(400_000, 1);
    let (right, wrong) = (Digest::of(&source), Digest::of(b"other"));
    for (range, ahead) in [(0..1000, 0), (50_000..250_000, 200_000 - (64 << 10))] {
        let part = &source[range.start as usize..range.end as usize];
        let (entry, mut fill) = house.publish(1, Some(400_000), None).await;
        let [mut good, mut bad] =
            [right, wrong].map(|digest| entry.body.read_verified(range.clone(), digest));
        fill.write(source[..390_000].to_vec().into()).await.unwrap();
        fill.flush().await.unwrap();
        let mut early = Vec::new();
        while let Got::Bytes(bytes) = now(&mut good) {
            early.extend_from_slice(&bytes);
        }
        assert_eq!(early, part[..ahead]);
        while let Got::Bytes(_) = now(&mut bad) {}
        fill.write(source[390_000..].to_vec().into()).await.unwrap();
        fill.finish().await.unwrap();
        assert_eq!(drain(good).await, (part[ahead..].to_vec(), None));
        assert_eq!(drain(bad).await.1.unwrap().reason, "digest_mismatch");
    }
}

#[tokio::test]
async fn chunks_of_a_file_say_where_they_stand_in_it() {
    let house = House::new(8 << 20);
    let source = source(2_500_000, 3);
    let entry = house.put(1, &source).await;
    let mut reader = entry.body.read(100..u64::MAX);
    let mut at = 100;
    while let Some(chunk) = std::future::poll_fn(|cx| reader.poll_chunk(cx)).await {
        let Chunk { bytes, file } = chunk.unwrap();
        let FileRange { file, offset } = file.expect("a long body is a file");
        assert_eq!(offset, at);
        let mut read = vec![0; bytes.len()];
        file.read_exact_at(&mut read, offset).unwrap();
        assert_eq!(read, bytes);
        at += bytes.len() as u64;
        assert!(at % (1 << 20) == 0 || at == 2_500_000, "chunks end on blocks");
    }
    assert_eq!(at, 2_500_000);
}

#[tokio::test]
async fn a_chunk_outlives_reader_entry_and_store() {
    let house = House::new(8 << 20);
    let source = source(200_000, 4);
    let entry = house.put(1, &source).await;
    let mut reader = entry.body.read(0..u64::MAX);
    let chunk = std::future::poll_fn(|cx| reader.poll_chunk(cx)).await.unwrap().unwrap();
    house.remove(&key_of(1));
    drop((entry, reader));
    assert_eq!(house.usage().used, 200_000);
    assert_eq!(chunk.bytes, source);
    drop(chunk);
    house.writer.settle().await;
    assert_eq!(house.usage().used, 0);
}

#[tokio::test]
async fn followers_are_counted_while_the_body_grows() {
    let house = House::new(1 << 20);
    let (entry, mut fill) = house.publish(1, Some(2), None).await;
    let (first, second) = (entry.body.read(0..1), entry.body.read(0..2));
    assert_eq!((entry.body.followers(), house.usage().followers, house.metric("followers")), (2, 2, 2));
    drop(first);
    assert_eq!((entry.body.followers(), house.usage().fills), (1, 1));
    fill.write("ab".into()).await.unwrap();
    fill.finish().await.unwrap();
    drop((entry.body.read(0..1), second));
    assert_eq!((entry.body.followers(), house.usage().followers, house.usage().fills), (0, 0, 0));
}

#[test]
fn a_follower_costs_a_few_hundred_bytes() {
    assert!(size_of::<BodyReader>() <= 200, "{}", size_of::<BodyReader>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_followers_get_the_same_bytes_and_the_end() {
    let house = House::new(8 << 20);
    let source = source(1_500_000, 5);
    let (entry, mut fill) = house.publish(1, None, None).await;
    let followers: Vec<_> =
        (0..200).map(|at| tokio::spawn(drain(entry.body.read(at * 1000..u64::MAX)))).collect();
    for piece in pieces(&source, 30_000) {
        fill.write(piece).await.unwrap();
    }
    fill.finish().await.unwrap();
    for (at, follower) in followers.into_iter().enumerate() {
        assert!(follower.await.unwrap() == (source[at * 1000..].to_vec(), None));
    }
}

#[tokio::test]
async fn a_reader_that_leaves_is_not_woken() {
    let house = House::new(1 << 20);
    let (entry, fill) = house.publish(1, None, None).await;
    let mut reader = entry.body.read(0..1);
    let waker = CountingWaker::new();
    let waiting = reader.poll_chunk(&mut Context::from_waker(&waker.waker()));
    assert!(matches!(waiting, Poll::Pending));
    drop(reader);
    drop(fill);
    assert_eq!(waker.count(), 0);
}
