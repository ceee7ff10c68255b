//! Runs that have nothing to do with each other, on all cores. The results come in the order of the runs, so how many
//! cores there are shows in nothing but the time.

use std::sync::Mutex;
use std::thread;

/// Does `work` for 0 to `count`.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(0..count);
    let done = Mutex::new(Vec::with_capacity(count));
    let worker = || {
        loop {
            // Somebody else's panic is told by the scope; the numbers are whole.
            let index = next
                .lock()
                .unwrap_or_else(|broken| broken.into_inner())
                .next();
            let Some(index) = index else { break };
            let result = work(index);
            let mut done = done.lock().unwrap_or_else(|broken| broken.into_inner());
            done.push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(worker);
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_order_and_none_is_lost() {
        for count in [0, 1, 7, 1_000] {
            let squares = super::map(count, |i| i * i);
            assert_eq!(squares, (0..count).map(|i| i * i).collect::<Vec<_>>());
        }
    }
}
