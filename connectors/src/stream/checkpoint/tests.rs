//! A checkpoint is what was saved last, whatever is killed or fails in between.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::Int64Array;

use super::*;
use crate::storage::{Operation, Verdict};

fn columns(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| Field::new(*name, DataType::Int64, true);
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

fn rows(values: std::ops::Range<i64>) -> Received {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values.clone()));
    Received {
        partition: values
            .clone()
            .map(|v| v.rem_euclid(3).cast_unsigned())
            .collect(),
        place: values.map(i64::cast_unsigned).collect(),
        rows: RecordBatch::try_new(columns(&["a"]), vec![column]).unwrap(),
    }
}

fn addition(values: std::ops::Range<i64>, millis: i64) -> BTreeMap<String, Addition> {
    let of = TopicPartition {
        topic: Arc::from("t"),
        partition: 2,
    };
    let (number, next) = (7, values.end);
    let addition = Addition {
        read: Read::from([(of, Progress { number, next })]),
        received: if values.is_empty() {
            vec![]
        } else {
            vec![rows(values)]
        },
        span: Some((millis, millis)),
    };
    BTreeMap::from([("r".to_owned(), addition)])
}

fn values(checkpoints: &Checkpoints) -> Vec<u64> {
    let received = checkpoints
        .received("r", &columns(&["a"]))
        .unwrap()
        .unwrap();
    received.into_iter().flat_map(|batch| batch.place).collect()
}

fn files(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// All rows come back in order, in few files.
#[test]
fn rows_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().to_str().unwrap();
    let mut next = 0;
    for number in 0..40 {
        let mut checkpoints = Checkpoints::open(address, None).unwrap();
        assert_eq!(values(&checkpoints), (0..next).collect::<Vec<_>>());
        let end = next + 1 + number % 5;
        checkpoints
            .save(&addition(next.cast_signed()..end.cast_signed(), 0), 0, next)
            .unwrap();
        next = end;
        assert_eq!(checkpoints.size().0, next);
    }
    let checkpoints = Checkpoints::open(address, None).unwrap();
    let read = checkpoints.read("r");
    let progress = read.values().next().unwrap();
    assert_eq!((progress.number, progress.next), (7, next.cast_signed()));
    assert!(files(folder.path()) < 10, "{}", files(folder.path()));
    assert_eq!(checkpoints.read("another"), Read::new());
    assert_eq!(checkpoints.received("r", &columns(&["b"])).unwrap(), None);
}

/// What came before an instant goes, whole segments only; what no longer counts is no longer there.
#[test]
fn old_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().to_str().unwrap();
    let mut checkpoints = Checkpoints::open(address, None).unwrap();
    for day in 0..5 {
        let first = day * 10;
        checkpoints
            .save(&addition(first..first + 10, day * DAY_MILLIS), 0, 0)
            .unwrap();
    }
    checkpoints
        .save(&addition(50..50, 0), 3 * DAY_MILLIS, 0)
        .unwrap();
    let kept: Vec<u64> = (30..50).collect();
    assert_eq!(values(&checkpoints), kept);
    assert_eq!(files(folder.path()), 3);
    checkpoints.save(&BTreeMap::new(), 0, 0).unwrap();
    assert_eq!(values(&checkpoints), Vec::<u64>::new());
    assert_eq!(files(folder.path()), 1);
}

/// What is read anew does not count twice; until the next checkpoint a kill finds what was there before.
#[test]
fn forgotten_rows_go() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().to_str().unwrap();
    let mut checkpoints = Checkpoints::open(address, None).unwrap();
    assert!(checkpoints.reaches_back_to(i64::MIN));
    checkpoints.save(&addition(0..9, 0), 7, 0).unwrap();
    assert!(checkpoints.reaches_back_to(7) && !checkpoints.reaches_back_to(6));
    checkpoints.forget("r");
    assert_eq!(checkpoints.read("r"), Read::new());
    assert_eq!(values(&checkpoints), Vec::<u64>::new());
    let killed = Checkpoints::open(address, None).unwrap();
    assert_eq!(values(&killed).len(), 9);
    checkpoints.save(&addition(2..4, 0), 0, 0).unwrap();
    for checkpoints in [checkpoints, Checkpoints::open(address, None).unwrap()] {
        assert_eq!(values(&checkpoints), [2, 3]);
    }
    assert_eq!(files(folder.path()), 2);
}

