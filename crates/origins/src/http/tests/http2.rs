//! Exchanges over HTTP/2.

use super::content::{give, upload};
use super::exchange::{exchange, hosted};
use super::tls::TlsOrigin;
use super::*;
use crate::Versions;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

type Reply = http::Response<Either<Full<Bytes>, Incoming>>;

/// An https origin that speaks both versions.
async fn origin<F>(answer: impl Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> TlsOrigin
where
    F: Future<Output = Reply> + Send + 'static,
{
    TlsOrigin::start(&[b"h2", b"http/1.1"], move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            // The connection ends with the test.
            let _ended = match is_h2 {
                true => {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                }
                false => {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                }
            };
        }
    })
    .await
}

fn reply(status: u16, body: Either<Full<Bytes>, Incoming>) -> Reply {
    let mut reply = http::Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    reply
}

fn text(text: String) -> Either<Full<Bytes>, Incoming> {
    Either::Left(Full::new(Bytes::from(text)))
}

#[tokio::test]
async fn content_passes_both_ways_at_once() {
    let origin = origin(|request| async {
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert!(!request.headers().contains_key("transfer-encoding"));
        reply(200, Either::Right(request.into_body()))
    });
    let origin = origin.await;
    let bench = origin.bench(Versions::Http1AndHttp2);
    for (method, length) in [("POST", None), ("GET", None), ("PUT", Some(6))] {
        let (pieces, content) = upload(length);
        let asking = exchange(method, &origin.url("files.example"));
        let mut body = bench.pass(asking, Some(content)).await.expect("an answer").body;
        for piece in ["one", "two"] {
            give(&pieces, piece).await;
            let echo = guarded("the echo", body.frame()).await.expect("a frame").expect("data");
            assert_eq!(echo.into_data().expect("data"), piece);
        }
        drop(pieces);
        assert_eq!(whole(body).await.expect("a clean end"), "");
    }
}

#[tokio::test]
async fn content_that_breaks_off_resets_the_stream() {
    let (ended, mut how) = mpsc::unbounded_channel();
    let origin = origin(move |request| {
        let ended = ended.clone();
        async move {
            let content = request.into_body().collect().await;
            ended.send(content.is_ok()).expect("the test waits");
            reply(204, text(String::new()))
        }
    });
    let origin = origin.await;
    let bench = origin.bench(Versions::Http1AndHttp2);
    let gone = || Error::new(Kind::Draining, "the client has gone");
    for (length, ending, expected) in [
        (None, Some(gone()), Kind::Draining),
        (Some(6), Some(gone()), Kind::Draining),
        (Some(6), None, Kind::FillAbandoned),
    ] {
        let (pieces, content) = upload(length);
        let asking = exchange("PUT", &origin.url("files.example"));
        let (answer, ()) = tokio::join!(bench.pass(asking, Some(content)), async {
            give(&pieces, "one").await;
            if let Some(error) = ending {
                pieces.send(Err(error)).await.expect("content is wanted");
            }
            drop(pieces);
        });
        assert_eq!(answer.err().map(|error| error.kind), Some(expected));
        assert_eq!(guarded("the origin's end", how.recv()).await, Some(false));
    }
}

#[tokio::test]
async fn an_early_refusal_ends_the_content_and_not_the_connection() {
    let origin = origin(|request| async move {
        // Held until the answer is made, so that its stream is not reset before.
        let _content = request.into_body();
        reply(413, text("big".to_owned()))
    });
    let origin = origin.await;
    let bench = origin.bench(Versions::Http1AndHttp2);
    for _ in 0..3 {
        let (pieces, content) = upload(None);
        let asking = exchange("PUT", &origin.url("files.example"));
        let answer = bench.pass(asking, Some(content)).await.expect("an answer");
        assert_eq!(answer.status, 413);
        assert_eq!(whole(answer.body).await.expect("bytes"), "big");
        guarded("the content's end", pieces.closed()).await;
    }
    assert_eq!(bench.queries.load(Ordering::Relaxed), 1, "one connection was made");
}

#[tokio::test]
async fn answers_without_content_have_none() {
    let origin = origin(|request| async move {
        let status = request.uri().query().expect("a status").parse().expect("a number");
        let mut reply = reply(status, text(String::new()));
        reply.headers_mut().insert("content-length", HeaderValue::from_static("5"));
        reply
    });
    let origin = origin.await;
    let bench = origin.bench(Versions::Http1AndHttp2);
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 304)] {
        let url = format!("{}?{status}", origin.url("files.example"));
        let answer = bench.send(exchange(method, &url)).await.expect("an answer");
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["content-length"], "5");
        assert_eq!(whole(answer.body).await.expect("no bytes"), "", "{method} {status}");
    }
}

#[tokio::test]
async fn a_host_of_its_own_is_all_that_the_origin_sees() {
    let origin = origin(|request| async move {
        let host = request.headers().get("host").map(|host| host.to_str().expect("text").to_owned());
        let authority = request.uri().authority().map(ToString::to_string);
        reply(200, text(format!("{:?} {host:?} {authority:?}", request.version())))
    });
    let origin = origin.await;
    let bench = origin.bench(Versions::Http1AndHttp2);
    let url = origin.url("files.example");
    let said = async |request| whole(bench.send(request).await.expect("an answer").body).await.expect("text");
    let own = Url::parse(&url).expect("a URL").authority().to_owned();
    assert_eq!(said(exchange("GET", &url)).await, format!("HTTP/2.0 None Some({own:?})"));
    assert_eq!(said(hosted(exchange("GET", &url), &own)).await, format!("HTTP/2.0 None Some({own:?})"));
    let other = hosted(exchange("GET", &url), "site.example");
    assert_eq!(said(other).await, "HTTP/1.1 Some(\"site.example\") None");
}
