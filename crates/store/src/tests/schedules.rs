//! Random schedules of one fill and its followers against the source they copy.

use std::ops::Range;

use bytes::Bytes;
use proptest::prelude::*;

use super::support::*;
use crate::*;

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Flush,
    Follow(Range<u64>),
    /// The reader with this number takes one chunk, if there is one.
    Read(usize),
    Leave(usize),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finish,
    Fail,
    Drop,
}

#[derive(Clone, Debug)]
struct Plan {
    size: usize,
    declared: bool,
    /// Whether a promised digest is the right one.
    promised: Option<bool>,
    steps: Vec<Step>,
    end: End,
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = prop_oneof![0..200_usize, 1000..70_000_usize, 200_000..900_000_usize];
    size.prop_flat_map(|size| {
        let offset = 0..=size as u64 + 10;
        let range = (offset.clone(), prop_oneof![offset, Just(u64::MAX)]).prop_map(|(start, end)| start..end);
        let piece = prop_oneof![1..100_usize, 1..=size / 3 + 1];
        let step = prop_oneof![
            4 => piece.prop_map(Step::Write),
            1 => Just(Step::Flush),
            2 => range.prop_map(Step::Follow),
            4 => (0..8_usize).prop_map(Step::Read),
            1 => (0..8_usize).prop_map(Step::Leave),
        ];
        let end = prop_oneof![3 => Just(End::Finish), 1 => Just(End::Fail), 1 => Just(End::Drop)];
        let steps = prop::collection::vec(step, 0..40);
        let promised = prop::option::weighted(0.4, any::<bool>());
        (Just(size), any::<bool>(), promised, steps, end)
            .prop_map(|(size, declared, promised, steps, end)| Plan { size, declared, promised, steps, end })
    })
}

/// A reader, what it wants, and what it has got.
struct Follower {
    reader: BodyReader,
    range: Range<u64>,
    got: Vec<u8>,
    end: Option<Got>,
}

impl Follower {
    fn read(&mut self) {
        match now(&mut self.reader) {
            Got::Bytes(bytes) => self.got.extend_from_slice(&bytes),
            Got::Nothing => {}
            end => self.end = self.end.take().or(Some(end)),
        }
    }

    /// Reads the rest and looks whether it was right to get just that.
    async fn check(
        mut self,
        body: &Body,
        source: &[u8],
        finished: bool,
        promised: bool,
    ) -> Result<(), TestCaseError> {
        let wanted = self.wanted(source);
        if self.end.is_none() {
            let (rest, failure) = drain(self.reader).await;
            self.got.extend(rest);
            self.end = Some(failure.map_or(Got::End, |failure| Got::Failed(failure.reason)));
        }
        prop_assert!(wanted.starts_with(&self.got), "a prefix of the source");
        if self.end == Some(Got::End) {
            prop_assert_eq!(wanted.len(), self.got.len(), "a clean end only on the whole");
            let asked = self.range.end.saturating_sub(self.range.start);
            let known = finished || asked == wanted.len() as u64 || body.committed() == source.len() as u64;
            prop_assert!(known, "a clean end only when the end is known");
        } else {
            prop_assert!(!finished, "a complete body fails nobody");
        }
        if promised && !finished && !self.got.is_empty() {
            let last = self.range.start + self.got.len() as u64;
            prop_assert!(last <= source.len().saturating_sub(64 << 10) as u64, "the last block is held back");
        }
        Ok(())
    }

    fn wanted<'a>(&self, source: &'a [u8]) -> &'a [u8] {
        let clamp = |offset: u64| offset.min(source.len() as u64) as usize;
        source.get(clamp(self.range.start)..clamp(self.range.end)).unwrap_or_default()
    }
}

async fn run(plan: Plan) -> Result<(), TestCaseError> {
    let house = House::new(64 << 20);
    let source = source(plan.size, plan.size as u64);
    let right = Digest::of(&source);
    let promised = plan.promised.map(|is_right| if is_right { right } else { Digest::of(b"not this") });
    let (entry, mut fill) = house.publish(1, plan.declared.then_some(plan.size as u64), promised).await;

    let mut followers: Vec<Follower> = Vec::new();
    let mut written = 0;
    for step in plan.steps {
        match step {
            Step::Write(length) => {
                let to = (written + length).min(source.len());
                fill.write(Bytes::copy_from_slice(&source[written..to])).await.unwrap();
                written = to;
            }
            Step::Flush => fill.flush().await.unwrap(),
            Step::Follow(range) => {
                let reader = entry.body.read(range.clone());
                followers.push(Follower { reader, range, got: Vec::new(), end: None });
            }
            Step::Read(number) => followers.get_mut(number).into_iter().for_each(Follower::read),
            Step::Leave(number) => drop((number < followers.len()).then(|| followers.swap_remove(number))),
        }
    }
    let finished = match plan.end {
        End::Finish => {
            fill.write(Bytes::copy_from_slice(&source[written..])).await.unwrap();
            fill.finish().await == Ok(right)
        }
        End::Fail => {
            fill.fail(reasons::short_body(1, 0));
            false
        }
        End::Drop => {
            drop(fill);
            false
        }
    };
    prop_assert_eq!(finished, matches!(plan.end, End::Finish) && plan.promised != Some(false));
    prop_assert_eq!(house.writer.reader().lookup(&key_of(1)).is_some(), finished);

    for follower in followers {
        follower.check(&entry.body, &source, finished, plan.promised.is_some()).await?;
    }
    drop(entry);
    house.remove(&key_of(1));
    house.writer.settle().await;
    prop_assert_eq!(house.usage(), Usage { quota: 64 << 20, ..Usage::default() });
    prop_assert_eq!((house.files("fills"), house.files("bodies")), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn followers_see_a_prefix_of_the_source_and_a_clean_end_only_on_the_whole(plan in plan()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(plan))?;
    }
}
