//! `/api/v1/health/`: whether a load balancer should send anybody here.

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::Parts;
use crate::respond::Refusal;

pub(super) async fn check(parts: &Parts) -> Result<(), Refusal> {
    if parts.draining.load(Ordering::Relaxed) {
        let detail = "the server is shutting down; use another one";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail));
    }
    let Some(path) = parts.settings.shutdown_file.clone() else { return Ok(()) };
    let detail = format!("the shutdown file {} exists; remove it to get requests again", path.display());
    // The file may lie on a slow disk, and no executor thread waits for one. Who cannot look assumes nothing.
    let exists = tokio::task::spawn_blocking(move || path.exists()).await.unwrap_or(false);
    if exists {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutdown_file", detail));
    }
    Ok(())
}
