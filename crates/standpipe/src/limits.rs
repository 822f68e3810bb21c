//! The system's limit on open files: raised as far as it goes, because connections, object files and origins all
//! take from it. Says so when even that is less than the configuration may need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Values;

/// Files that are open beside connections and objects: log, listeners, origins' connections.
const OTHERS: u64 = 1024;

/// Raises the soft limit to the hard one.
pub(crate) fn raise(values: &Values) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = &raised {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let limit = if raised.is_ok() { maximum } else { current };
    let sessions = if values.session_listen.is_empty() { 0 } else { values.session_max_connections.0 };
    let wanted = values.server_max_connections.0 + sessions + values.store_open_files.0 + OTHERS;
    if limit.is_some_and(|limit| limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "fewer open files are allowed than server.max-connections, session.max-connections and store.open-files may need"
        );
    }
}
