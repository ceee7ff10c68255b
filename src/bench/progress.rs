//! What a run shows of itself while it lasts: a bar on standard error, if that is a terminal.
//!
//! A thread of its own draws, for drawing takes system calls that would make requests late; it reads four counters.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::books::Books;
use super::limits::PROGRESS_EVERY;

/// The counters of a run under way.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    under_way: AtomicU64,
    waiting: AtomicU64,
    over: AtomicBool,
}

impl Counts {
    /// Publishes how far the run is.
    pub fn show(&self, books: &Books, waiting: usize) {
        let (sent, over, failed) = books.totals;
        self.sent.store(sent, Ordering::Relaxed);
        self.failed.store(failed, Ordering::Relaxed);
        self.under_way
            .store(sent.saturating_sub(over), Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    /// The run is over.
    pub fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The thread that draws.
pub struct Progress(Option<JoinHandle<()>>);

impl Progress {
    /// Draws until the counts say that the run is over; nothing where standard error is no terminal.
    pub fn start(counts: &Arc<Counts>, duration: Duration) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let counts = Arc::clone(counts);
        let draw = move || draw(&counts, duration);
        // Without it the run is as good.
        Self(
            thread::Builder::new()
                .name("progress".into())
                .spawn(draw)
                .ok(),
        )
    }

    /// Waits until the bar is gone.
    pub fn end(self) {
        if let Some(thread) = self.0 {
            thread.thread().unpark();
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

fn draw(counts: &Counts, duration: Duration) {
    let bar = ProgressBar::new(duration.as_millis() as u64);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
    bar.set_style(style.expect("the template is right"));
    let started = Instant::now();
    while !counts.over.load(Ordering::Relaxed) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        bar.set_position((started.elapsed().as_millis() as u64).min(duration.as_millis() as u64));
        bar.set_message(format!(
            "{} sent, {} under way, {} waiting, {} failed",
            count(&counts.sent),
            count(&counts.under_way),
            count(&counts.waiting),
            count(&counts.failed),
        ));
        thread::park_timeout(PROGRESS_EVERY);
    }
    bar.finish_and_clear();
}
