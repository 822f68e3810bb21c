//! [`Unstorables`]: keys whose last answer could not be stored. Nobody waits for their flights: what comes would answer one
//! request only, and the others would ask one after the other.
//!
//! Nor are pieces asked for when only a range is wanted of them. What follows from a field of one request says nothing about
//! others: answers to `Authorization` are remembered for requests that have it as well. A short memory, bounded in number
//! and time; the oldest goes first. It never keeps a whole answer from being stored for those who have no such field.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use store::Key;

use crate::policy::Unstorable;
use crate::{Settings, Timestamp};

/// Whose answers cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Askers {
    All,
    /// Those who send `Authorization`.
    Authorized,
}

impl Askers {
    /// Among whom the sender of a request with these fields is.
    pub(crate) fn with(fields: &HeaderMap) -> &'static [Self] {
        if fields.contains_key(AUTHORIZATION) { &[Self::All, Self::Authorized] } else { &[Self::All] }
    }

    fn of(why: Unstorable) -> Option<Self> {
        match why {
            Unstorable::Authorization => Some(Self::Authorized),
            Unstorable::AnswersFields | Unstorable::RequestNoStore => None,
            _ => Some(Self::All),
        }
    }
}

pub(crate) struct Unstorables {
    most: usize,
    span: Duration,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    until: HashMap<(Key, Askers), Timestamp>,
    order: VecDeque<(Key, Askers)>,
}

impl Unstorables {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { most: settings.negative_entries, span: settings.negative_other, memory: Mutex::default() }
    }

    pub(crate) fn remember(&self, key: Key, why: Unstorable, now: Timestamp) {
        let Some(askers) = Askers::of(why).filter(|_| self.most > 0) else { return };
        let place = (key, askers);
        let mut memory = self.memory.lock();
        if memory.until.insert(place, now.after(self.span)).is_some() {
            return;
        }
        memory.order.push_back(place);
        while memory.order.len() > self.most
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.until.remove(&oldest);
        }
    }

    pub(crate) fn has(&self, key: Key, askers: Askers, now: Timestamp) -> bool {
        self.memory.lock().until.get(&(key, askers)).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_short_and_bounded() {
        let settings =
            Settings { negative_entries: 2, negative_other: Duration::from_secs(10), ..Settings::default() };
        let memory = Unstorables::new(&settings);
        let (key, now) = (|number| Key::new([number; 16]), Timestamp(0));
        for number in [1, 2, 1, 3] {
            memory.remember(key(number), Unstorable::Private, now);
        }
        let known: Vec<_> = [1, 2, 3].map(|number| memory.has(key(number), Askers::All, now)).into();
        assert_eq!(known, [false, true, true]);
        assert!(!memory.has(key(3), Askers::All, now.after(Duration::from_secs(10))));
    }

    #[test]
    fn fields_of_one_request_say_nothing_about_others() {
        let (memory, key, now) = (Unstorables::new(&Settings::default()), Key::new([1; 16]), Timestamp(0));
        memory.remember(key, Unstorable::AnswersFields, now);
        memory.remember(key, Unstorable::Authorization, now);
        assert!(memory.has(key, Askers::Authorized, now));
        assert!(!memory.has(key, Askers::All, now));
    }
}
