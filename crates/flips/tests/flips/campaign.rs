//! Changes one byte after the other and judges what comes of it.
//!
//! Reading is deterministic, so whoever did not read a byte cannot know that it was changed. A first run notes which bytes
//! opening the files asks for, and which each part of them; after a change, opening and the parts that asked for the byte are
//! done again, all parts if opening asked for it, nothing if nobody did. [`Pace::every_part`] does all again for a sample, and
//! must come to the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::file::{Amount, Changed, Flip, Work};
use crate::fixture::{Field, Fixture, Guard, Seen};

/// What became of a change. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Something cannot be read, and an error says so.
    Refused,
    /// All can be read and some of it is other data, but a warning or the checking command says so.
    Reported,
    /// All is the same.
    Same,
    /// The same content, but what the file says of itself is other, and nothing was said.
    Described,
    /// Other content, and nothing was said.
    Different,
}

/// Which changes are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Every bit of a byte and all of them at once, or one bit, another for each of eight bytes.
    pub(crate) every_bit: bool,
    /// From this length on a field is long: room for something, such as blocks of disks, and no structure.
    pub(crate) long: usize,
    /// Among the zeros of what is long every so many bytes.
    pub(crate) zeros: usize,
    /// Of other bytes every so many.
    pub(crate) others: usize,
}

impl Pace {
    /// `cargo xtask flips`
    pub(crate) const WHOLE: Self = Self { every_bit: true, long: 16 << 10, zeros: 509, others: 1 };
    /// `cargo test`
    pub(crate) const TEST: Self = Self { every_bit: false, long: 4 << 10, zeros: 509, others: 1 };

    fn masks(self, offset: usize) -> impl Iterator<Item = u8> {
        let one = 1 << (offset % 8);
        (0..=8)
            .map(|bit| if bit == 8 { 0xFF } else { 1 << bit })
            .filter(move |mask| self.every_bit || *mask == one)
    }

    fn takes(self, bytes: &[u8], offset: usize, field: &Field) -> bool {
        const NEAR: usize = 32;
        if field.range.len() < self.long {
            return offset.is_multiple_of(self.others);
        }
        let near = &bytes[offset.saturating_sub(NEAR)..bytes.len().min(offset + NEAR)];
        let every = if near.iter().all(|byte| *byte == 0) { self.zeros } else { self.others };
        offset.is_multiple_of(every)
    }
}

/// How many changes came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) bytes: u64,
    pub(crate) by_outcome: [u64; 5],
    /// The first change that went unnoticed.
    pub(crate) first: Option<Flip>,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.first = self.first.or(other.first);
        self.bytes += other.bytes;
        self.by_outcome.iter_mut().zip(other.by_outcome).for_each(|(sum, count)| *sum += count);
    }
}

