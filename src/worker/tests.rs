//! The worker loop: what each call does in each state, and generated runs under every policy in which no task is lost.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::{Params, SCHEDULERS, Scheduler};

use super::*;

fn arrival(seq: u64) -> Arrival {
    Arrival {
        seq,
        tenant: 0,
        route: 0,
        arrival_ns: seq,
        deadline_ns: 10 * (seq % 4),
        expected_ns: 0,
    }
}

fn worker(scheduler: &Scheduler, tasks_max: u32) -> Worker<u64> {
    let params = Params {
        quantum_ns: 5,
        preemption: true,
        ..Params::default()
    };
    Worker::new((scheduler.build)(&params), tasks_max)
}

fn fifo() -> Worker<u64> {
    worker(Scheduler::from_name("fifo").unwrap(), 2)
}

/// The task that runs now, and whether for the first time.
fn runs(worker: &mut Worker<u64>) -> Option<(TaskKey, bool)> {
    match worker.turn(0) {
        Turn::Run { slice, first } => Some((worker.key(slice.task), first)),
        Turn::Idle => None,
    }
}

#[test]
fn a_full_table_gives_the_job_back() {
    let mut worker = fifo();
    let first = worker.arrive(0, arrival(0), 10).unwrap();
    worker.arrive(0, arrival(1), 11).unwrap();
    assert_eq!(worker.arrive(0, arrival(2), 12), Err(12));
    assert_eq!((worker.free_slots(), worker.outstanding()), (0, 2));
    assert_eq!(worker.cancel(0, first).unwrap().job, 10);
    assert!(worker.arrive(0, arrival(2), 12).is_ok());
}

#[test]
fn a_task_starts_once_and_ends_with_its_job() {
    let mut worker = fifo();
    let key = worker.arrive(0, arrival(0), 10).unwrap();
    assert_eq!(runs(&mut worker), Some((key, true)));
    assert_eq!(worker.running(), Some(key.id));
    *worker.job_mut(key.id) += 1;
    assert_eq!(worker.ended(3, SliceEnd::Yielded), None);
    assert_eq!(runs(&mut worker), Some((key, false)));
    let ended = Ended {
        key,
        job: 11,
        started: true,
        cancelled: false,
    };
    assert_eq!(worker.ended(5, SliceEnd::Finished), Some(ended));
    assert_eq!(runs(&mut worker), None);
}

/// A wake is told before, during or after the slice that blocks, or of a task that is gone.
#[test]
fn wakes_are_neither_lost_nor_believed_twice() {
    let mut worker = fifo();
    let key = worker.arrive(0, arrival(0), 0).unwrap();
    assert!(!worker.wake(0, key), "it is queued");
    let blocks = |worker: &mut Worker<u64>, wake: bool| {
        assert_eq!(runs(worker).unwrap().0, key);
        if wake {
            assert!(!worker.wake(0, key), "it runs");
        }
        assert_eq!(worker.ended(0, SliceEnd::Blocked), None);
    };
    blocks(&mut worker, false);
    assert_eq!(
        runs(&mut worker),
        None,
        "the wake of the queued is not kept"
    );
    assert!(worker.wake(0, key));
    assert!(!worker.wake(0, key), "it is ready");
    blocks(&mut worker, true);
    blocks(&mut worker, false);
    assert_eq!(runs(&mut worker), None, "a wake is used once");
    assert!(worker.wake(0, key));

    // A wake that comes during a slice which is interrupted is seen by the next one, so it is not kept beyond.
    assert!(runs(&mut worker).is_some());
    assert!(!worker.wake(0, key));
    assert_eq!(worker.ended(0, SliceEnd::Preempted), None);
    blocks(&mut worker, false);
    assert_eq!(runs(&mut worker), None);

    assert!(worker.cancel(0, key).is_some());
    assert!(!worker.wake(0, key), "it is gone");
    let next = worker.arrive(0, arrival(1), 0).unwrap();
    assert_eq!(next.id, key.id);
    assert!(runs(&mut worker).is_some());
    worker.wake(0, key);
    assert_eq!(worker.ended(0, SliceEnd::Blocked), None);
    assert_eq!(runs(&mut worker), None, "the wake of another generation");
    assert!(worker.cancel(0, key).is_none());
}

