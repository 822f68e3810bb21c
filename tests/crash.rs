//! kill -9 at random moments, over and over on the same directories, while clients fill, revalidate, replace, delete
//! and leave, and while a small quota evicts. After each start every answer is compared with the origin's bytes, what
//! had been committed must still be there, and the quota must be what lies on the disk.
//!
//! `STANDPIPE_CRASH_KILLS` (300) and `STANDPIPE_CRASH_SEED` (random, printed) change the run. The seed repeats what
//! clients do and when the kill comes, but not how far the server has got by then.

#[path = "crash/item.rs"]
mod item;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use item::{Item, Link, Loss, Tally};
use scenarios::{EAGER, committed, files_below, metric, size_of};
use testkit::guarded;
use testkit::node::{Builder, Node, command, run};
use testkit::origin::Origin;
use tokio::task::JoinSet;

/// Directories that are worked on at the same time, every second one with a small quota.
const LANES: u64 = 4;
/// URLs of one lane, and clients that share them.
const ITEMS: u64 = 18;
const CLIENTS: usize = 3;

/// How long a store at rest may take to put itself in order.
const PATIENCE: Duration = Duration::from_secs(20);

/// One directory with the servers that live and die on it.
struct Lane {
    directory: tempfile::TempDir,
    origin: Origin,
    items: Vec<Item>,
    random: fastrand::Rng,
    loss: Loss,
    /// Entries and bytes that the next process must find, when the last one was killed at rest.
    at_rest: Option<(f64, f64)>,
    tally: Arc<Tally>,
}

/// How one process lives and dies.
enum Fate {
    /// Killed while it starts, or soon after.
    Newborn(Duration),
    /// Killed among its clients.
    Storm(Duration),
    /// Everything is committed; then more clients, and the kill among them.
    Settled(Duration),
    /// Everything is committed, then the kill.
    AtRest,
}

impl Lane {
    async fn new(seed: u64, number: u64, tally: Arc<Tally>) -> Self {
        let origin = Origin::start().await;
        let items = (0..ITEMS).map(|place| Item::new(&origin, place)).collect();
        let loss = if number.is_multiple_of(2) { Loss::Forbidden } else { Loss::Allowed };
        let random = fastrand::Rng::with_seed(seed ^ number << 48);
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, origin, items, random, loss, at_rest: None, tally }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn args(&self) -> Vec<String> {
        let quota = if self.loss == Loss::Forbidden { "1GiB" } else { "4MiB" };
        let store = self.store().display().to_string();
        ["--store-directory", store.as_str(), "--store-quota", quota, "--log-access", "off"]
            .into_iter()
            .chain(EAGER)
            .map(str::to_owned)
            .collect()
    }

    fn builder(&self) -> Builder {
        Node::builder().args(self.args())
    }

    async fn live_and_die(&mut self) {
        self.items.iter_mut().for_each(Item::process_ended);
        self.origin.forget();
        match self.fate() {
            Fate::Newborn(age) => self.kill_newborn(age).await,
            Fate::Storm(age) => {
                let mut node = self.builder().start().await;
                self.storm(&mut node, age).await;
            }
            Fate::Settled(age) => {
                let mut node = self.settled().await;
                self.storm(&mut node, age).await;
            }
            Fate::AtRest => {
                let mut node = self.settled().await;
                self.at_rest = Some(counts(&node).await);
                node.kill().await;
            }
        }
        self.tally.kills.fetch_add(1, Ordering::Relaxed);
        if self.random.u8(..8) == 0 {
            self.check().await;
        }
    }

    /// What a crash leaves is no damage.
    async fn check(&self) {
        let checked = run(["fsck", "--store-directory", &self.store().display().to_string()]).await;
        assert!(checked.status.success() || !self.store().exists(), "{checked:?}");
    }

    fn fate(&mut self) -> Fate {
        let mut within = |most: u64| Duration::from_micros(self.random.u64(..most * 1000));
        match within(20).as_millis() {
            0..3 => Fate::Newborn(within(40)),
            3..11 => Fate::Storm(within(120)),
            11..17 => Fate::Settled(within(60)),
            _ => Fate::AtRest,
        }
    }

    /// The moment of the kill is the fault under test; nothing is synchronised by it.
    async fn kill_newborn(&mut self, age: Duration) {
        let mut newborn = command();
        newborn.args(["--listen", "127.0.0.1:0"]).args(self.args()).stdout(std::process::Stdio::null());
        let mut process = newborn.stderr(std::process::Stdio::null()).spawn().expect("the binary runs");
        tokio::time::sleep(age).await;
        process.kill().await.expect("a process of ours");
    }

    /// Clients at work until the kill at this age.
    async fn storm(&mut self, node: &mut Node, age: Duration) {
        let is_killed = Arc::new(AtomicBool::new(false));
        let clients = self.clients(node, &is_killed, usize::MAX);
        tokio::time::sleep(age).await;
        is_killed.store(true, Ordering::SeqCst);
        node.kill().await;
        self.items = ended(clients, node).await;
        self.at_rest = None;
    }

    /// A process that has found what it must find, has served everything at least once and has all of it on disk.
    async fn settled(&mut self) -> Node {
        let node = self.builder().start().await;
        self.audit(&node).await;
        let is_killed = Arc::new(AtomicBool::new(false));
        let turns = self.random.usize(1..20);
        let clients = self.clients(&node, &is_killed, turns);
        self.items = ended(clients, &node).await;
        committed(&node).await;
        self.items.iter_mut().for_each(Item::all_committed);
        let evicted = metric(&node, "standpipe_store_evicted_total", &[]).await as u64;
        self.tally.evicted.fetch_add(evicted, Ordering::Relaxed);
        assert!(self.loss == Loss::Allowed || evicted == 0, "{evicted} evicted although there is room");
        node
    }

