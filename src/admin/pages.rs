//! The pages of the admin endpoint: a table, and what each of them says.
//!
//! A new page is a row in [`PAGES`]. Pages are read only: GET and HEAD are all that is understood.

use super::{accept, flight};
use crate::limits::{LIVENESS_LOOK_EVERY, LIVENESS_PATIENCE};
use crate::server::metrics::{self, Encoding};
use crate::server::{Flight, Observed};
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::io::{self, BufWriter};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Where something is told, and what.
pub(super) struct Page {
    pub path: &'static str,
    pub what: &'static str,
    pub read: Reader,
}

/// What pages are made from.
#[derive(Clone)]
pub(super) struct Around {
    pub observed: Observed,
    /// Who writes the flight recorder has a permit.
    pub writers: Arc<Semaphore>,
}

/// What a request has beside the path.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    fields: &'a HeaderMap,
    /// Of the answer only the head is wanted.
    is_head: bool,
}

/// Reads a page.
type Reader = for<'a> fn(&'a Around, Asked<'a>) -> Reading<'a>;

type Reading<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// All pages.
pub(super) const PAGES: &[Page] = &[
    Page {
        path: "/livez",
        what: "200 while the listener turns, else 503 with the reason",
        read: |around, _| Box::pin(live(&around.observed)),
    },
    Page {
        path: "/readyz",
        what: "200 while requests are taken, 503 once the server drains",
        read: |around, _| Box::pin(async { ready(&around.observed) }),
    },
    Page {
        path: "/metrics",
        what: "metrics as OpenMetrics, or as Prometheus' text if that is preferred",
        read: |around, asked| Box::pin(metrics(&around.observed, asked.fields)),
    },
    Page {
        path: "/metrics/sledge",
        what: "metrics by SLEdge's names, as Prometheus' text",
        read: |around, _| {
            let observed = around.observed.clone();
            let text = move || metrics::sledge_text(observed.metrics());
            Box::pin(async { Reply::made(Encoding::Prometheus.content_type(), text).await })
        },
    },
    Page {
        path: "/flight/trace",
        what: "what the threads noted last, for Chrome's or Perfetto's viewer",
        read: |around, asked| {
            let write = |flight: &Flight, out: &mut _| flight.write_trace(out);
            Box::pin(async move { flight(around, asked, "application/json", write) })
        },
    },
    Page {
        path: "/flight/recording",
        what: "the same, for luge sim --replay",
        read: |around, asked| {
            let write = |flight: &Flight, out: &mut _| flight.write_recording(out);
            Box::pin(async move { flight(around, asked, "application/octet-stream", write) })
        },
    },
];

/// What is sent: text that is there, or what is written meanwhile.
type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// What a page says.
pub(super) struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Body,
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Reply {
    fn of(content_type: &'static str, body: String) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type,
            body: Either::Left(Full::from(body)),
        }
    }

    /// Text that takes long to make, by another thread: those who want to know whether the server lives do not wait.
    async fn made(
        content_type: &'static str,
        text: impl FnOnce() -> String + Send + 'static,
    ) -> Reply {
        let made = tokio::task::spawn_blocking(text).await;
        made.map_or_else(
            |error| Reply::says(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            |text| Reply::of(content_type, text),
        )
    }

    fn writing(content_type: &'static str, body: Channel<Bytes>) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type,
            body: Either::Right(body),
        }
    }

    fn says(status: StatusCode, words: impl Into<String>) -> Reply {
        let body = words.into() + "\n";
        Reply {
            status,
            ..Reply::of(PLAIN, body)
        }
    }
}

