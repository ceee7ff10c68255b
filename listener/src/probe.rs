//! What io_uring offers here, found by asking the kernel, and what to do where it offers nothing.
//!
//! The ring is built with the best set of flags that the kernel takes. Versions are never compared:
//! distributions backport, containers forbid.

use io_uring::{IoUring, Probe, opcode};
use std::fmt;

/// Flag sets tried in turn, best first.
const SETUPS: [(Setup, &str); 3] = [
    (Setup::Deferred, "SINGLE_ISSUER, DEFER_TASKRUN"),
    (Setup::Cooperative, "SINGLE_ISSUER, COOP_TASKRUN"),
    (Setup::Plain, "none"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    /// Completions are made when we ask for them, on our thread, with no interruption (Linux 6.1).
    Deferred,
    /// Completions are made at the next system call of our thread (Linux 6.0).
    Cooperative,
    Plain,
}

/// What the kernel's io_uring can do for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The set-up flags that the ring gets.
    pub setup: &'static str,
    /// Whether that is the best set known.
    pub is_best_setup: bool,
    /// Operations that luge needs and this kernel lacks; empty where it can run.
    pub missing: Vec<&'static str>,
    /// Whether one receive can serve many packets out of a ring of provided buffers.
    pub provided_buffers: bool,
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
#[error("io_uring is not available: {cause}\n  remedy: {remedy}")]
pub struct RingError {
    /// What the kernel said and what that means.
    pub cause: Cause,
    /// What to do about it.
    pub remedy: &'static str,
    #[source]
    source: std::io::Error,
}

/// The causes that can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel has no io_uring (ENOSYS).
    NotInKernel,
    /// `kernel.io_uring_disabled` forbids it.
    DisabledBySysctl(u8),
    /// EPERM or EACCES without that sysctl: a seccomp filter, as container engines install.
    RefusedBySeccomp,
    /// Not enough memory may be locked or mapped.
    Memory,
    /// Provided buffer rings or multishot operations are missing.
    TooOld,
    /// Another error.
    Other,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotInKernel => f.write_str("this kernel does not have it (ENOSYS)"),
            Cause::DisabledBySysctl(value) => write!(
                f,
                "disabled by sysctl kernel.io_uring_disabled={value} (EPERM)"
            ),
            Cause::RefusedBySeccomp => {
                f.write_str("refused (EPERM), most likely by the seccomp filter of a container")
            }
            Cause::Memory => f.write_str("not enough memory may be mapped or locked"),
            Cause::TooOld => {
                f.write_str("this kernel lacks provided buffer rings or multishot operations")
            }
            Cause::Other => f.write_str("the kernel refused the ring"),
        }
    }
}

impl RingError {
    fn new(cause: Cause, source: std::io::Error) -> RingError {
        let remedy = match cause {
            Cause::NotInKernel => "use Linux 6.1 or newer, built with CONFIG_IO_URING=y",
            Cause::DisabledBySysctl(_) => {
                "sysctl -w kernel.io_uring_disabled=0 (as root, on the host)"
            }
            Cause::RefusedBySeccomp => {
                "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile \
                 (for example docker run --security-opt seccomp=profile.json)"
            }
            Cause::Memory => {
                "raise the memlock limit (ulimit -l, LimitMEMLOCK=) or the container's memory"
            }
            Cause::TooOld => "use Linux 6.1 or newer",
            Cause::Other => "see the error below; `luge doctor` shows what the kernel offers",
        };
        RingError {
            cause,
            remedy,
            source,
        }
    }

    fn setup(error: std::io::Error) -> RingError {
        let cause = match error.raw_os_error() {
            Some(libc::ENOSYS) => Cause::NotInKernel,
            Some(libc::EPERM | libc::EACCES) => match disabled_by_sysctl() {
                Some(value) => Cause::DisabledBySysctl(value),
                None => Cause::RefusedBySeccomp,
            },
            Some(libc::ENOMEM) => Cause::Memory,
            _ => Cause::Other,
        };
        RingError::new(cause, error)
    }

