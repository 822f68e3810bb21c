//! [`WaitList`]: tasks that wait for one thing to change, all woken together.
//!
//! Owns the wakers and nothing else. The thing that changes belongs to the caller, who changes it first and
//! calls [`WaitList::wake_all`] afterwards; a waiter looks, registers and looks again, so no wake-up is lost.
//!
//! Invariants: a ticket is valid for one epoch, and `wake_all` starts a new one; wakers run outside the lock.
//! The list is as long as the number of tasks that wait: one place for each reader.
//!
//! Deliberately not here: fairness, waking of single tasks, timeouts.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// Tasks that wait for one thing to change.
#[derive(Default)]
pub(crate) struct WaitList {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// Number of `wake_all` calls so far.
    epoch: u64,
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A waiter's place in a [`WaitList`]. Its owner hands it back to [`WaitList::leave`] before it goes.
#[derive(Default)]
pub(crate) struct Ticket(Option<Place>);

#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    index: usize,
}

impl WaitList {
    /// Ready as soon as `check` gives a value; otherwise the task is woken at the next [`wake_all`](Self::wake_all).
    pub(crate) fn poll_until<T>(
        &self,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
        mut check: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if let Some(value) = check() {
            return Poll::Ready(value);
        }
        self.register(ticket, cx.waker());
        // The change may have come between the look and the registration.
        match check() {
            Some(value) => {
                self.leave(ticket);
                Poll::Ready(value)
            }
            None => Poll::Pending,
        }
    }

    /// Waits until `check` gives a value.
    pub(crate) async fn until<T>(&self, mut check: impl FnMut() -> Option<T>) -> T {
        let mut waiting = Waiting { list: self, ticket: Ticket::default() };
        poll_fn(|cx| self.poll_until(&mut waiting.ticket, cx, &mut check)).await
    }

    /// Wakes everybody who is registered now.
    pub(crate) fn wake_all(&self) {
        let mut wakers = {
            let mut places = self.places.lock();
            places.epoch += 1;
            places.free.clear();
            std::mem::take(&mut places.wakers)
        };
        if wakers.is_empty() {
            return;
        }
        wakers.drain(..).flatten().for_each(Waker::wake);
        // The emptied vector is given back: a crowd of followers registers again after each step.
        let mut places = self.places.lock();
        if places.wakers.capacity() == 0 {
            places.wakers = wakers;
        }
    }

    /// Gives up the place of `ticket`, if it still has one.
    pub(crate) fn leave(&self, ticket: &mut Ticket) {
        let Some(place) = ticket.0.take() else { return };
        let mut places = self.places.lock();
        if place.epoch == places.epoch {
            places.wakers[place.index] = None;
            places.free.push(place.index);
        }
    }

    fn register(&self, ticket: &mut Ticket, waker: &Waker) {
        let mut places = self.places.lock();
        if let Some(place) = ticket.0
            && place.epoch == places.epoch
        {
            match &mut places.wakers[place.index] {
                Some(known) => known.clone_from(waker),
                vacant => *vacant = Some(waker.clone()),
            }
            return;
        }
        let index = match places.free.pop() {
            Some(index) => {
                places.wakers[index] = Some(waker.clone());
                index
            }
            None => {
                places.wakers.push(Some(waker.clone()));
                places.wakers.len() - 1
            }
        };
        ticket.0 = Some(Place { epoch: places.epoch, index });
    }
}

struct Waiting<'a> {
    list: &'a WaitList,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.list.leave(&mut self.ticket);
    }
}