/// A cancelled task ends at once, or with its slice if it runs.
#[test]
fn cancellation_in_every_state() {
    use SliceEnd::{Blocked, Finished, Preempted, Yielded};
    for end in [None, Some(Preempted), Some(Yielded), Some(Blocked)] {
        let mut worker = fifo();
        let key = worker.arrive(0, arrival(0), 7).unwrap();
        if let Some(end) = end {
            assert!(runs(&mut worker).is_some());
            assert_eq!(worker.ended(0, end), None);
        }
        let ended = worker.cancel(0, key).unwrap();
        assert_eq!(
            (ended.job, ended.started, ended.cancelled),
            (7, end.is_some(), true)
        );
        assert_eq!(runs(&mut worker), None);
    }
    for end in [Finished, Preempted, Yielded, Blocked] {
        let mut worker = fifo();
        let key = worker.arrive(0, arrival(0), 7).unwrap();
        assert!(runs(&mut worker).is_some());
        assert_eq!(worker.cancel(0, key), None);
        let ended = worker.ended(0, end).unwrap();
        assert_eq!((ended.job, ended.started, ended.cancelled), (7, true, true));
        assert_eq!((worker.outstanding(), runs(&mut worker)), (0, None));
    }
}

#[test]
fn every_task_ends_once_under_every_policy() {
    for scheduler in SCHEDULERS {
        for seed in 0..200 {
            check(scheduler, seed);
        }
    }
}

/// Does at random whatever a driver may do, then lets all end.
fn check(scheduler: &Scheduler, seed: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut worker = worker(scheduler, 6);
    let mut seq = 0;
    // The living by their key, with their job; and every key that ever was.
    let mut living: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let mut keys: Vec<TaskKey> = Vec::new();
    let gone = |living: &mut BTreeMap<_, _>, ended: Ended<u64>| {
        let key = (ended.key.id.0, ended.key.generation);
        assert_eq!(living.remove(&key), Some(ended.job));
    };
    for now in 0..500 {
        let any = keys.choose(&mut random).copied();
        match random.random_range(0..6) {
            0 | 1 => match worker.arrive(now, arrival(seq), seq) {
                Ok(key) => {
                    keys.push(key);
                    assert_eq!(living.insert((key.id.0, key.generation), seq), None);
                    seq += 1;
                }
                Err(job) => assert_eq!((job, living.len()), (seq, 6)),
            },
            2 => {
                any.map(|key| worker.wake(now, key));
            }
            3 if random.random_range(0..4) == 0 => {
                let ended = any.and_then(|key| worker.cancel(now, key));
                ended.into_iter().for_each(|ended| gone(&mut living, ended));
            }
            _ if worker.running().is_some() => {
                let ends = [
                    SliceEnd::Finished,
                    SliceEnd::Preempted,
                    SliceEnd::Yielded,
                    SliceEnd::Blocked,
                ];
                let end = ends[random.random_range(0..4)];
                let ended = worker.ended(now, end);
                assert!(end != SliceEnd::Finished || ended.is_some());
                ended.into_iter().for_each(|ended| gone(&mut living, ended));
            }
            _ => {
                let waiting = worker.waiting();
                assert_eq!(runs(&mut worker).is_some(), waiting > 0);
            }
        }
        assert_eq!(worker.outstanding() as usize, living.len());
    }
    if worker.running().is_some() {
        gone(&mut living, worker.ended(500, SliceEnd::Finished).unwrap());
    }
    for &key in &keys {
        worker.wake(500, key);
    }
    while runs(&mut worker).is_some() {
        gone(&mut living, worker.ended(500, SliceEnd::Finished).unwrap());
    }
    assert!(living.is_empty(), "{} {seed}: {living:?}", scheduler.name);
    assert!(seq > 20, "the generator is too tame");
}
