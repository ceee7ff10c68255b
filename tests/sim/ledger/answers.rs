//! Whether an answer is right: in the access log, when it is given, and on the wire, when it is sent.

use listener::Answered;
use listener_http::{Method, Status};

use super::{Entry, Given, Ledger, ending, id_of};
use crate::plan::{ROUTES, RequestPlan, Verdict};
use crate::request;
use crate::response::Response;
use crate::shared::Phase;

/// In the access log: the client went away first.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Ledger {
    pub(super) fn answered(&mut self, record: &Answered<'_>) {
        let (status, numbered) = (record.status.0, record.request_id != 0);
        self.rejected += u64::from(!numbered);
        let Some(id) = id_of(record.query) else {
            assert!(record.method.is_none() && !numbered && record.path.is_empty());
            return;
        };
        let plan = self.plan(id);
        let asked = (Some(plan.method), plan.path.as_bytes());
        assert_eq!((record.method, record.path), asked, "{id}");
        assert_eq!(record.port, self.plans.clients[plan.client].port, "{id}");
        let entry = &self.entries[id];
        assert!(
            entry.answered.is_none() && !entry.given_up,
            "{id} is answered twice"
        );
        if status == CLIENT_CLOSED_REQUEST {
            assert!(numbered && entry.routed);
            assert_eq!(entry.admitted.is_some(), entry.abandoned, "{id}");
            assert_eq!(entry.completed.is_some(), entry.abandoned, "{id}");
            self.shared.saw("499");
            self.entries[id].given_up = true;
            return;
        }
        assert!(!entry.abandoned, "{id} is answered though abandoned");
        let last = self.is_last(id, status, numbered);
        self.shared.saw(seen_status(status));
        self.entries[id].answered = Some(Given {
            status,
            last: last || self.shared.phase() >= Phase::Draining,
            numbered,
        });
    }

    /// Checks that a request comes to this status, and says whether it ends its connection.
    fn is_last(&self, id: usize, status: u16, numbered: bool) -> bool {
        let entry = &self.entries[id];
        let submitted = entry.admitted.is_some() || entry.refused.is_some();
        match (self.plan(id).verdict, status) {
            (Verdict::Routed | Verdict::BadBody { .. }, 408) if !submitted => {
                assert!(numbered, "{id}");
                true
            }
            (Verdict::Routed | Verdict::BadBody { .. }, 503) if !submitted => {
                assert!(self.is_out_of_memory(id), "there is memory for {id}");
                self.shared.saw("503: no memory");
                true
            }
            (Verdict::Routed, _) => {
                let refused = entry.refused.map(|refused| refused.status);
                let expected = refused.or(entry.completed);
                assert_eq!((Some(status), numbered), (expected, true), "{id}");
                false
            }
            (Verdict::BadBody { status: planned }, _) => {
                assert_eq!((status, numbered), (planned, true), "{id}");
                true
            }
            (
                Verdict::Refused {
                    status: planned,
                    stays,
                },
                _,
            ) => {
                assert_eq!((status, numbered), (planned, false), "{id}");
                !stays
            }
            (Verdict::Malformed { .. }, _) => unreachable!("it has no id"),
        }
    }

    /// A response on the connection of `client`, to its request number `nth`, of whose input the listener has got
    /// `delivered` bytes. Says whether it must be the last.
    pub fn check_response(
        &self,
        client: usize,
        nth: usize,
        delivered: usize,
        response: &Response,
    ) -> bool {
        let requests = &self.plans.clients[client].requests;
        let id = requests.start + nth;
        assert!(requests.contains(&id), "an answer to nothing");
        let (plan, entry) = (self.plan(id), &self.entries[id]);
        let late = delivered < plan.span.end;
        let (status, last, old) = match (entry.answered, plan.verdict) {
            (Some(given), _) => {
                assert!(delivered >= plan.head_end, "{id}");
                (given.status, given.last || !plan.keep_alive, plan.old)
            }
            // Its head did not come in time, so that nobody knows whose it is.
            (None, _) if response.status == 408 => (408, true, false),
            (None, Verdict::Malformed { status }) => (status, true, false),
            (None, _) => panic!("{id} has an answer that nobody gave"),
        };
        assert!(late || status != 408, "{id} came in time");
        assert!(!late || status != 200, "{id} has not come");
        assert_eq!(response.status, status, "{id}");
        let connection = match (old, last) {
            (false, true) => Some("close"),
            (true, false) => Some("keep-alive"),
            _ => None,
        };
        assert_eq!(response.field("Connection"), connection, "{id}");
        self.check_body(id, plan, entry, response);
        last
    }

    fn check_body(&self, id: usize, plan: &RequestPlan, entry: &Entry, response: &Response) {
        let status = response.status;
        let (content_type, body) = match status {
            200 => (ROUTES[plan.route].5, ending(plan).1),
            _ => {
                let text = format!("{}\n", Status(status).phrase());
                (Some("text/plain"), text.into_bytes())
            }
        };
        let length = body.len().to_string();
        let allow = (status == 405).then_some(request::ALLOW);
        let retry_after = match entry.refused {
            Some(refused) => refused.retry_after_s.map(|seconds| seconds.to_string()),
            None => (status == 503).then(|| "1".to_owned()),
        };
        let fields = [
            ("Content-Type", content_type),
            ("Content-Length", Some(length.as_str())),
            ("Allow", allow),
            ("Retry-After", retry_after.as_deref()),
        ];
        for (name, expected) in fields {
            assert_eq!(response.field(name), expected, "{id}: {name}");
        }
        assert_eq!(response.field("Date").map(str::len), Some(29), "{id}");
        let to_head = is_to_head(plan, status);
        let expected = if to_head { Vec::new() } else { body };
        assert!(response.body == expected, "{id}: another's bytes");
        self.shared.saw(match (to_head, status, entry.answered) {
            (true, ..) => "HEAD",
            (false, 408, Some(_)) => "408 for a body",
            (false, 408, None) => "408 for a head",
            _ => "an answer on its way",
        });
    }
}

/// Whether a response with this status has no body because it answers HEAD; which is not known before the head is
/// there.
pub fn is_to_head(plan: &RequestPlan, status: u16) -> bool {
    plan.method == Method::Head
        && status != 408
        && !matches!(plan.verdict, Verdict::Malformed { .. })
}

fn seen_status(status: u16) -> &'static str {
    match status {
        200 => "200",
        400 => "400 for a body",
        404 => "404",
        405 => "405",
        408 => "408",
        413 => "413",
        429 => "429",
        500 => "500",
        503 => "503",
        _ => panic!("{status}"),
    }
}
