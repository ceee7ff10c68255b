//! On which cores who runs: the server as it would by itself, and the load generator where it disturbs the workers least.

use core_affinity::{CoreId, set_for_current};

use crate::cli::settings::allowed_cores;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The listener's, then the workers'.
    pub server: Vec<usize>,
    /// The load generator's; none: wherever.
    pub generator: Option<usize>,
    /// Whether that is the listener's.
    pub shared: bool,
}

impl Places {
    /// On the cores that this process may use.
    pub fn here(workers: usize) -> Self {
        Self::among(&allowed_cores(), workers)
    }

    fn among(cores: &[usize], workers: usize) -> Self {
        let server = cores[..cores.len().min(workers + 1)].to_vec();
        let own = cores.get(workers + 1).copied();
        Self {
            generator: own.or_else(|| server.first().copied()),
            shared: own.is_none(),
            server,
        }
    }

    /// What is to be known of it before the figures are believed; nothing if all is well.
    pub fn warning(&self, workers: usize) -> Option<String> {
        let cores = self.server.len();
        if cores <= workers {
            let word = if cores == 1 { "core" } else { "cores" };
            return Some(format!(
                "{workers} workers, the listener and the load generator share {cores} {word}: they disturb each other, \
                 and the figures tell of that"
            ));
        }
        self.shared.then(|| {
            "the load generator shares its core with the listener: requests may come to the server late, and are counted \
             from then on"
                .to_owned()
        })
    }
}

/// Binds this thread to a core; where that cannot be, it runs wherever.
pub fn pin(core: Option<usize>) {
    if let Some(id) = core {
        set_for_current(CoreId { id });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_where_no_worker_is() {
        let check = |cores: &[usize], workers, server: &[usize], generator, shared| {
            let expected = Places {
                server: server.to_vec(),
                generator,
                shared,
            };
            let places = Places::among(cores, workers);
            assert_eq!(places, expected, "{cores:?} {workers}");
            let is_well = !shared;
            assert_eq!(places.warning(workers).is_none(), is_well);
        };
        check(&[0, 1, 2, 3], 2, &[0, 1, 2], Some(3), false);
        check(&[0, 1, 2, 3], 3, &[0, 1, 2, 3], Some(0), true);
        check(&[4, 6], 1, &[4, 6], Some(4), true);
        check(&[4, 6], 8, &[4, 6], Some(4), true);
        check(&[], 1, &[], None, true);
    }
}
