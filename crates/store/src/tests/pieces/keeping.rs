//! Bodies with holes over restarts, crashes and power cuts, and under eviction and expiry.

use super::*;

#[tokio::test]
async fn extents_survive_a_clean_restart_and_the_rest_comes_after_it() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, PIECE..2 * PIECE).await;
    fill(&house, &entry, 4 * PIECE..LENGTH).await;
    let there = vec![PIECE..2 * PIECE, 4 * PIECE..LENGTH];
    assert_eq!(entry.body.extents(), there);
    drop(entry);
    let house = house.reopened();
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (2 * PIECE + 1000, 1, 1));
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "it is not whole");
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!((*entry.head, entry.body.length(), entry.body.extents()), (3, Some(LENGTH), there.clone()));
    assert_eq!(house.usage().used, 2 * PIECE + 1000);
    assert_eq!(read(&entry.body, PIECE + 9..2 * PIECE).await, part(PIECE + 9..2 * PIECE));
    assert!(house.writer.reader().find(&key_of(1)).await.is_none(), "nor when it is warm");
    let whole = house.writer.lookup_or_claim(key_of(1), &Arc::from("name"), |_| true).await;
    let Access::Claimed(claim) = whole else { panic!("who does not know of holes is to fill it") };
    assert!(claim.previous().is_none() && Arc::ptr_eq(claim.partial().unwrap(), &entry));
    drop(claim);
    fill(&house, &entry, 0..PIECE).await;
    drop(entry);
    let house = house.reopened();
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(entry.body.extents(), [0..2 * PIECE, 4 * PIECE..LENGTH]);
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn what_grew_in_a_run_that_crashed_is_dropped() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    let after = house.crashed(|_| {});
    assert_eq!((after.usage().used, after.usage().entries), (0, 0));
    after.wait_for("strays_total", 1);
    assert!(after.writer.reader().find_partial(&key_of(1)).await.is_none());
    assert_eq!(after.files("parts"), 0);
}

#[tokio::test]
async fn what_an_interrupted_fill_leaves_can_be_read_and_filled_in_pieces() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, Some(LENGTH), None).await;
    straight.write(part(0..PIECE + 50)).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let accept = |entry: &Entry<Plain>| entry.body.range_now(10..20) == Some(Ranged::Committed);
    let found = house.writer.lookup_partial_or_claim(key_of(1), &Arc::from("name"), accept).await;
    let Access::Found(entry) = found else { panic!("it is there") };
    assert_eq!((read(&entry.body, 10..20).await, *entry.head), (part(10..20).to_vec(), 0));
    let other = |entry: &Entry<Plain>| entry.body.range_now(0..LENGTH) == Some(Ranged::Committed);
    let Access::Claimed(claim) =
        house.writer.lookup_partial_or_claim(key_of(1), &Arc::from("name"), other).await
    else {
        panic!("it is not whole")
    };
    assert!(claim.previous().is_none() && Arc::ptr_eq(claim.partial().unwrap(), &entry));
    let Ok(refreshed) = claim.refresh(8) else { panic!("it is there") };
    assert!(Arc::ptr_eq(&refreshed.body, &entry.body));
    fill(&house, &refreshed, 0..LENGTH).await;
    drop((entry, refreshed));
    check_complete(&house, 1).await;
    assert_eq!(*house.writer.reader().find(&key_of(1)).await.unwrap().head, 8);
}

#[tokio::test]
async fn of_an_interrupted_fill_of_unknown_length_the_beginning_can_be_read() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, None, None).await;
    straight.write(part(0..PIECE)).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(read(&entry.body, 5..PIECE).await, part(5..PIECE));
    assert_eq!((entry.body.length(), claims(&house, &entry, 0..u64::MAX).len()), (None, 0));
    assert_eq!(entry.body.range_now(0..PIECE + 1), Some(Ranged::Unclaimed(PIECE..PIECE + 1)));
    drop(entry);
    house.writer.settle().await;
    let spec = BodySpec { length: None, promised: None };
    let claim = house.claim(1);
    assert_eq!(claim.part().await.unwrap().received, PIECE);
    let Ok((_, mut fill)) = claim.resume(0, spec).await else { panic!("nobody uses it") };
    fill.write(part(PIECE..LENGTH)).await.unwrap();
    assert_eq!(fill.finish().await, Ok(Digest::of(&bytes())));
}

