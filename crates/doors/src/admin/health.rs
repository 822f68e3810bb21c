//! `/api/v1/health/`: whether a load balancer should send anybody here.

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::Parts;
use crate::respond::{Page, Refusal};

/// A store that does not store is no reason to stay away: what it cannot take is streamed. The page says so.
pub(super) async fn check(parts: &Parts) -> Result<(&'static str, Page), Refusal> {
    if parts.draining.load(Ordering::Relaxed) {
        let detail = "the server is shutting down; use another one";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail));
    }
    check_shutdown_file(parts).await?;
    match parts.cache.reader().usage().degraded {
        None => Ok(("healthy", Page::text("ok"))),
        Some(why) => Ok(("degraded", Page::text(format!("degraded: nothing is stored: {why}")))),
    }
}

async fn check_shutdown_file(parts: &Parts) -> Result<(), Refusal> {
    let Some(path) = parts.settings.shutdown_file.clone() else { return Ok(()) };
    let detail = format!("the shutdown file {} exists; remove it to get requests again", path.display());
    // The file may lie on a slow disk, and no executor thread waits for one. Who cannot look assumes nothing.
    let exists = tokio::task::spawn_blocking(move || path.exists()).await.unwrap_or(false);
    if exists {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutdown_file", detail));
    }
    Ok(())
}
