//! What the kernel knows of this process, by the names that Prometheus' clients and SLEdge have for it.

use procfs::WithCurrentSystemInfo;
use procfs::process::{LimitValue, Process as Pid};

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub user_s: f64,
    pub system_s: f64,
    /// Of it, as the host of a virtual machine.
    pub guest_s: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub open_fds: usize,
    pub fds_max: u64,
    pub threads: i64,
    /// Seconds since 1970.
    pub start_unix_s: f64,
    pub major_faults: u64,
    pub minor_faults: u64,
    /// Those of processes that it has started and that have ended.
    pub child_major_faults: u64,
    pub child_minor_faults: u64,
}

impl Process {
    /// `None` where there is no /proc, or not as it was.
    pub fn read() -> Option<Process> {
        let process = Pid::myself().ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let seconds = |ticks_spent: u64| ticks_spent as f64 / ticks;
        let fds_max = match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => limit,
            LimitValue::Unlimited => u64::MAX,
        };
        Some(Process {
            user_s: seconds(stat.utime),
            system_s: seconds(stat.stime),
            guest_s: seconds(stat.guest_time.unwrap_or(0)),
            resident_bytes: stat.rss_bytes().get(),
            virtual_bytes: stat.vsize,
            open_fds: process.fd_count().ok()?,
            fds_max,
            threads: stat.num_threads,
            start_unix_s: procfs::boot_time_secs().ok()? as f64 + seconds(stat.starttime),
            major_faults: stat.majflt,
            minor_faults: stat.minflt,
            child_major_faults: stat.cmajflt,
            child_minor_faults: stat.cminflt,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let process = Process::read().expect("there is a /proc");
        assert!(process.resident_bytes > 0 && process.resident_bytes <= process.virtual_bytes);
        assert!(process.open_fds > 0 && process.open_fds as u64 <= process.fds_max);
        assert!(process.threads > 0 && process.minor_faults > 0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age_s = now.expect("after 1970").as_secs_f64() - process.start_unix_s;
        assert!((-60.0..86_400.0).contains(&age_s), "{age_s}");
    }
}