    /// Each client has items of its own and does one thing after the other with them.
    fn clients(&mut self, node: &Node, is_killed: &Arc<AtomicBool>, turns: usize) -> JoinSet<Vec<Item>> {
        let mut clients = JoinSet::new();
        let mut items = std::mem::take(&mut self.items);
        self.random.shuffle(&mut items);
        while !items.is_empty() {
            let own = items.split_off(items.len().saturating_sub(ITEMS as usize / CLIENTS));
            let link = Link::open(node.address(), Arc::clone(is_killed), self.loss);
            let (random, tally) = (self.random.fork(), Arc::clone(&self.tally));
            clients.spawn(async move {
                match link.await {
                    Ok(link) => client(link, own, random, turns, &tally).await,
                    Err(_) => own,
                }
            });
        }
        clients
    }

    /// What the process has found at its start: all of what was there at rest, and as many bytes as lie on the disk, once
    /// what no entry names has been deleted.
    async fn audit(&mut self, node: &Node) {
        committed(node).await;
        let tidy = async {
            loop {
                let (entries, used) = counts(node).await;
                if on_disk(&self.store()) as f64 == used && leftovers(&self.store()) == 0 {
                    return (entries, used);
                }
                tokio::task::yield_now().await;
            }
        };
        let found = match tokio::time::timeout(PATIENCE, tidy).await {
            Ok(found) => found,
            Err(_) => panic!(
                "{} bytes on the disk, {:?} entries and bytes counted, {} files left in fills/",
                on_disk(&self.store()),
                counts(node).await,
                leftovers(&self.store())
            ),
        };
        if let Some(before) = self.at_rest.take() {
            assert_eq!(found, before, "entries and bytes after a kill at rest");
        }
        self.tally.audits.fetch_add(1, Ordering::Relaxed);
    }

    /// A clean end, a start after it, and nothing to complain about for anybody.
    async fn close(mut self) {
        self.items.iter_mut().for_each(Item::process_ended);
        let node = self.settled().await;
        let before = counts(&node).await;
        assert!(node.stop().await.success());
        let node = self.builder().start().await;
        self.at_rest = Some(before);
        self.audit(&node).await;
        assert!(node.stop().await.success());
        self.check().await;
        let known = self.items.iter().filter(|item| item.is_committed()).count();
        assert!(known > 0, "nothing was ever committed");
    }
}

async fn client(
    mut link: Link,
    mut items: Vec<Item>,
    mut random: fastrand::Rng,
    turns: usize,
    tally: &Tally,
) -> Vec<Item> {
    // Everything once first, so that nothing that was lost goes unnoticed.
    for item in &mut items {
        if item.turn(&mut link, &mut random, tally).await.is_err() {
            return items;
        }
    }
    for _ in 0..turns {
        let place = random.usize(..items.len());
        if items[place].turn(&mut link, &mut random, tally).await.is_err() {
            break;
        }
    }
    items
}

/// The clients' items when they have done what they could. When one has found a fault, what the server said goes with it.
async fn ended(mut clients: JoinSet<Vec<Item>>, node: &Node) -> Vec<Item> {
    let mut items = Vec::new();
    while let Some(ended) = guarded("the clients to end", clients.join_next()).await {
        match ended {
            Ok(own) => items.extend(own),
            Err(fault) => panic!("{fault}; the server's log:\n{}", node.stderr()),
        }
    }
    items
}

/// Entries, and bytes counted against the quota.
async fn counts(node: &Node) -> (f64, f64) {
    let entries = metric(node, "standpipe_store_entries", &[]).await;
    (entries, metric(node, "standpipe_store_used_bytes", &[]).await)
}

/// Bytes that the quota has to count.
fn on_disk(store: &Path) -> u64 {
    size_of(&store.join("bodies")) + size_of(&store.join("parts"))
}

/// Files of bodies that grow; none do.
fn leftovers(store: &Path) -> usize {
    files_below(&store.join("fills")).len()
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number"))
}

// 53, 54 where a crash tears the journal, 58 and 59 in the small; repositories R01-R09 where they speak of restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_when_what_is_served_afterwards_is_exact_and_nothing_committed_is_lost() {
    let seed = number("STANDPIPE_CRASH_SEED", fastrand::u64(..));
    let kills = number("STANDPIPE_CRASH_KILLS", 300);
    eprintln!("STANDPIPE_CRASH_SEED={seed} STANDPIPE_CRASH_KILLS={kills}");
    let tally = Arc::new(Tally::default());
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        let mut lane = Lane::new(seed, number, Arc::clone(&tally)).await;
        lanes.spawn(async move {
            for _ in 0..kills.div_ceil(LANES) {
                lane.live_and_die().await;
            }
            lane.close().await;
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("no lane may fail");
    }
    let [killed, answers, survived, audits, evicted] =
        [&tally.kills, &tally.answers, &tally.survived, &tally.audits, &tally.evicted]
            .map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "{killed} kills, {answers} answers compared, {survived} from before a kill, {audits} audits, {evicted} evicted"
    );
    assert!(killed >= kills && survived > kills && audits > 0 && evicted > 0, "a run that tests nothing");
}
