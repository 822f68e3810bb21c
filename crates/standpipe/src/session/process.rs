//! What the process asks of the system: no core dumps with secrets in them, memory it may lock, files it may open.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Keeps sessions out of core dumps and away from debuggers of the same user, and lets as much memory be locked as the
/// system allows. Returns what the system refused; the server works without it.
pub(crate) fn harden() -> Vec<String> {
    let mut refused = Vec::new();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        refused.push(format!("core dumps cannot be limited: {error}"));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        refused.push(format!("core dumps cannot be switched off: {error}"));
    }
    // Without limit where we may (root), else as far as we may. What is refused then shows in the metric of unlocked bytes.
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        raise(Resource::Memlock);
    }
    refused
}

/// Lets as many files be open as the system allows.
pub(super) fn raise_open_files() {
    raise(Resource::Nofile);
}

/// Raises a soft limit to the hard one; where that is refused, the limit stays.
fn raise(resource: Resource) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
}
