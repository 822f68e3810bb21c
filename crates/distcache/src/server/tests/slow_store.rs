//! A store that answers later, and what the server makes of its answers.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::*;
use crate::store::{Added, Answer, FetchResult, Fetched, Session, StoreError};

/// Answers GET when the test says so, and everything else at once, badly. A GET begins when its answer is waited for.
#[derive(Default)]
struct Later {
    asked: Arc<Mutex<Vec<oneshot::Sender<FetchResult>>>>,
}

impl SessionStore for Later {
    fn add(&self, _: &[u8], _: &[u8], _: u32) -> Answer<Result<Added, StoreError>> {
        Answer::Ready(Err(StoreError::Unavailable))
    }

    fn get(&self, _: &[u8], _: &mut Vec<u8>) -> Answer<FetchResult> {
        let asked = Arc::clone(&self.asked);
        Answer::Later(Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            asked.lock().push(sender);
            receiver.await.unwrap_or(Err(StoreError::Timeout))
        }))
    }

    fn take(&self, id: &[u8], out: &mut Vec<u8>) -> Answer<FetchResult> {
        self.get(id, out)
    }

    fn remove(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Later(Box::pin(async { Err(StoreError::Timeout) }))
    }

    fn have(&self, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(true))
    }

    fn len(&self) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(0))
    }
}

async fn asked(store: &Later, count: usize) -> Vec<oneshot::Sender<FetchResult>> {
    let waiting = async {
        while store.asked.lock().len() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.expect("in time");
    std::mem::take(&mut store.asked.lock())
}

fn session(bytes: &[u8]) -> FetchResult {
    Ok(Fetched::Session(Session::new(bytes.to_vec())))
}

#[tokio::test(start_paused = true)]
async fn requests_wait_side_by_side_and_are_answered_in_order() {
    let store = Arc::new(Later::default());
    let server = Server::new(Arc::clone(&store) as Arc<dyn SessionStore>, ServerSettings::default());
    let mut peer = Peer::new(&server);
    let requests = [
        encoded(1, Request::Get(b"a")),
        encoded(2, Request::Have(b"b")),
        encoded(3, Request::Get(b"c")),
        encoded(4, Request::Remove(b"d")),
    ];
    peer.send(&requests.concat()).await;
    let mut asked = asked(&store, 2).await;
    asked.pop().expect("c").send(session(b"third")).expect("the server waits");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    asked.pop().expect("a").send(session(b"first")).expect("the server waits");
    peer.expect(&unhex("00110000 01 00000001 00 01 01 0005 6669727374")).await;
    peer.expect(&unhex("00110000 01 00000002 00 03 01 0001 00")).await;
    peer.expect(&unhex("00110000 01 00000003 00 01 01 0005 7468697264")).await;
    peer.expect(&unhex("00110000 01 00000004 00 02 01 0001 02")).await;
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_wait_and_no_more() {
    let store = Arc::new(Later::default());
    let settings = ServerSettings { in_flight: 3, ..ServerSettings::default() };
    let server = Server::new(Arc::clone(&store) as Arc<dyn SessionStore>, settings);
    let mut peer = Peer::new(&server);
    peer.send(&(0..10).flat_map(|uid| encoded(uid, Request::Get(b"id"))).collect::<Vec<_>>()).await;
    let mut answered = 0;
    while answered < 10 {
        let asked = asked(&store, 1).await;
        assert!(asked.len() <= 3);
        for sender in asked {
            sender.send(session(b"session")).expect("the server waits");
            assert_eq!(peer.reply().await, b"session");
            answered += 1;
        }
    }
    assert!(server.metrics().back_pressure.get() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_a_miss_with_status_2() {
    let store = Arc::new(Later::default());
    let server = Server::new(Arc::clone(&store) as Arc<dyn SessionStore>, ServerSettings::default());
    let mut peer = Peer::new(&server);
    let add = Request::Add { id: b"id", session: b"session", timeout_ms: 1 };
    assert_eq!(peer.ask(add).await, [2]);
    assert_eq!(peer.ask(Request::Remove(b"id")).await, [2]);
    peer.send(&encoded(1, Request::Get(b"id"))).await;
    drop(asked(&store, 1).await);
    assert_eq!(peer.reply().await, [2]);
    assert_eq!(server.metrics().store_errors.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_reply_is_ever_empty_or_too_long() {
    let store = Arc::new(Later::default());
    let server = Server::new(Arc::clone(&store) as Arc<dyn SessionStore>, ServerSettings::default());
    let mut peer = Peer::new(&server);
    for (given, expected) in [(session(b""), [1]), (Ok(Fetched::Appended), [1]), (session(&[0; 40_000]), [2])]
    {
        peer.send(&encoded(1, Request::Get(b"id"))).await;
        asked(&store, 1).await.remove(0).send(given).expect("the server waits");
        assert_eq!(peer.reply().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dies_while_the_store_thinks_takes_nobody_along() {
    let store = Arc::new(Later::default());
    let server = Server::new(Arc::clone(&store) as Arc<dyn SessionStore>, ServerSettings::default());
    let mut peer = Peer::new(&server);
    peer.send(&encoded(1, Request::Get(b"id"))).await;
    let asked = asked(&store, 1).await;
    drop(peer.stream);
    for sender in asked {
        let _ = sender.send(session(b"session"));
    }
    peer.task.await.expect("no panic");
    assert_eq!(server.metrics().connections.open.get(), 0);
}