#[tokio::test]
async fn all_of_a_body_is_there_and_it_is_hashed_when_it_is_asked_for() {
    let house = House::new(4 << 20);
    let (entry, mut straight) = house.publish(1, Some(LENGTH), None).await;
    straight.write(bytes().into()).await.unwrap();
    straight.suspend(reasons::fill_abandoned()).await;
    drop(entry);
    let house = house.reopened();
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    assert_eq!(read(&entry.body, 0..u64::MAX).await, bytes());
    drop(entry);
    check_complete(&house, 1).await;
}

/// user-demand 4c: 58.
#[tokio::test]
async fn a_partial_entry_is_evicted_under_its_readers_and_counted_until_they_let_go() {
    let house = House::with(|config| config.quota = 4 * PIECE);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..2 * PIECE).await;
    house.writer.commit();
    let reader = entry.body.read(0..3 * PIECE);
    for key in 10..16 {
        let spec = BodySpec { length: Some(2 * PIECE), promised: None };
        let Ok((_, mut fill)) = house.claim(key).publish(0, spec).await else { continue };
        fill.write(source(2 * PIECE as usize, u64::from(key)).into()).await.unwrap();
        fill.finish().await.unwrap();
    }
    assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none(), "it was evicted");
    assert_eq!((house.files("parts"), house.usage().used >= 2 * PIECE), (1, true));
    fill(&house, &entry, 2 * PIECE..3 * PIECE).await;
    drop(entry);
    assert_eq!(drain(reader).await, (part(0..3 * PIECE).to_vec(), None));
    house.writer.settle().await;
    assert_eq!((house.files("parts"), house.usage().used), (0, 2 * PIECE * house.usage().entries));
}

#[tokio::test]
async fn what_nobody_reads_gives_up_its_memory_and_comes_back() {
    let house = House::with(|config| {
        config.quota = 4 << 20;
        config.memory = 0;
    });
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..2 * PIECE).await;
    let held = claims(&house, &entry, 3 * PIECE..4 * PIECE);
    drop(entry);
    house.writer.0.round();
    assert_eq!(house.usage().warm, 1, "somebody fills it");
    drop(held);
    house.wait_for("cooled_total", 1);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().warm, house.files("parts")), (2 * PIECE, 0, 1));
    let entry = house.writer.reader().find_partial(&key_of(1)).await.unwrap();
    fill(&house, &entry, 0..LENGTH).await;
    drop(entry);
    check_complete(&house, 1).await;
}

#[tokio::test]
async fn what_is_being_filled_is_not_evicted_for_its_own_sake() {
    let house = House::with(|config| config.quota = 3 * PIECE);
    house.put(2, &source(2 * PIECE as usize, 2)).await;
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    house.writer.commit();
    let mut some = claims(&house, &entry, PIECE..4 * PIECE);
    let (third, second) = (some.pop().unwrap(), some.pop().unwrap());
    let second = second.begin().await.unwrap();
    assert!(house.writer.reader().lookup(&key_of(2)).is_none(), "the other one was evicted");
    let first = some.pop().unwrap().begin().await.unwrap();
    assert!(matches!(third.begin().await, Err(Refused::NoSpace { .. })));
    assert!(house.writer.reader().lookup_partial(&key_of(1)).is_some());
    drop((first, second));
    assert_eq!(entry.body.extents(), one(0..PIECE));
}

