//! `/`: what this server is and the first line to type.

use http::request::Parts as RequestHead;

use super::status::base_url;
use crate::respond::Page;

pub(super) fn page(head: &RequestHead) -> Page {
    let base = base_url(head);
    Page::text(format!(
        "This is Standpipe: every download is fetched once, kept, and served to everybody who asks.

Try it:
  curl -O '{base}/https://www.kernel.org/theme/images/logos/tux.png'

Addresses:
  {base}/api/v1/fetch?url=URL             the object at URL (percent-encoded), also with ttl=10d, sha256=HEX
  {base}/api/v1/fetch/FILENAME?url=URL    the same, saved under FILENAME
  {base}/https://host/path                the same, URL as it is
  {base}/api/v1/status/                   counts, as JSON
  {base}/api/v1/health/                   200 while this server wants requests
  {base}/api/v1/delete?url=URL            forgets an object (POST or DELETE)
  {base}/api/v1/pins                      what is not to be evicted (GET, POST, DELETE)
  {base}/api/v1/purge                     takes objects out by url, prefix, host, tag or expression (POST)
  {base}/api/v1/explain?url=URL           what would become of a request, and why
  {base}/api/v1/entries                   what is stored
  {base}/api/v1/prewarm                   fetches a list of URLs (POST)
  {base}/api/v1/openapi.json              all of this, for programs
  {base}/metrics                          for Prometheus
"
    ))
}
