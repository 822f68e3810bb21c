//! Traces from generators: the same numbers in every run.

use super::trace::{Request, Trace};

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

/// Every generated trace.
pub(crate) fn all() -> Vec<Trace> {
    vec![zipf(), scans(), cycle(), one_hit_wonders(), waves(), drift(), huge()]
}

/// Popularity by Zipf's law.
fn zipf() -> Trace {
    let mut make = Maker::new("Zipf");
    let objects = make.objects(20_000, 4.0 * KIB, 64.0 * MIB);
    let law = Zipf::new(objects.len(), 0.9);
    for _ in 0..400_000 {
        make.ask_one(&objects, &law);
    }
    make.done()
}

/// Zipf, and from time to time somebody reads a whole mirror from end to end.
fn scans() -> Trace {
    let mut make = Maker::new("scan over Zipf");
    let objects = make.objects(10_000, 4.0 * KIB, 64.0 * MIB);
    let mirror = make.objects(10_000, 4.0 * KIB, 64.0 * MIB);
    let law = Zipf::new(objects.len(), 0.9);
    for _ in 0..10 {
        for _ in 0..30_000 {
            make.ask_one(&objects, &law);
        }
        for &object in &mirror {
            make.ask(object);
            make.ask_one(&objects, &law);
        }
    }
    make.done()
}

/// The same objects in the same order, over and over.
fn cycle() -> Trace {
    let mut make = Maker::new("loop");
    let objects = make.objects(5_000, 4.0 * KIB, 64.0 * MIB);
    for _ in 0..40 {
        for &object in &objects {
            make.ask(object);
        }
    }
    make.done()
}

/// Three of five requests are for something that nobody wants again.
fn one_hit_wonders() -> Trace {
    let mut make = Maker::new("one-hit wonders");
    let objects = make.objects(10_000, 4.0 * KIB, 64.0 * MIB);
    let law = Zipf::new(objects.len(), 0.8);
    for _ in 0..300_000 {
        let object = match make.random.below(5) {
            0..3 => make.object(4.0 * KIB, 64.0 * MIB),
            _ => objects[law.draw(&mut make.random)],
        };
        make.ask(object);
    }
    make.done()
}

/// A test laboratory: every build is loaded by many boards at about the same time, with one of a few root file systems;
/// now and then an older build is tested again.
fn waves() -> Trace {
    let mut make = Maker::new("waves of builds");
    let roots = make.objects(40, 200.0 * MIB, 2.0 * GIB);
    let law = Zipf::new(roots.len(), 0.8);
    let mut builds: Vec<Vec<(u32, u64)>> = Vec::new();
    for _ in 0..400 {
        let mut build = make.objects(3, 8.0 * MIB, 60.0 * MIB);
        build.push(make.object(100.0 * MIB, 600.0 * MIB));
        build.extend(make.objects(8, 20.0 * KIB, 100.0 * KIB));
        builds.push(build);
        let mut asked = Vec::new();
        for _ in 0..40 {
            // Jobs of a build stretch into the waves of the next two.
            let back = if make.random.below(10) == 0 { make.random.below(60) } else { make.random.below(3) };
            let build = &builds[builds.len().saturating_sub(1 + back)];
            let start = make.random.below(1000);
            asked.extend(build.iter().map(|&file| (start + make.random.below(20), file)));
            asked.push((start, roots[law.draw(&mut make.random)]));
        }
        asked.sort_by_key(|(time, _)| *time);
        for (_, file) in asked {
            make.ask(file);
        }
    }
    make.done()
}

/// Zipf over a set that changes: every object is of interest for a while.
fn drift() -> Trace {
    let mut make = Maker::new("drifting Zipf");
    let objects = make.objects(60_000, 4.0 * KIB, 64.0 * MIB);
    let law = Zipf::new(10_000, 0.9);
    for step in 0..400_000 {
        // The most popular is in the middle of what is of interest, so that objects come and go gently.
        let rank = law.draw(&mut make.random);
        let side = if rank.is_multiple_of(2) { 5_000 + rank / 2 } else { 4_999 - rank / 2 };
        make.ask(objects[step / 8 + side]);
    }
    make.done()
}

/// Small objects by Zipf, and images that are a good part of the store each: some are asked for often, most once.
fn huge() -> Trace {
    let mut make = Maker::new("huge among small");
    let objects = make.objects(20_000, 4.0 * KIB, 8.0 * MIB);
    let images = make.objects(12, 400.0 * MIB, 2.0 * GIB);
    let law = Zipf::new(objects.len(), 0.9);
    for _ in 0..400_000 {
        let object = match make.random.below(20_000) {
            0..2 => make.object(400.0 * MIB, 2.0 * GIB),
            2..12 => images[make.random.below(images.len())],
            _ => objects[law.draw(&mut make.random)],
        };
        make.ask(object);
    }
    make.done()
}

/// Collects a trace.
struct Maker {
    trace: Trace,
    random: Random,
    made: u32,
}

impl Maker {
    fn new(name: &'static str) -> Self {
        Self { trace: Trace { name, requests: Vec::new() }, random: Random(1), made: 0 }
    }

    /// An object whose size is between these, every order of magnitude as likely as any other.
    fn object(&mut self, least: f64, most: f64) -> (u32, u64) {
        let bytes = least * (most / least).powf(self.random.share());
        self.made += 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (self.made - 1, bytes as u64)
    }

    fn objects(&mut self, count: usize, least: f64, most: f64) -> Vec<(u32, u64)> {
        (0..count).map(|_| self.object(least, most)).collect()
    }

    fn ask(&mut self, (key, bytes): (u32, u64)) {
        self.trace.requests.push(Request { key, bytes });
    }

    fn ask_one(&mut self, objects: &[(u32, u64)], law: &Zipf) {
        let object = objects[law.draw(&mut self.random)];
        self.ask(object);
    }

    fn done(self) -> Trace {
        self.trace
    }
}

/// Draws ranks by Zipf's law.
struct Zipf {
    up_to: Vec<f64>,
}

impl Zipf {
    fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut rank = 0.0_f64;
        let up_to = (0..count)
            .map(|_| {
                rank += 1.0;
                sum += rank.powf(-exponent);
                sum
            })
            .collect();
        Self { up_to }
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = random.share() * self.up_to.last().copied().unwrap_or(0.0);
        self.up_to.partition_point(|&up_to| up_to <= at).min(self.up_to.len() - 1)
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        spread(self.0)
    }

    #[expect(clippy::cast_possible_truncation)]
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// At least 0, less than 1.
    #[expect(clippy::cast_precision_loss)]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Mixes the bits of a number: a fingerprint for a dense key.
pub(crate) fn spread(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_the_same_in_every_run() {
        let (first, second) = (waves(), waves());
        let parts = |trace: &Trace| {
            trace.requests.iter().map(|request| (request.key, request.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(parts(&first), parts(&second));
        assert_eq!(first.requests.len(), 208_000);
    }

    #[test]
    fn popularity_follows_the_law() {
        let (law, mut random) = (Zipf::new(1000, 1.0), Random(1));
        let mut counts = vec![0; 1000];
        (0..200_000).for_each(|_| counts[law.draw(&mut random)] += 1);
        // The sum of 1/n up to 1000 is 7.485.
        assert!((26_000..27_500).contains(&counts[0]), "{}", counts[0]);
        assert!((2_500..2_850).contains(&counts[9]), "{}", counts[9]);
    }
}
