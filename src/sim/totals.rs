//! What a simulation sums up over all workers, and what must be true of the sums.

use super::engine::Costs;

/// Sums over the whole run, all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Time spent in the requests' own work.
    pub work_ns: u128,
    /// Time spent in starting, interrupting and ending.
    pub overhead_ns: u128,
    /// Requests that the listener took up.
    pub arrived: u64,
    pub started: u64,
    /// Slices: each ends in one of the four ways that follow.
    pub resumed: u64,
    pub preempted: u64,
    pub yielded: u64,
    pub blocked: u64,
    pub finished: u64,
    pub refused: u64,
    /// Requests that went to another worker before they began.
    pub stolen: u64,
    /// ∫N dt, N being the number of requests on the workers.
    pub present_ns: u128,
    /// Requests on the workers now.
    pub present: u64,
    /// Σ(finished − delivered).
    pub stayed_ns: u128,
    /// Σ service of the finished.
    pub served_ns: u128,
    /// Σ(woken − blocked).
    pub blocked_ns: u128,
    /// Σ waits of the finished, as they were asked for.
    pub waited_ns: u128,
}

impl Totals {
    /// Checks what is true of every run that went from idle to idle, exactly.
    pub fn audit(&self, requests: u64, costs: &Costs) {
        assert_eq!(self.arrived, requests, "all came");
        assert_eq!(self.finished + self.refused, requests, "one end each");
        assert_eq!(self.started, self.finished, "one start each");
        assert_eq!(self.present, 0, "nobody is left");
        assert_eq!(self.present_ns, self.stayed_ns, "Little's law");
        assert_eq!(self.work_ns, self.served_ns, "work is conserved");
        let ends = self.preempted + self.yielded + self.blocked + self.finished;
        assert_eq!(self.resumed, ends, "one end for each slice");
        assert_eq!(
            self.blocked_ns, self.waited_ns,
            "who waits is woken in time"
        );
        let starts_ns = u128::from(self.started) * u128::from(costs.start_ns);
        let switches_ns = u128::from(self.preempted) * u128::from(costs.preempt_ns);
        let ends_ns = u128::from(self.finished) * u128::from(costs.finish_ns);
        assert_eq!(
            self.overhead_ns,
            starts_ns + switches_ns + ends_ns,
            "costs are charged"
        );
    }
}
