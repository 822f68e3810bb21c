//! Claims, flights and entries.

use std::sync::Arc;

use super::support::*;
use crate::*;

fn access(house: &House, fresh: bool) -> Access<Plain> {
    ready(house.writer.lookup_or_claim(key_of(1), &Arc::from("name"), |_| fresh))
}

fn flight(house: &House) -> Flight<Plain> {
    match access(house, true) {
        Access::Flying(flight) => flight,
        _ => panic!("somebody flies"),
    }
}

#[tokio::test]
async fn everybody_gets_the_leaders_entry() {
    let house = House::new(1 << 20);
    let claim = house.claim(1);
    assert!(claim.previous().is_none());
    let flights: Vec<_> = (0..3).map(|_| tokio::spawn(flight(&house).decided())).collect();
    assert_eq!(house.usage().flights, 1);
    let spec = BodySpec { length: Some(1), promised: None };
    let Ok((entry, _fill)) = claim.publish(7, spec).await else { panic!("there is room") };
    for flight in flights {
        let Decision::Entry(found) = flight.await.unwrap() else { panic!("there is an entry") };
        assert!(Arc::ptr_eq(&found, &entry));
    }
    assert!(matches!(access(&house, true), Access::Found(found) if *found.head == 7));
    assert_eq!((house.usage().entries, house.usage().flights), (1, 0));
}

/// repositories R09.
#[tokio::test]
async fn a_refusal_reaches_everybody_and_keeps_the_previous_entry() {
    let house = House::new(1 << 20);
    let old = house.put(1, b"old").await;
    let Access::Claimed(claim) = access(&house, false) else { panic!("not accepted") };
    assert!(Arc::ptr_eq(claim.previous().unwrap(), &old));
    assert!(matches!(access(&house, true), Access::Found(_)), "the old entry is there meanwhile");
    let Access::Flying(flight) = access(&house, false) else { panic!("one flight a key") };
    claim.refuse("gone");
    assert!(matches!(flight.decided().await, Decision::Refused("gone")));
    assert!(house.writer.reader().lookup(&key_of(1)).is_some());
}

#[tokio::test]
async fn a_dropped_claim_abandons_its_flight_and_frees_the_key() {
    let house = House::new(1 << 20);
    let claim = house.claim(1);
    let flight = tokio::spawn(flight(&house).decided());
    drop(claim);
    assert!(matches!(flight.await.unwrap(), Decision::Abandoned));
    drop(house.claim(1));
    assert_eq!((house.usage().entries, house.usage().flights), (0, 0));
}

#[tokio::test]
async fn a_refresh_goes_on_with_the_body_unless_the_entry_is_gone() {
    let house = House::new(1 << 20);
    let old = house.put(1, b"body").await;
    let new = house.claim(1).refresh(2).unwrap_or_else(|_| panic!("there is a previous entry"));
    assert!(Arc::ptr_eq(&new.body, &old.body) && *new.head == 2 && *old.head == 0);
    assert!(Arc::ptr_eq(&house.writer.reader().lookup(&key_of(1)).unwrap(), &new));

    let claim = house.claim(1);
    assert!(house.remove(&key_of(1)));
    let claim = claim.refresh(3).err().expect("the entry has been removed");
    assert!(claim.refresh(4).is_err());
    assert!(house.writer.reader().lookup(&key_of(1)).is_none());
    assert!(house.claim(1).refresh(5).is_err(), "there was none");
}

#[tokio::test]
async fn a_head_is_replaced_only_in_the_entry_that_is_there() {
    let house = House::new(1 << 20);
    let (old, mut fill) = house.publish(1, Some(1), None).await;
    let new = house.writer.replace_head(&old, 1).unwrap();
    assert!(house.writer.replace_head(&old, 2).is_none());
    assert!(!house.writer.remove_entry(&old));
    assert_eq!(*house.writer.reader().lookup(&key_of(1)).unwrap().head, 1);
    fill.write("x".into()).await.unwrap();
    fill.finish().await.unwrap();
    assert_eq!(new.body.state(), BodyState::Complete);
    assert!(house.writer.remove_entry(&new));
    assert_eq!(house.usage().entries, 0);
}

#[tokio::test]
async fn a_failing_fill_removes_its_entry_under_a_new_head_but_not_a_successor() {
    let house = House::new(1 << 20);
    let (old, fill) = house.publish(1, Some(1), None).await;
    house.writer.replace_head(&old, 1).unwrap();
    drop(fill);
    assert!(house.writer.reader().lookup(&key_of(1)).is_none());

    let (_, first) = house.publish(1, Some(1), None).await;
    let (second, _fill) = house.publish(1, Some(1), None).await;
    drop(first);
    assert!(Arc::ptr_eq(&house.writer.reader().lookup(&key_of(1)).unwrap(), &second));
}

