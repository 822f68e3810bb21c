//! Redirects, for the fuzz targets: wherever an origin sends us, credentials stay with the server they are for.

use std::collections::HashSet;

use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::redirect::{Route, Step};
use crate::Settings;

/// Checks the way from `start` along these values of `Location`.
pub fn redirects<'a>(start: &str, locations: impl Iterator<Item = &'a [u8]>) {
    let Ok(start) = Url::parse(start) else { return };
    if !matches!(start.scheme(), "http" | "https") {
        return;
    }
    let settings = Settings::default();
    let credentials = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer secret"))]);
    let mut visited = HashSet::from([start.clone()]);
    let mut route = Route::new(start, credentials);
    for location in locations {
        let Ok(location) = HeaderValue::from_bytes(location) else { continue };
        let (before, had_any) = (route.url().clone(), !route.credentials().is_empty());
        let headers = HeaderMap::from_iter([(LOCATION, location)]);
        let Ok(step) = route.follow(StatusCode::FOUND, &headers, &settings) else { return };
        assert_eq!(step, Step::Moved);
        let url = route.url();
        assert!(matches!(url.scheme(), "http" | "https") && url.host().is_some());
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        assert!(!(before.scheme() == "https" && url.scheme() == "http"));
        assert!(visited.insert(url.clone()), "the same twice");
        assert!(visited.len() <= settings.max_redirects + 1);
        assert_eq!(!route.credentials().is_empty(), had_any && before.origin() == url.origin());
    }
}
