//! The pages of the admin endpoint: a table, and what each of them says.
//!
//! A new page is a row in [`PAGES`]. Pages are read only: GET and HEAD are all that is understood.

use super::{accept, flight};
use crate::limits::{LIVENESS_LOOK_EVERY, LIVENESS_PATIENCE};
use crate::server::Observed;
use crate::server::metrics::{self, Encoding};
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// Where something is told, and what.
pub(super) struct Page {
    pub path: &'static str,
    pub what: &'static str,
    pub read: Reader,
}

/// Reads a page, given what its request has beside the path.
type Reader = for<'a> fn(&'a Observed, &'a HeaderMap) -> Reading<'a>;

type Reading<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// All pages.
pub(super) const PAGES: &[Page] = &[
    Page {
        path: "/livez",
        what: "200 while the listener turns, else 503 with the reason",
        read: |observed, _| Box::pin(live(observed)),
    },
    Page {
        path: "/readyz",
        what: "200 while requests are taken, 503 once the server drains",
        read: |observed, _| Box::pin(async { ready(observed) }),
    },
    Page {
        path: "/metrics",
        what: "metrics as OpenMetrics, or as Prometheus' text if that is preferred",
        read: |observed, headers| Box::pin(async { metrics(observed, headers) }),
    },
    Page {
        path: "/metrics/sledge",
        what: "metrics by SLEdge's names, as Prometheus' text",
        read: |observed, _| {
            let text = || metrics::sledge_text(observed.metrics());
            Box::pin(async move { Reply::of(Encoding::Prometheus.content_type(), text()) })
        },
    },
    Page {
        path: "/flight/trace",
        what: "what the threads noted last, for Chrome's or Perfetto's viewer",
        read: |observed, _| {
            let body = || flight::body(observed.flight(), |flight, out| flight.write_trace(out));
            Box::pin(async move { Reply::writing("application/json", body()) })
        },
    },
    Page {
        path: "/flight/recording",
        what: "the same, for luge sim --replay",
        read: |observed, _| {
            let body =
                || flight::body(observed.flight(), |flight, out| flight.write_recording(out));
            Box::pin(async move { Reply::writing("application/octet-stream", body()) })
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
pub(super) async fn answer<B>(observed: &Observed, request: &Request<B>) -> Response<Body> {
    let path = request.uri().path();
    let page = PAGES.iter().find(|page| page.path == path);
    let reply = match (page, request.method()) {
        (None, _) => Reply::says(StatusCode::NOT_FOUND, list()),
        (Some(page), &Method::GET | &Method::HEAD) => {
            (page.read)(observed, request.headers()).await
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

fn metrics(observed: &Observed, headers: &HeaderMap) -> Reply {
    let accepts = headers.get_all(ACCEPT).iter();
    let accepts: Vec<_> = accepts.filter_map(|accept| accept.to_str().ok()).collect();
    let encoding = accept::preferred(&accepts.join(","));
    let text = metrics::text(observed.metrics(), encoding);
    Reply::of(encoding.content_type(), text)
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
