//! The table of requests, by itself.

use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::super::requests::{Delivery, Reply, Requests};
use super::*;
use crate::error::Malformed;
use crate::store::Session;

fn table(most: usize) -> Requests {
    let mut table = Requests::new(most);
    table.connect();
    table
}

fn ask(table: &mut Requests) -> (u64, bool) {
    table.ask(Operation::Get, b"id", Instant::now()).expect("connected")
}

fn fetch(table: &mut Requests, ticket: u64) -> Option<Reply> {
    match table.fetch(ticket, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => Some(reply),
        Poll::Pending => None,
    }
}

fn sent(table: &mut Requests) -> Vec<u32> {
    let mut bytes = Vec::new();
    table.take_outgoing(&mut bytes, &Context::from_waker(Waker::noop()));
    bytes.chunks(16).map(|frame| u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]])).collect()
}

#[test]
fn requests_beyond_the_limit_wait_and_go_out_first_come_first_served() {
    let mut table = table(2);
    let queued: Vec<_> = (0..5).map(|_| ask(&mut table).1).collect();
    assert_eq!(queued, [false, false, true, true, true]);
    assert_eq!(sent(&mut table), [1, 2]);
    table.abandon(4);
    table.answer(2, Operation::Get, b"session").expect("asked");
    assert_eq!(sent(&mut table), [3]);
    table.answer(1, Operation::Get, b"session").expect("asked");
    assert_eq!(sent(&mut table), [5]);
}

#[test]
fn an_orphan_keeps_its_uid_and_its_place_until_it_is_answered() {
    let mut table = table(1);
    ask(&mut table);
    table.abandon(1);
    assert!(table.oldest().is_some());
    assert!(ask(&mut table).1, "the place is taken");
    assert_eq!(table.answer(1, Operation::Get, b"late"), Ok(Delivery::Orphan));
    assert_eq!(table.answer(1, Operation::Get, b"later"), Ok(Delivery::Unasked));
    assert_eq!(sent(&mut table), [1, 2]);
}

#[test]
fn answers_nobody_asked_for_change_nothing_and_wrong_ones_are_malformed() {
    let mut table = table(4);
    let (ticket, _) = ask(&mut table);
    for uid in [0, 2, 77, u32::MAX] {
        assert_eq!(table.answer(uid, Operation::Get, b"x"), Ok(Delivery::Unasked), "{uid}");
    }
    assert_eq!(table.answer(1, Operation::Have, b"x"), Err(Malformed::Reply));
    assert!(fetch(&mut table, ticket).is_none());
    assert_eq!(table.answer(1, Operation::Get, b"session"), Ok(Delivery::ToClient));
    assert_eq!(table.answer(1, Operation::Get, b"again"), Ok(Delivery::Unasked));
    assert!(fetch(&mut table, ticket) == Some(Reply::Payload(Session::new(b"session".to_vec()))));
    assert!(table.oldest().is_none());
}

#[test]
fn a_lost_server_is_told_to_everyone_who_waits_and_forgets_what_was_not_sent() {
    let mut table = table(2);
    let tickets: Vec<_> = (0..4).map(|_| ask(&mut table).0).collect();
    table.abandon(tickets[0]);
    assert_eq!(table.disconnect(), 3);
    for ticket in &tickets[1..] {
        assert!(fetch(&mut table, *ticket) == Some(Reply::Disconnected));
    }
    assert!(table.ask(Operation::Get, b"id", Instant::now()).is_none());
    table.connect();
    assert_eq!(sent(&mut table), [0_u32; 0]);
    assert_eq!(table.answer(1, Operation::Get, b"late"), Ok(Delivery::Unasked));
    assert!(!ask(&mut table).1);
}

// The C program loses replies after 2^32 requests.
#[test]
fn uids_wrap_and_replies_still_find_their_requests() {
    let mut table = table(4);
    table.count_from(u64::from(u32::MAX) - 1);
    let tickets: Vec<_> = (0..4).map(|_| ask(&mut table).0).collect();
    assert_eq!(sent(&mut table), [u32::MAX - 1, u32::MAX, 0, 1]);
    for (uid, ticket) in [u32::MAX - 1, u32::MAX, 0, 1].into_iter().zip(tickets) {
        let payload = uid.to_be_bytes();
        assert_eq!(table.answer(uid, Operation::Get, &payload), Ok(Delivery::ToClient));
        assert!(fetch(&mut table, ticket) == Some(Reply::Payload(Session::new(payload.to_vec()))));
    }
}