/// user-demand 4c: 81.
#[tokio::test]
async fn an_entry_removed_during_its_fill_stays_away_while_its_followers_go_on() {
    let house = House::new(1 << 20);
    let source = source(300_000, 1);
    let (entry, mut fill) = house.publish(1, None, None).await;
    let follower = tokio::spawn(drain(entry.body.read(0..u64::MAX)));
    fill.write(source[..100_000].to_vec().into()).await.unwrap();
    assert!(house.remove(&key_of(1)));
    drop(entry);
    fill.write(source[100_000..].to_vec().into()).await.unwrap();
    fill.finish().await.unwrap();
    assert_eq!(follower.await.unwrap(), (source, None));
    assert!(house.writer.reader().lookup(&key_of(1)).is_none());
    house.writer.settle().await;
    assert_eq!((house.files("fills"), house.files("bodies"), house.usage().used), (0, 0, 0));
}

#[tokio::test]
async fn all_entries_can_be_visited() {
    let house = House::new(1 << 20);
    for key in 0..100 {
        house.put(key, &[key]).await;
    }
    let mut keys = Vec::new();
    house.writer.reader().for_each_warm(|entry| keys.push(entry.key));
    keys.sort();
    assert_eq!(keys, (0..100).map(key_of).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_claimants_one_fills() {
    let house = House::new(1 << 20);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let writer = house.writer.clone();
            tokio::spawn(async move {
                match writer.lookup_or_claim(key_of(1), &Arc::from("name"), |_| true).await {
                    Access::Found(entry) => (0, drain(entry.body.read(0..u64::MAX)).await),
                    Access::Flying(flight) => match flight.decided().await {
                        Decision::Entry(entry) => (0, drain(entry.body.read(0..u64::MAX)).await),
                        _ => panic!("the leader publishes"),
                    },
                    Access::Claimed(claim) => {
                        let spec = BodySpec { length: None, promised: None };
                        let Ok((entry, mut fill)) = claim.publish(0, spec).await else { panic!("room") };
                        fill.write("body".into()).await.unwrap();
                        fill.finish().await.unwrap();
                        (1, drain(entry.body.read(0..u64::MAX)).await)
                    }
                }
            })
        })
        .collect();
    let mut fills = 0;
    for client in clients {
        let (filled, read) = client.await.unwrap();
        fills += filled;
        assert_eq!(read, (b"body".to_vec(), None));
    }
    assert_eq!(fills, 1);
}

#[tokio::test]
async fn a_replacement_that_breaks_gives_the_place_back() {
    let house = House::new(1 << 20);
    let old = house.put(1, b"old").await;
    for length in [Some(9), Some(100_000), None] {
        let (_, mut fill) = house.publish(1, length, None).await;
        fill.write("new".into()).await.unwrap();
        drop(fill);
        let found = house.writer.reader().lookup(&key_of(1)).unwrap();
        assert!(Arc::ptr_eq(&found, &old), "{length:?}");
    }
    assert_eq!(drain(old.body.read(0..u64::MAX)).await, (b"old".to_vec(), None));

    let (_, fill) = house.publish(1, None, None).await;
    house.remove(&key_of(1));
    drop(fill);
    assert!(house.writer.reader().lookup(&key_of(1)).is_none(), "what was removed meanwhile stays away");
}

#[tokio::test]
async fn only_a_complete_body_gets_its_place_back() {
    let house = House::new(1 << 20);
    let (_, first) = house.publish(1, None, None).await;
    let (_, second) = house.publish(1, None, None).await;
    drop(first);
    drop(second);
    assert!(house.writer.reader().lookup(&key_of(1)).is_none());
}

/// A small body that found its twin between claim and confirmation is the same bytes in another body: the 304 was lost.
#[tokio::test]
async fn a_body_that_finds_its_twin_meanwhile_is_confirmed_all_the_same() {
    let house = House::new(1 << 20);
    house.put(2, b"same").await;
    house.writer.settle().await;
    let old = house.put(1, b"same").await;
    let claim = house.claim(1);
    house.writer.settle().await;
    let merged = house.writer.reader().lookup(&key_of(1)).unwrap();
    assert!(!Arc::ptr_eq(&merged.body, &old.body), "it has found its twin");
    let Ok(entry) = claim.refresh(9) else { panic!("the same bytes") };
    assert!(Arc::ptr_eq(&entry.body, &merged.body));
    assert_eq!(*house.writer.reader().lookup(&key_of(1)).unwrap().head, 9);
}
