//! The twins do what their names say, and a recorded trace is read as it is.

use super::synthetic::Random;
use super::trace::Request;
use super::*;

fn ask(policy: &mut dyn Policy, keys: &[u32]) -> Vec<bool> {
    keys.iter().map(|&key| policy.ask(Request { key, bytes: 10 })).collect()
}

#[test]
fn lru_drops_what_was_not_used_for_the_longest_time() {
    let mut lru = Lru::new(35, 10);
    assert_eq!(ask(&mut lru, &[1, 2, 3, 1, 4, 2, 1]), [false, false, false, true, false, false, true]);
    assert_eq!(lru.bytes(), 30);
}

#[test]
fn lru_is_the_same_as_a_sorted_list() {
    let mut random = Random(3);
    let mut lru = Lru::new(100, 40);
    let mut sorted: Vec<Request> = Vec::new();
    for _ in 0..20_000 {
        let number = random.below(40);
        let request = Request { key: u32::try_from(number).unwrap(), bytes: 1 + number as u64 % 9 };
        let at = sorted.iter().position(|known| known.key == request.key);
        assert_eq!(lru.ask(request), at.is_some());
        at.map(|at| sorted.remove(at));
        while sorted.iter().map(|known| known.bytes).sum::<u64>() + request.bytes > 100 {
            sorted.remove(0);
        }
        sorted.push(request);
    }
}

#[test]
fn arc_keeps_what_was_used_twice_when_something_reads_everything_once() {
    let mut arc = Arc::new(100, 2000);
    ask(&mut arc, &[1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    ask(&mut arc, &(100..1100).collect::<Vec<_>>());
    assert_eq!(ask(&mut arc, &[1, 2, 3, 4, 5]), [true; 5]);
}

#[test]
fn arc_gives_recency_more_room_when_its_ghost_is_asked_for() {
    let mut arc = Arc::new(100, 2000);
    ask(&mut arc, &[1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    ask(&mut arc, &[11, 12, 13, 14, 15, 16]);
    assert_eq!(arc.target(), 0);
    assert_eq!(ask(&mut arc, &[11]), [false], "its ghost only");
    assert!(arc.target() >= 10);
    assert_eq!(ask(&mut arc, &[11]), [true]);
}

#[test]
fn no_policy_ever_holds_more_than_its_capacity() {
    let mut random = Random(5);
    let requests = (0..5_000).map(|_| {
        let key = random.below(200).min(random.below(400));
        Request { key: u32::try_from(key).unwrap(), bytes: 1 + key as u64 * 37 % 120 }
    });
    let trace = Trace { name: "small", requests: requests.collect() };
    for percent in SIZES {
        compare(&trace, percent).unwrap();
    }
}

#[test]
fn an_object_that_changed_its_size_is_another_one() {
    let asked = [(1, 10), (1, 10), (1, 20), (1, 20)].map(|(key, bytes)| Request { key, bytes });
    for mut policy in policies(100, 10) {
        assert_eq!(asked.map(|request| policy.ask(request)), [false, true, false, true]);
        assert_eq!(policy.bytes(), 20);
    }
}

#[test]
fn a_recorded_trace_is_read_and_what_is_wrong_with_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Trace::read(path.to_str().unwrap())
    };
    let trace = read("time_us,key,size_bytes\n1,7,512\n2,9,1024\n3,7,512\n").unwrap();
    assert_eq!((trace.requests.len(), trace.objects(), trace.footprint()), (3, 2, 1536));
    assert!(read("1,7,512\n2,9\n").err().unwrap().contains("line 2"));
    assert!(read("1,7,512\n2,9,many\n").err().unwrap().contains("many is not a size"));
}