    pub(crate) fn memory(error: std::io::Error) -> RingError {
        RingError::new(Cause::Memory, error)
    }

    pub(crate) fn buffers(error: std::io::Error) -> RingError {
        let old = error.raw_os_error() == Some(libc::EINVAL);
        RingError::new(if old { Cause::TooOld } else { Cause::Memory }, error)
    }

    pub(crate) fn socket(error: std::io::Error) -> RingError {
        RingError::new(Cause::Other, error)
    }
}

fn disabled_by_sysctl() -> Option<u8> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok().filter(|&value: &u8| value != 0)
}

fn build(setup: Setup, submissions: u32, completions: u32) -> std::io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(completions).setup_clamp();
    match setup {
        Setup::Deferred => {
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_taskrun_flag();
        }
        Setup::Cooperative => {
            builder
                .setup_single_issuer()
                .setup_coop_taskrun()
                .setup_taskrun_flag();
        }
        Setup::Plain => {}
    }
    builder.build(submissions)
}

/// Builds a ring with the best flags that the kernel takes.
///
/// # Errors
///
/// [`RingError`] says why there is none and what would help.
pub fn build_ring(submissions: u32, completions: u32) -> Result<IoUring, RingError> {
    build_best(submissions, completions).map(|(ring, _)| ring)
}

fn build_best(submissions: u32, completions: u32) -> Result<(IoUring, usize), RingError> {
    let mut refused = None;
    for (at, (setup, _)) in SETUPS.iter().enumerate() {
        match build(*setup, submissions, completions) {
            Ok(ring) => return Ok((ring, at)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = Some(error),
            Err(error) => return Err(RingError::setup(error)),
        }
    }
    Err(RingError::setup(
        refused.expect("there is at least one set of flags"),
    ))
}

/// Asks the kernel what it offers, without keeping anything.
///
/// # Errors
///
/// [`RingError`] where no ring can be had at all.
pub fn probe() -> Result<Features, RingError> {
    let (ring, at) = build_best(8, 16)?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(RingError::setup)?;
    let wanted: [(u8, &'static str); 6] = [
        (opcode::AcceptMulti::CODE, "ACCEPT"),
        (opcode::RecvMulti::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::Close::CODE, "CLOSE"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    ];
    let missing = wanted
        .iter()
        .filter(|(code, _)| !probe.is_supported(*code))
        .map(|(_, name)| *name)
        .collect();
    Ok(Features {
        setup: SETUPS[at].1,
        is_best_setup: at == 0,
        missing,
        provided_buffers: has_buffer_rings(&ring),
    })
}

/// Registers and removes a ring of one buffer entry.
fn has_buffer_rings(ring: &IoUring) -> bool {
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let page = Box::new(Page([0; 4096]));
    // SAFETY: one page-aligned page holds the one entry; it is unregistered before the page goes, and the
    // ring has no operation that could use the group in between.
    let registered = unsafe {
        ring.submitter()
            .register_buf_ring_with_flags(page.0.as_ptr() as u64, 1, 0, 0)
    }
    .is_ok();
    if registered && ring.submitter().unregister_buf_ring(0).is_err() {
        // The kernel still knows the page: it must stay.
        std::mem::forget(page);
    }
    registered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_has_its_cause_and_a_remedy() {
        for (errno, want) in [
            (libc::ENOSYS, Cause::NotInKernel),
            (libc::ENOMEM, Cause::Memory),
            (libc::EFAULT, Cause::Other),
        ] {
            let error = RingError::setup(std::io::Error::from_raw_os_error(errno));
            assert_eq!(error.cause, want);
            assert!(error.to_string().contains("remedy: "), "{error}");
        }
        let refused = RingError::setup(std::io::Error::from_raw_os_error(libc::EPERM)).cause;
        assert!(
            matches!(
                refused,
                Cause::RefusedBySeccomp | Cause::DisabledBySysctl(_)
            ),
            "{refused}"
        );
    }
}