/// The outcomes of a fixture, by field: its name and what guards it.
pub(crate) type Outcomes = BTreeMap<(&'static str, Guard), Counts>;

/// What is seen of files that nobody changed, and who asked for which byte.
struct Before {
    shown: Seen,
    parts: Vec<Seen>,
    /// By file: where a segment begins of which all bytes are asked for by the same.
    segments: Vec<Vec<(usize, Vec<Asker>)>>,
    most: Amount,
    most_seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Open,
    Part(usize),
}

impl Before {
    fn of(fixture: &Fixture) -> Self {
        let mut asked: Vec<Vec<(Range<usize>, Asker)>> = vec![Vec::new(); fixture.files.len()];
        let mut note = |work: &Work, asker| {
            for (file, range) in work.take_ranges() {
                asked[file].push((range, asker));
            }
        };
        let work = Work::noted();
        let open = || {
            let files = Changed::all(&fixture.files, None, &work);
            fixture.subject.open(&files).unwrap_or_else(|error| panic!("{}: {error}", fixture.name))
        };
        let opened = open();
        note(&work, Asker::Open);
        let shown = opened.shown();
        assert_eq!(shown.warnings, [""; 0], "{}", fixture.name);
        // Opening again and again is not part of reading it once, so this allows some more work than is needed.
        let mut parts = Vec::new();
        for index in 0..opened.parts() {
            let fresh = open();
            work.take_ranges();
            let part =
                fresh.part(index).unwrap_or_else(|error| panic!("{}, part {index}: {error}", fixture.name));
            note(&work, Asker::Part(index));
            parts.push(part);
        }
        let found = open().check();
        assert_eq!(found, [""; 0], "{}", fixture.name);
        let seen = shown.len() + parts.iter().map(Seen::len).sum::<u64>();
        let Amount { reads, bytes } = work.amount();
        Self {
            shown,
            parts,
            segments: asked.into_iter().map(segments).collect(),
            most: Amount { reads: 4 * reads + 1000, bytes: 4 * bytes + (1 << 20) },
            most_seen: 4 * seen + (1 << 20),
        }
    }

    fn askers(&self, file: usize, offset: usize) -> &[Asker] {
        let segments = &self.segments[file];
        match segments.partition_point(|(start, _)| *start <= offset) {
            0 => &[],
            behind => &segments[behind - 1].1,
        }
    }
}

fn segments(asked: Vec<(Range<usize>, Asker)>) -> Vec<(usize, Vec<Asker>)> {
    let mut edges: Vec<(usize, bool, Asker)> = Vec::new();
    for (range, asker) in asked {
        edges.push((range.start, true, asker));
        edges.push((range.end, false, asker));
    }
    edges.sort_by_key(|(at, ..)| *at);
    let mut open: BTreeMap<Asker, usize> = BTreeMap::new();
    let mut segments: Vec<(usize, Vec<Asker>)> = Vec::new();
    for (at, begins, asker) in edges {
        let count = open.entry(asker).or_default();
        // An empty range ends where it begins, perhaps before.
        *count = if begins { *count + 1 } else { count.wrapping_sub(1) };
        if segments.last().is_none_or(|(start, _)| *start != at) {
            segments.push((at, Vec::new()));
        }
        let last = segments.last_mut().expect("one was added");
        last.1 = open.iter().filter(|(_, count)| **count != 0).map(|(asker, _)| *asker).collect();
    }
    segments
}

/// Reads the files with a change, all parts or those that asked for the byte.
fn judge(fixture: &Fixture, before: &Before, flip: Flip, every_part: bool) -> Outcome {
    let askers = before.askers(flip.file, flip.offset);
    if askers.is_empty() && !every_part {
        return Outcome::Same;
    }
    let whole = every_part || askers.contains(&Asker::Open);
    let work = Work::up_to(before.most);
    let files = Changed::all(&fixture.files, Some(flip), &work);
    let Ok(opened) = fixture.subject.open(&files) else { return Outcome::Refused };
    let shown = opened.shown();
    let mut same = shown.data == before.shown.data;
    let mut told = shown.told == before.shown.told;
    let mut warned = !shown.warnings.is_empty();
    let mut seen = shown.len();
    let mut read = |index: usize| {
        let Ok(part) = opened.part(index) else { return false };
        let old = before.parts.get(index);
        same &= old.is_some_and(|old| old.data == part.data);
        told &= old.is_some_and(|old| old.told == part.told);
        warned |= !part.warnings.is_empty();
        seen += part.len();
        assert!(
            seen <= before.most_seen,
            "unbounded output: {seen} bytes, expected at most {}",
            before.most_seen
        );
        true
    };
    let all = if whole {
        let count = opened.parts();
        let all = (0..count).all(&mut read);
        same &= count == before.parts.len();
        all
    } else {
        askers.iter().all(|asker| match asker {
            Asker::Part(index) => read(*index),
            Asker::Open => unreachable!("then all parts are read"),
        })
    };
    match (all, same && told) {
        (false, _) => Outcome::Refused,
        (true, true) => Outcome::Same,
        (true, false) if warned || !opened.check().is_empty() => Outcome::Reported,
        (true, false) if same => Outcome::Described,
        (true, false) => Outcome::Different,
    }
}

/// Changes what `pace` says of a fixture. Fails with what must not happen: a panic, work without bounds, or other data where
/// something guards it.
pub(crate) fn run(fixture: &Fixture, pace: Pace) -> Outcomes {
    let before = Before::of(fixture);
    let places: Vec<(usize, usize)> = (0..fixture.files.len())
        .flat_map(|file| (0..fixture.files[file].len()).map(move |offset| (file, offset)))
        .filter(|(file, offset)| pace.takes(&fixture.files[*file], *offset, fixture.field(*file, *offset)))
        .collect();
    let (outcomes, faults) = (Mutex::new(Outcomes::new()), Mutex::new(Vec::new()));
    let next = AtomicUsize::new(0);
    let work = || {
        // What a reader does with several threads it does here with this one.
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().expect("this thread");
        let (mut here, mut wrong) = (Outcomes::new(), Vec::new());
        loop {
            let start = next.fetch_add(64, Ordering::Relaxed);
            let Some(some) = places.get(start..places.len().min(start + 64)).filter(|some| !some.is_empty())
            else {
                break;
            };
            for (file, offset) in some.iter().copied() {
                let field = fixture.field(file, offset);
                let counts = here.entry((field.name, field.guard)).or_default();
                counts.bytes += 1;
                for mask in pace.masks(offset) {
                    let flip = Flip { file, offset, mask };
                    match attempt(fixture, &before, flip, field) {
                        Ok(outcome) => {
                            counts.by_outcome[outcome as usize] += 1;
                            if outcome >= Outcome::Described {
                                counts.first = counts.first.or(Some(flip));
                            }
                        }
                        Err(fault) => wrong.push(fault),
                    }
                }
            }
        }
        drop(pool);
        let mut all = outcomes.lock().expect("nobody panics with it");
        for (field, counts) in here {
            all.entry(field).or_default().add(&counts);
        }
        faults.lock().expect("nobody panics with it").extend(wrong);
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut faults: Vec<String> = faults.into_inner().expect("nobody panics with it");
    faults.sort();
    assert!(
        faults.is_empty(),
        "{}: {} faults:\n{}",
        fixture.name,
        faults.len(),
        faults[..faults.len().min(40)].join("\n")
    );
    outcomes.into_inner().expect("nobody panics with it")
}

fn attempt(fixture: &Fixture, before: &Before, flip: Flip, field: &Field) -> Result<Outcome, String> {
    let say = |what: String| {
        format!("{:>5}:{:#08x} ^ {:#04x}, {}: {what}", flip.file, flip.offset, flip.mask, field.name)
    };
    let judged = |every_part| catch_unwind(AssertUnwindSafe(|| judge(fixture, before, flip, every_part)));
    let outcome = judged(false).map_err(|panic| say(format!("panic: {}", text_of(panic.as_ref()))))?;
    // A sample, with a step that is prime to everything.
    if (flip.offset + 7 * usize::from(flip.mask)).is_multiple_of(499) {
        match judged(true) {
            Ok(again) if again == outcome => {}
            Ok(again) => return Err(say(format!("{outcome:?} by those who asked for it, {again:?} by all"))),
            Err(panic) => return Err(say(format!("panic when all is read: {}", text_of(panic.as_ref())))),
        }
    }
    match (outcome, field.guard) {
        (Outcome::Described | Outcome::Different, Guard::By(_) | Guard::Unused) => {
            Err(say(format!("{outcome:?}, but guarded by {:?}", field.guard)))
        }
        _ => Ok(outcome),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
