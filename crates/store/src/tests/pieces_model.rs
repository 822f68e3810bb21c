//! Random claims, writes, drops, reads and restarts of one body with holes against a map of its bytes, on the real disk
//! and on one that fails.
//!
//! user-demand 4c: 52, 57.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use super::support::*;
use crate::*;

const QUOTA: u64 = 64 << 20;
/// Bytes that are always together, for the test's speed.
const UNIT: u64 = 64;

#[derive(Clone, Debug)]
enum Step {
    /// Pieces of so many bytes, at most so many.
    Claim(Range<u64>, u64, usize),
    /// The claim with this number begins to be filled.
    Begin(usize),
    /// The fill with this number takes so many bytes.
    Write(usize, u64),
    Finish(usize),
    DropClaim(usize),
    DropFill(usize),
    Read(Range<u64>),
    Commit,
    /// A clean stop and a start.
    Restart,
    /// The disk fails at its nth call from now.
    Fault(u64),
}

#[derive(Clone, Debug)]
struct Plan {
    length: u64,
    promised: bool,
    steps: Vec<Step>,
}

fn plan() -> impl Strategy<Value = Plan> {
    (1..10_000_u64).prop_flat_map(|units| {
        let length = units * UNIT;
        let offset = (0..=units + 10).prop_map(|units| units * UNIT);
        let range = (offset.clone(), prop_oneof![offset, Just(u64::MAX)]).prop_map(|(start, end)| start..end);
        let size = prop_oneof![Just(1), Just(64 << 10), Just(200_000), Just(u64::MAX)];
        let step = prop_oneof![
            4 => (range.clone(), size, 0..4_usize).prop_map(|(range, size, most)| Step::Claim(range, size, most)),
            4 => (0..6_usize).prop_map(Step::Begin),
            6 => (0..6_usize, 1..2500_u64).prop_map(|(fill, units)| Step::Write(fill, units * UNIT)),
            2 => (0..6_usize).prop_map(Step::Finish),
            1 => (0..6_usize).prop_map(Step::DropClaim),
            1 => (0..6_usize).prop_map(Step::DropFill),
            2 => range.prop_map(Step::Read),
            1 => Just(Step::Commit),
            1 => Just(Step::Restart),
            1 => (1..6_u64).prop_map(Step::Fault),
        ];
        let steps = prop::collection::vec(step, 0..60);
        (Just(length), any::<bool>(), steps)
            .prop_map(|(length, promised, steps)| Plan { length, promised, steps })
    })
}

/// What is known of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    Missing,
    Claimed,
    Committed,
}

fn units(range: &Range<u64>) -> Range<usize> {
    (range.start / UNIT) as usize..(range.end / UNIT) as usize
}

struct Bed {
    house: Option<House>,
    disk: Option<Arc<FaultyDisk>>,
    entry: Option<Arc<Entry<Plain>>>,
    source: Vec<u8>,
    model: Vec<Byte>,
    claims: Vec<PieceClaim>,
    fills: Vec<PieceFill>,
}

impl Bed {
    fn open(directory: tempfile::TempDir, is_faulty: bool) -> (House, Option<Arc<FaultyDisk>>) {
        let mut config = config(&directory, QUOTA);
        // Rounds come from the test alone.
        config.commit_interval = std::time::Duration::from_secs(3600);
        let disk = is_faulty.then(|| Arc::new(FaultyDisk::new(directory.path(), 1).unwrap()));
        if let Some(disk) = &disk {
            config.disk = disk.clone();
        }
        (House::open(directory, config), disk)
    }

    async fn new(plan: &Plan, is_faulty: bool) -> Self {
        let (house, disk) = Self::open(tempfile::tempdir().unwrap(), is_faulty);
        let source = source(plan.length as usize, plan.length);
        let spec = PartialSpec { length: plan.length, promised: plan.promised.then(|| Digest::of(&source)) };
        let Ok((entry, _)) = house.claim(1).publish_partial(1, spec, 0..0, 0).await else {
            panic!("there is room")
        };
        let model = vec![Byte::Missing; source.len() / UNIT as usize];
        let (claims, fills) = (Vec::new(), Vec::new());
        Self { house: Some(house), disk, entry: Some(entry), source, model, claims, fills }
    }

    fn house(&self) -> &House {
        self.house.as_ref().expect("between two steps there is a store")
    }

    fn body(&self) -> &Arc<Body> {
        &self.entry.as_ref().expect("between two steps there is an entry").body
    }