/// Fails at the operation of a number, and ever after.
#[derive(Debug)]
struct FailFrom(u64, AtomicU64);

impl Hook for FailFrom {
    fn before(&self, _: Operation, _: &str) -> Verdict {
        match self.1.fetch_add(1, Ordering::Relaxed) < self.0 {
            true => Verdict::Proceed,
            false => Verdict::Fail,
        }
    }
}

/// Killed at any step, it is the checkpoint before or the one after, and the next goes on from there.
#[test]
fn killed_anywhere() {
    for step in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().to_str().unwrap();
        let hook: Arc<dyn Hook> = Arc::new(FailFrom(step, AtomicU64::new(0)));
        let mut saved = 0;
        let mut tried = 0;
        if let Ok(mut checkpoints) = Checkpoints::open(address, Some(hook)) {
            for end in 1..8 {
                tried = end;
                if checkpoints.save(&addition(end - 1..end, 0), 0, 0).is_err() {
                    break;
                }
                saved = end;
            }
        }
        let mut checkpoints = Checkpoints::open(address, None).unwrap();
        let found = values(&checkpoints).len() as i64;
        assert!(
            found == saved || found == tried,
            "{found} of {saved} or {tried}"
        );
        checkpoints
            .save(&addition(found..found + 1, 0), 0, 0)
            .unwrap();
        assert_eq!(values(&checkpoints).len() as i64, found + 1);
        let named = checkpoints.size().1;
        assert_eq!(files(folder.path()), named + 1);
    }
}

/// Fails once, at the operation of a number.
#[derive(Debug)]
struct FailAt(u64, AtomicU64);

impl Hook for FailAt {
    fn before(&self, _: Operation, _: &str) -> Verdict {
        match self.1.fetch_add(1, Ordering::Relaxed) == self.0 {
            true => Verdict::Fail,
            false => Verdict::Proceed,
        }
    }
}

/// A checkpoint that failed and is tried again holds everything, whichever step failed.
#[test]
fn tried_again() {
    for step in 2..60 {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().to_str().unwrap();
        let hook: Arc<dyn Hook> = Arc::new(FailAt(step, AtomicU64::new(0)));
        let mut checkpoints = Checkpoints::open(address, Some(hook)).unwrap();
        for end in 1..8 {
            let addition = addition(end - 1..end, 0);
            while checkpoints.save(&addition, 0, 0).is_err() {}
        }
        let saved = Checkpoints::open(address, None).unwrap();
        assert_eq!(values(&saved), (0..7).collect::<Vec<_>>(), "step {step}");
        assert_eq!(files(folder.path()), saved.size().1 + 1, "step {step}");
    }
}

/// A manifest that cannot be read, and a segment that is gone, are errors that name the file.
#[test]
fn damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().to_str().unwrap();
    let mut checkpoints = Checkpoints::open(address, None).unwrap();
    checkpoints.save(&addition(0..9, 0), 0, 0).unwrap();
    let segment = folder.path().join("segment-00000000.arrow");
    let whole = std::fs::read(&segment).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"".as_slice(), b"foreign"] {
        std::fs::write(&segment, damaged).unwrap();
        let checkpoints = Checkpoints::open(address, None).unwrap();
        let error = checkpoints.received("r", &columns(&["a"])).unwrap_err();
        assert!(error.to_string().contains("segment-00000000"), "{error}");
    }
    std::fs::write(folder.path().join(MANIFEST), "{").unwrap();
    let error = Checkpoints::open(address, None).unwrap_err();
    assert!(error.to_string().contains(MANIFEST), "{error}");
}
