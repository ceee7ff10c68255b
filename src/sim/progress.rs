//! How far a long run has come: a bar on the standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Below so many requests a run is over before anybody wonders.
const REQUESTS_MIN: u64 = 5_000_000;

/// How many requests a run goes on before it tells.
const STEP: u64 = 1 << 16;

/// Shared by all runs of a command, which may be on several threads.
pub struct Progress(ProgressBar);

/// What one run has told.
pub struct Teller<'a> {
    progress: &'a Progress,
    untold: u64,
}

impl Progress {
    /// For so many requests in all runs together.
    pub fn new(requests: u64) -> Self {
        let target = match requests >= REQUESTS_MIN {
            // It is silent unless it is a terminal.
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(requests), target);
        let style = "{bar:40} {percent:>3} % of {human_len} requests, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Without a bar.
    #[cfg(test)]
    pub fn silent() -> Self {
        Self(ProgressBar::hidden())
    }

    pub fn teller(&self) -> Teller<'_> {
        Teller {
            progress: self,
            untold: 0,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Teller<'_> {
    /// One more request is over.
    pub fn one(&mut self) {
        self.untold += 1;
        if self.untold == STEP {
            self.progress.0.inc(STEP);
            self.untold = 0;
        }
    }
}
