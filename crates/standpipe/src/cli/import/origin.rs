//! [`TreeOrigin`]: a directory of files as an origin.
//!
//! Owns the list of what is being imported: a URL that is not in it does not exist. Reads with plain calls that wait for
//! the disk: the command has nobody else to serve. Invariant: a body is exactly as long as its head said, or fails.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cache::{Error, Kind, NamedBy, Origin, OriginBody, OriginRequest, OriginResponse, RequestBody};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use protocols::http::date;
use url::Url;

use super::types;

/// Bytes of one frame.
const STEP: u64 = 256 << 10;

/// A directory as an origin.
pub(super) struct TreeOrigin {
    root: PathBuf,
    offered: Mutex<HashMap<String, PathBuf>>,
}

impl TreeOrigin {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, offered: Mutex::default() }
    }

    /// From now on the file stands for the URL.
    pub(super) fn offer(&self, url: &Url, path: &Path) {
        self.offered.lock().insert(url.to_string(), path.to_owned());
    }

    /// The URL is not asked for any more.
    pub(super) fn withdraw(&self, url: &Url) {
        self.offered.lock().remove(url.as_str());
    }

    fn respond(&self, url: Url) -> Result<OriginResponse, Error> {
        let path = self.offered.lock().get(url.as_str()).cloned();
        let path = path.ok_or_else(|| broken(&url, ErrorKind::NotFound.into()))?;
        let opened = File::open(self.root.join(&path)).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| broken(&url, error))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(metadata.len()));
        headers.insert(DATE, date::header_value(seconds(SystemTime::now())));
        if let Ok(modified) = metadata.modified() {
            headers.insert(LAST_MODIFIED, date::header_value(seconds(modified)));
        }
        if let Some(kind) = types::by_suffix(&path) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let body = FileBody { file, left: metadata.len(), url: url.clone() };
        Ok(OriginResponse {
            status: StatusCode::OK,
            headers,
            body: Box::pin(body) as OriginBody,
            url,
            reach: NamedBy::Client,
        })
    }
}

impl Origin for TreeOrigin {
    fn fetch(
        &self,
        request: OriginRequest,
        _content: Option<RequestBody>,
    ) -> BoxFuture<'static, Result<OriginResponse, Error>> {
        let response = self.respond(request.url);
        Box::pin(async { response })
    }
}

/// The bytes of a file.
struct FileBody {
    file: File,
    left: u64,
    url: Url,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = vec![0; self.left.min(STEP) as usize];
        if let Err(error) = self.file.read_exact(&mut bytes) {
            return Poll::Ready(Some(Err(broken(&self.url, error))));
        }
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}

fn broken(url: &Url, error: io::Error) -> Error {
    Error::new(Kind::OriginBroken, format!("The file of {url} cannot be read: {error}."))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