/// Answers a request.
pub(super) async fn answer<B>(around: &Around, request: &Request<B>) -> Response<Body> {
    let path = request.uri().path();
    let page = PAGES.iter().find(|page| page.path == path);
    let reply = match (page, request.method()) {
        (None, _) => Reply::says(StatusCode::NOT_FOUND, list()),
        (Some(page), &Method::GET | &Method::HEAD) => {
            let asked = Asked {
                fields: request.headers(),
                is_head: request.method() == Method::HEAD,
            };
            (page.read)(around, asked).await
        }
        (Some(_), _) => Reply::says(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD"),
    };
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    let fields = response.headers_mut();
    let content_type = HeaderValue::from_static(reply.content_type);
    fields.insert(CONTENT_TYPE, content_type);
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn list() -> String {
    let rows = PAGES
        .iter()
        .map(|page| format!("\n  {:18} {}", page.path, page.what));
    format!(
        "there is no such page; there are{}",
        rows.collect::<String>()
    )
}

async fn metrics(observed: &Observed, fields: &HeaderMap) -> Reply {
    let accepts = fields.get_all(ACCEPT).iter();
    let accepts: Vec<_> = accepts.filter_map(|accept| accept.to_str().ok()).collect();
    let encoding = accept::preferred(&accepts.join(","));
    let observed = observed.clone();
    let text = move || metrics::text(observed.metrics(), encoding);
    Reply::made(encoding.content_type(), text).await
}

/// What the flight recorder holds, unless somebody is being given that.
fn flight<W>(around: &Around, asked: Asked<'_>, content_type: &'static str, write: W) -> Reply
where
    W: FnOnce(&Flight, &mut BufWriter<flight::Pipe>) -> io::Result<()> + Send + 'static,
{
    if asked.is_head {
        return Reply::writing(content_type, flight::none());
    }
    let Ok(permit) = around.writers.clone().try_acquire_owned() else {
        let words = "the flight recorder is being written for another: try again";
        return Reply::says(StatusCode::SERVICE_UNAVAILABLE, words);
    };
    let body = flight::body(around.observed.flight(), permit, write);
    Reply::writing(content_type, body)
}

fn ready(observed: &Observed) -> Reply {
    match observed.is_draining() {
        false => Reply::says(StatusCode::OK, "ready"),
        true => Reply::says(StatusCode::SERVICE_UNAVAILABLE, "the server drains"),
    }
}

async fn live(observed: &Observed) -> Reply {
    let (turns, wake) = (|| observed.turns(), || observed.wake());
    match moves(turns, wake, LIVENESS_PATIENCE).await {
        true => Reply::says(StatusCode::OK, "live"),
        false => {
            let words = format!("the listener has not turned for {LIVENESS_PATIENCE:?}");
            Reply::says(StatusCode::SERVICE_UNAVAILABLE, words)
        }
    }
}

/// Whether a count moves while somebody is patient; who counts and sleeps is woken.
async fn moves(count: impl Fn() -> u64, wake: impl Fn(), patience: Duration) -> bool {
    let (before, until) = (count(), Instant::now() + patience);
    wake();
    loop {
        if count() != before {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LIVENESS_LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn check(expected: bool, patience: Duration, on_look: impl Fn(u32, bool) -> u64) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().expect("a runtime");
        let (looks, woken) = (Cell::new(0), Cell::new(false));
        let count = || {
            looks.set(looks.get() + 1);
            on_look(looks.get(), woken.get())
        };
        let found = runtime.block_on(moves(count, || woken.set(true), patience));
        assert_eq!(found, expected);
        assert!(woken.get());
    }

    #[test]
    fn who_turns_is_live_and_who_is_stuck_is_not() {
        let (long, none) = (Duration::from_secs(3600), Duration::ZERO);
        // Awake; asleep until it is woken; slow; the counter begins anew.
        check(true, long, |look, _| u64::from(look));
        check(true, long, |_, woken| u64::from(woken));
        check(true, long, |look, _| u64::from(look > 3));
        check(true, long, |look, _| if look == 1 { u64::MAX } else { 0 });
        check(false, none, |_, _| 7);
        check(false, LIVENESS_LOOK_EVERY * 3, |_, _| 7);
    }

    #[test]
    fn paths_are_told_apart_and_listed() {
        for (at, page) in PAGES.iter().enumerate() {
            let before = &PAGES[..at];
            assert!(before.iter().all(|earlier| earlier.path != page.path));
            assert!(page.path.starts_with('/') && list().contains(page.path));
        }
    }
}
