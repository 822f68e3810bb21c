//! The locks and atomics that the claim and follow primitives are built on: `parking_lot`, `crossbeam` and `std`, or
//! their `loom` twins under `--cfg loom`, so that loom can try every interleaving of them.
//!
//! Used by [`waiters`](crate::waiters), [`growth`](crate::growth), [`flight`](crate::flight) and
//! [`index`](crate::index). Code that loom does not model uses `parking_lot` directly.

pub(crate) use self::twins::{AtomicU64, Mutex, Ordering, RwLock, RwLockWriteGuard};

#[cfg(not(loom))]
mod twins {
    use std::sync::PoisonError;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

    pub(crate) use crossbeam_utils::sync::ShardedLockWriteGuard as RwLockWriteGuard;
    use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};
    pub(crate) use parking_lot::Mutex;

    /// A reader-writer lock in which readers on different cores do not write to the same cache line: with a plain one,
    /// two cores read a sixth slower than linear for the lock's sake alone. Writers pay for it.
    pub(crate) struct RwLock<T>(ShardedLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(ShardedLock::new(value))
        }

        /// As with `parking_lot`, a panic of another holder changes nothing.
        pub(crate) fn read(&self) -> ShardedLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(loom)]
mod twins {
    pub(crate) use loom::sync::RwLockWriteGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::sync::{MutexGuard, RwLockReadGuard};

    /// loom's mutex with the surface of `parking_lot`'s.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a loom model ends at its first panic")
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    /// loom's reader-writer lock with the surface of `parking_lot`'s.
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect("a loom model ends at its first panic")
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect("a loom model ends at its first panic")
        }
    }
}
