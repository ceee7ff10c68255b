//! What the flight recorder holds, as the body of an answer, while it is written.
//!
//! ```text
//!   a thread for what takes long: Flight ── write ──► Pipe ── chunks, few at a time ──► connection
//! ```
//!
//! The text may be gigabytes, so that it is neither made as a whole nor on the thread that answers all others. What it is
//! written from is a copy of the rings, as many bytes as they are, and lives as long as the writing: one is written at a
//! time, whoever asks meanwhile is refused. A client that goes away, or takes too long, ends the writing.

use crate::limits::{ADMIN_CHUNK_BYTES, ADMIN_CHUNKS_MAX};
use crate::server::Flight;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use std::io::{self, BufWriter, ErrorKind, Write};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

/// Begins to write it in one form or another; the rest happens as the body is read. `permit` is given back before its
/// end is told.
pub(super) fn body<W>(flight: &Flight, permit: OwnedSemaphorePermit, write: W) -> Channel<Bytes>
where
    W: FnOnce(&Flight, &mut BufWriter<Pipe>) -> io::Result<()> + Send + 'static,
{
    let (chunks, body) = Channel::new(ADMIN_CHUNKS_MAX);
    let (flight, runtime) = (flight.clone(), Handle::current());
    let writing = move || {
        let pipe = Pipe { chunks, runtime };
        let mut out = BufWriter::with_capacity(ADMIN_CHUNK_BYTES, pipe);
        if let Err(error) = write(&flight, &mut out).and_then(|()| out.flush()) {
            tracing::debug!(%error, "the flight recorder was not read to its end");
            // What has not been sent is for nobody.
            drop(out.into_parts());
            return;
        }
        drop(permit);
    };
    // It tells its end by that of the body.
    drop(tokio::task::spawn_blocking(writing));
    body
}

/// A body of which nothing is told, not even how long it would have been.
pub(super) fn none() -> Channel<Bytes> {
    let (_, body) = Channel::new(1);
    body
}

/// Where chunks go, from a thread that may wait.
pub(super) struct Pipe {
    chunks: Sender<Bytes>,
    runtime: Handle,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let sent = self.runtime.block_on(self.chunks.send_data(chunk));
        let sent = sent.map(|()| bytes.len());
        sent.map_err(|_| io::Error::new(ErrorKind::BrokenPipe, "the client has gone"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use perf::event::{What, ring};
    use perf::recording::Header;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::Semaphore;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().expect("a runtime")
    }

    fn permit() -> OwnedSemaphorePermit {
        let writers = Arc::new(Semaphore::new(1));
        writers.try_acquire_owned().expect("it is free")
    }

    /// Two full rings.
    fn flight() -> Flight {
        let rings = (0..2).map(|_| {
            let (mut writer, reader) = ring(1 << 17);
            (0..1 << 17).for_each(|at| writer.note(at, at, What::Sent));
            reader
        });
        let header = Header {
            workers: 1,
            ..Header::default()
        };
        Flight::new(header, rings.collect())
    }

    #[test]
    fn all_of_it_is_read() {
        let flight = flight();
        let mut expected = Vec::new();
        flight.write_recording(&mut expected).expect("it takes all");
        assert!(expected.len() > ADMIN_CHUNKS_MAX * ADMIN_CHUNK_BYTES);
        let found = runtime().block_on(async {
            let body = body(&flight, permit(), |flight, out| flight.write_recording(out));
            body.collect().await.expect("it is read").to_bytes()
        });
        assert!(found == expected, "{} bytes", found.len());
    }

    #[test]
    fn who_goes_away_ends_the_writing() {
        let (said, end) = channel();
        let endless = move |_: &Flight, out: &mut BufWriter<Pipe>| {
            let written = std::iter::repeat_with(|| out.write_all(&[0; 1 << 10]));
            let error = { written }.find_map(Result::err).expect("it has an end");
            said.send(error.kind()).expect("it is waited for");
            Err(error)
        };
        let runtime = runtime();
        let first = runtime.block_on(async {
            let mut body = body(&flight(), permit(), endless);
            body.frame().await
        });
        assert!(first.is_some_and(|first| first.is_ok()));
        let end = end.recv_timeout(Duration::from_secs(60));
        assert_eq!(end, Ok(ErrorKind::BrokenPipe));
    }
}
