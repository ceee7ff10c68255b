//! Which function answers which request: the routes of all tenants as the listener looks them up.

use super::cgi::Cgi;
use crate::config::{Abi, DeadlineAction, Router};
use crate::worker::Arrival;
use listener::{Exchange, Refusal, Target};
use listener_http::{Head, Method, Status};
use sched::estimate::Regression;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// One route, as the data path sees it.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// For logs: the tenant's name and the route as configured.
    pub name: String,
    /// As configured.
    pub path: String,
    /// Index of the tenant.
    pub tenant: u16,
    /// Index of the function among those that every worker has.
    pub function: u16,
    /// Methods that it takes.
    pub methods: Vec<Method>,
    /// The Allow field that says so (RFC 9110 §10.2.1).
    pub allow: Arc<str>,
    /// Largest request body, in bytes.
    pub body_max_bytes: u64,
    /// Deadline of a request after its arrival, in nanoseconds.
    pub relative_deadline_ns: Option<u64>,
    /// What is expected of an execution before any was seen, in nanoseconds; 0 where unknown.
    pub expected_ns: u64,
    /// What is expected of an execution by the size of the body, whatever was seen.
    pub model: Option<Regression>,
    /// Which percentile of executions is expected, from 1 to 100.
    pub percentile: Option<u8>,
    /// Content type of answers.
    pub content_type: Option<String>,
    /// Processor time that a request may take, in nanoseconds.
    pub cpu_limit_ns: Option<u64>,
    /// What becomes of a request that is not done by its deadline.
    pub deadline_action: DeadlineAction,
    /// Whether clients are told why a request has failed.
    pub debug: bool,
    /// Whether every answer says where its time went.
    pub tells_timing: bool,
    /// How long a request is meant to take at most, until its answer has left, in nanoseconds.
    pub objective_ns: Option<u64>,
    /// How the function is spoken to.
    pub abi: Abi,
    /// What its environment is made of; none if it cannot see any.
    pub cgi: Option<Cgi>,
}

impl Route {
    /// The absolute deadline of a request that arrived at `arrived_ns`; `u64::MAX` without one.
    pub fn deadline_ns(&self, arrived_ns: u64) -> u64 {
        self.relative_deadline_ns.map_or(u64::MAX, |relative_ns| {
            arrived_ns.saturating_add(relative_ns)
        })
    }

    /// What a policy may know of one of its requests.
    pub fn arrival(&self, exchange: &Exchange) -> Arrival {
        let arrival_ns = exchange.timeline.arrived_ns;
        Arrival {
            seq: exchange.sequence,
            tenant: self.tenant,
            route: exchange.route,
            arrival_ns,
            deadline_ns: self.deadline_ns(arrival_ns),
            expected_ns: exchange.expected_ns,
        }
    }
}

/// The routes of all tenants, and which port leads to which of them.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
    ports: Vec<Router>,
    /// Where each port listens.
    addresses: Vec<SocketAddr>,
}

impl Routes {
    /// `ports` holds a router over indices into `routes` for each listening socket.
    pub fn new(routes: Vec<Route>, ports: Vec<Router>) -> Routes {
        let unbound = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let addresses = vec![unbound; ports.len()];
        Routes {
            routes,
            ports,
            addresses,
        }
    }

    /// The same, with the addresses that the ports have got.
    #[must_use]
    pub fn bound_to(self, addresses: Vec<SocketAddr>) -> Routes {
        assert_eq!(addresses.len(), self.ports.len(), "one for each port");
        Routes { addresses, ..self }
    }

    /// Where a port listens.
    pub fn address(&self, port: u16) -> SocketAddr {
        self.addresses[usize::from(port)]
    }

    /// All of them, by their index.
    pub fn each(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The route of an index that [`Routes::find`] gave.
    pub fn route(&self, index: u16) -> &Route {
        &self.routes[usize::from(index)]
    }

    /// Finds the route of a request.
    ///
    /// # Errors
    ///
    /// 404 without a route, 405 for a method that it does not take, 414 for a query that makes too many or
    /// too long arguments.
    pub fn find(&self, port: u16, head: &Head<'_>) -> Result<Target, Refusal> {
        let index = self.ports[usize::from(port)]
            .find(head.path)
            .ok_or(Refusal::new(Status::NOT_FOUND))?;
        let route = self.route(index);
        if !route.methods.contains(&head.method) {
            let allow = Some(route.allow.clone());
            return Err(Refusal {
                allow,
                ..Refusal::new(Status::METHOD_NOT_ALLOWED)
            });
        }
        if sandbox::check_arguments(head.query.as_bytes()).is_err() {
            return Err(Refusal::new(Status::URI_TOO_LONG));
        }
        Ok(Target {
            route: index,
            body_max_bytes: route.body_max_bytes,
            tells_timing: route.tells_timing,
        })
    }
}