/// user-demand 4c: 53.
#[tokio::test]
async fn after_a_power_cut_at_any_call_what_is_there_of_a_part_is_exact() {
    for cut in (1..40).step_by(3) {
        let house = House::new(4 << 20);
        let entry = begun(&house, 1, None).await;
        fill(&house, &entry, PIECE..2 * PIECE).await;
        fill(&house, &entry, 0..10).await;
        fill(&house, &entry, 4 * PIECE..LENGTH).await;
        drop(entry);
        house.writer.close().await.unwrap();
        let House { writer, directory, .. } = house;
        drop(writer);
        let disk = Arc::new(FaultyDisk::new(directory.path(), cut).unwrap());
        let mut settings = config(&directory, 4 << 20);
        settings.disk = disk.clone();
        settings.commit_interval = std::time::Duration::from_secs(3600);
        let house = House::open(directory, settings);
        disk.cut_power_at(cut);
        go_on(&house, cut % 2 == 0).await;
        let after = tempfile::tempdir().unwrap();
        disk.crash(after.path()).unwrap();
        let settings = config(&after, 4 << 20);
        let house = House::open(after, settings);
        let Some(entry) = house.writer.reader().find_partial(&key_of(1)).await else { continue };
        for extent in entry.body.extents() {
            assert_eq!(read(&entry.body, extent.clone()).await, part(extent), "cut at {cut}");
        }
    }
}

/// Fills what is missing, in pieces or straight on, as long as the disk takes it.
async fn go_on(house: &House, straight: bool) {
    if straight {
        let spec = BodySpec { length: Some(LENGTH), promised: None };
        let Ok((_, mut fill)) = house.claim(1).resume(4, spec).await else { return };
        house.writer.commit();
        let rest = part(fill.received()..LENGTH);
        if fill.write(rest).await.is_ok() {
            let _ = fill.finish().await;
        }
    } else {
        let Some(entry) = house.writer.reader().find_partial(&key_of(1)).await else { return };
        for claim in claims(house, &entry, 0..LENGTH) {
            let range = claim.range();
            let Ok(mut fill) = claim.begin().await else { return };
            if fill.write(part(range)).await.is_err() || fill.finish().await.is_err() {
                return;
            }
            house.writer.commit();
        }
    }
    house.writer.settle().await;
    house.writer.commit();
}

/// user-demand 4c: 55.
#[tokio::test]
async fn a_part_whose_file_is_gone_or_cut_is_dropped_when_it_is_used() {
    let damage: [fn(&std::path::Path); 2] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap(),
    ];
    for damage in damage {
        let house = House::with(|config| {
            config.quota = 4 << 20;
            config.open_files = 1;
        });
        let entry = begun(&house, 1, None).await;
        fill(&house, &entry, 0..PIECE).await;
        house.put(2, &source(100_000, 2)).await;
        let file = std::fs::read_dir(house.directory.path().join("parts")).unwrap().next().unwrap().unwrap();
        damage(&file.path());
        let claim = claims(&house, &entry, PIECE..2 * PIECE).pop().unwrap();
        assert!(matches!(claim.begin().await, Err(Refused::Disk(_))));
        assert!(matches!(entry.body.wait_range(0..2 * PIECE).await, Ranged::Failed(_)));
        assert!(house.writer.reader().find_partial(&key_of(1)).await.is_none());
        drop(entry);
        house.writer.settle().await;
        assert_eq!((house.usage().used, house.files("parts")), (100_000, 0));
    }
}

#[tokio::test]
async fn a_partial_entry_nobody_wants_any_more_expires_unless_somebody_uses_it() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    let held = claims(&house, &entry, PIECE..2 * PIECE);
    drop(entry);
    assert_eq!(house.writer.remove_expired(4, 9), 0);
    drop(held);
    house.writer.settle().await;
    house.writer.commit();
    assert_eq!(house.writer.remove_expired(4, 9), 1);
    house.writer.settle().await;
    assert_eq!((house.usage().used, house.usage().entries, house.files("parts")), (0, 0, 0));
}

#[tokio::test]
async fn scans_show_partial_entries_warm_and_cold() {
    let house = House::new(4 << 20);
    let entry = begun(&house, 1, None).await;
    fill(&house, &entry, 0..PIECE).await;
    drop(entry);
    let seen = |house: &House| {
        let mut seen = Vec::new();
        house.writer.reader().scan(|entry| seen.push((entry.key, *entry.head, entry.digest)));
        seen
    };
    assert_eq!(seen(&house), [(key_of(1), 3, None)]);
    let house = house.reopened();
    assert_eq!(seen(&house), [(key_of(1), 3, None)]);
}