    fn set(&mut self, range: Range<u64>, byte: Byte) {
        self.model[units(&range)].fill(byte);
    }

    /// The runs of bytes of which `is` says so.
    fn runs(&self, is: impl Fn(Byte) -> bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut at = 0;
        for same in self.model.chunk_by(|one, next| is(*one) == is(*next)) {
            let end = at + same.len() as u64 * UNIT;
            if is(same[0]) {
                runs.push(at..end);
            }
            at = end;
        }
        runs
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Claim(range, size, most) => self.claim(range, size, most)?,
            Step::Begin(number) if number < self.claims.len() => {
                let claim = self.claims.swap_remove(number);
                let range = claim.range();
                match claim.begin().await {
                    Ok(fill) => self.fills.push(fill),
                    Err(_) => self.set(range, Byte::Missing),
                }
            }
            Step::Write(number, length) if number < self.fills.len() => self.write(number, length).await?,
            Step::Finish(number) if number < self.fills.len() => {
                let fill = self.fills.swap_remove(number);
                let rest = fill.position()..fill.range().end;
                prop_assert_eq!(fill.finish().await.is_ok(), rest.is_empty());
                self.set(rest, Byte::Missing);
            }
            Step::DropClaim(number) if number < self.claims.len() => {
                let claim = self.claims.swap_remove(number);
                self.set(claim.range(), Byte::Missing);
            }
            Step::DropFill(number) if number < self.fills.len() => {
                let fill = self.fills.swap_remove(number);
                self.set(fill.position()..fill.range().end, Byte::Missing);
            }
            Step::Read(range) => self.read(range).await?,
            Step::Commit => self.house().writer.commit(),
            Step::Restart => self.restart().await?,
            Step::Fault(nth) => {
                if let Some(disk) = &self.disk {
                    disk.fail(Operation::Write, nth, libc::EINVAL);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn claim(&mut self, range: Range<u64>, size: u64, most: usize) -> Result<(), TestCaseError> {
        let entry = self.entry.clone().expect("there is an entry");
        let before = self.claims.len();
        self.claims.extend(self.house().writer.claim_pieces(&entry, range.clone(), size, most));
        let cut = size.max(64 << 10);
        let new: Vec<_> = self.claims[before..].iter().map(PieceClaim::range).collect();
        prop_assert!(new.len() <= most);
        for piece in new {
            prop_assert!(piece.start / cut == (piece.end - 1) / cut, "cut at multiples");
            let bytes = &self.model[units(&piece)];
            prop_assert!(bytes.iter().all(|byte| *byte == Byte::Missing), "missing, and claimed by nobody");
            self.set(piece, Byte::Claimed);
        }
        if self.claims.len() - before < most && range.start < self.source.len() as u64 {
            let end = range.end.min(self.source.len() as u64);
            let asked = self.model.get(units(&(range.start..end))).unwrap_or_default();
            prop_assert!(!asked.contains(&Byte::Missing), "all that was asked for is claimed");
        }
        Ok(())
    }

    async fn write(&mut self, number: usize, length: u64) -> Result<(), TestCaseError> {
        let fill = &mut self.fills[number];
        let from = fill.position();
        let to = (from + length).min(fill.range().end);
        let bytes = self.source[from as usize..to as usize].to_vec();
        let written = async {
            fill.write(bytes.into()).await?;
            fill.flush().await
        };
        match written.await {
            Ok(()) => self.set(from..to, Byte::Committed),
            Err(failure) => {
                prop_assert_eq!(failure.reason, "disk_error");
                let range = self.fills.swap_remove(number).range();
                let left = self.body().gaps(from..range.end);
                self.set(from..range.end, Byte::Committed);
                // Whole steps have come or have not.
                left.into_iter().for_each(|gap| self.set(gap, Byte::Missing));
            }
        }
        Ok(())
    }

    /// What is committed is read, up to the first gap; and it is known who fills that.
    async fn read(&self, range: Range<u64>) -> Result<(), TestCaseError> {
        let end = range.end.min(self.source.len() as u64);
        let asked = range.start.min(end)..end;
        let first = |is: fn(Byte) -> bool| {
            let at = self.model[units(&asked)].iter().position(|byte| is(*byte))?;
            Some(asked.start + at as u64 * UNIT)
        };
        let stop = first(|byte| byte != Byte::Committed).unwrap_or(end);
        let to = if stop == end { range.end } else { stop };
        let got = drain(self.body().read(range.start..to)).await;
        prop_assert!(got == (self.source[asked.start as usize..stop as usize].to_vec(), None));
        let free = first(|byte| byte == Byte::Missing);
        match self.body().range_now(range) {
            Some(Ranged::Committed) => prop_assert_eq!(stop, end),
            Some(Ranged::Unclaimed(gap)) => prop_assert_eq!(Some(gap.start), free),
            Some(Ranged::Failed(failure)) => prop_assert!(false, "{}", failure),
            None => prop_assert!(stop < end && free.is_none(), "all that is missing is being filled"),
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), TestCaseError> {
        self.claims.clear();
        self.fills.clear();
        self.model.iter_mut().filter(|byte| **byte == Byte::Claimed).for_each(|byte| *byte = Byte::Missing);
        self.entry = None;
        let House { writer, directory, registry } = self.house.take().expect("a store");
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        prop_assert_eq!(writer.close().await, Ok(()));
        drop((writer, registry));
        let (house, disk) = Self::open(directory, self.disk.is_some());
        let found = house.writer.reader().find_partial(&key_of(1)).await;
        let entry = match found {
            Some(entry) => entry,
            None => {
                prop_assert!(!self.model.contains(&Byte::Committed), "what was committed survives");
                let spec = PartialSpec { length: self.source.len() as u64, promised: None };
                let Ok((entry, _)) = house.claim(1).publish_partial(1, spec, 0..0, 0).await else {
                    panic!("there is room")
                };
                entry
            }
        };
        (self.house, self.disk, self.entry) = (Some(house), disk, Some(entry));
        Ok(())
    }

    /// After each step.
    async fn check(&self) -> Result<(), TestCaseError> {
        if !self.model.iter().all(|byte| *byte == Byte::Committed) {
            prop_assert_eq!(self.body().extents(), self.runs(|byte| byte == Byte::Committed));
            prop_assert!(self.body().is_partial());
        }
        // A write that was given up is still under way until then; records are not of interest.
        self.house().writer.0.shared.settled().await;
        let committed = UNIT * self.model.iter().filter(|byte| **byte == Byte::Committed).count() as u64;
        let reserved: u64 = self.fills.iter().map(|fill| fill.range().end - fill.position()).sum();
        prop_assert_eq!(self.house().usage().used, committed + reserved, "the quota is exact");
        Ok(())
    }

    /// The rest comes, and it is an ordinary object.
    async fn end(mut self) -> Result<(), TestCaseError> {
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        self.claims.clear();
        self.fills.clear();
        let entry = self.entry.take().expect("an entry");
        self.house().writer.0.shared.settled().await;
        for claim in self.house().writer.claim_pieces(&entry, 0..u64::MAX, 1 << 20, usize::MAX) {
            let Range { start, end } = claim.range();
            let Ok(mut fill) = claim.begin().await else { panic!("there is room") };
            fill.write(self.source[start as usize..end as usize].to_vec().into()).await.unwrap();
            fill.finish().await.unwrap();
        }
        prop_assert_eq!(entry.body.wait_complete().await.map(|end| end.1), Ok(Digest::of(&self.source)));
        drop(entry);
        let house = self.house();
        house.writer.settle().await;
        prop_assert_eq!((house.usage().used, house.files("parts")), (self.source.len() as u64, 0));
        let entry = house.writer.reader().find(&key_of(1)).await.unwrap();
        prop_assert!(drain(entry.body.read(0..u64::MAX)).await == (self.source.clone(), None));
        drop(entry);
        house.remove(&key_of(1));
        house.writer.settle().await;
        prop_assert_eq!(house.usage(), Usage { quota: QUOTA, ..Usage::default() });
        prop_assert_eq!((house.files("fills"), house.files("bodies")), (0, 0));
        Ok(())
    }
}

async fn run(plan: Plan, is_faulty: bool) -> Result<(), TestCaseError> {
    let mut bed = Bed::new(&plan, is_faulty).await;
    for step in plan.steps {
        bed.step(step).await?;
        bed.check().await?;
    }
    bed.end().await
}

fn block_on(test: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_body_with_holes_is_a_map_of_its_bytes(plan in plan()) {
        block_on(run(plan, false))?;
    }

    #[test]
    fn a_body_with_holes_on_a_disk_that_fails_is_a_map_of_its_bytes(plan in plan()) {
        block_on(run(plan, true))?;
    }
}
