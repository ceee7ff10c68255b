//! The admin endpoint: HTTP for operators, on a thread and a socket of its own.
//!
//! ```text
//!   `--admin` ─ bind ─► Admin ─ serve(Observed) ─► thread luge-admin: accept ─► a task for each connection
//!                                                                               one request, one page, the end
//! ```
//!
//! The thread is never pinned and shares nothing with those that serve but what it reads ([`crate::server::Observed`]) and
//! the machine, so that it answers while all workers are busy. What it needs of the processor it takes from them where
//! they have all cores: little to say that the server lives, more for pages that take long to make. Those are made by
//! threads of their own, which are as nice to others as the kernel lets them be. The socket is a loopback port or one in
//! the file system, never a tenant's. HTTP is hyper's here: it is off the data path, and its clients are few.
//!
//! A connection has one request and a limited time, so that none can be held for long. Pages are a table
//! ([`pages::PAGES`]). Nothing can be changed through it.

mod accept;
mod flight;
mod pages;
mod socket;

pub use socket::BindError;

use crate::cli::settings::{AdminAddress, Settings};
use crate::config::{Problem, Problems, Spec};
use crate::limits::{
    ADMIN_ACCEPT_AGAIN, ADMIN_CONNECTION_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_MAX,
    ADMIN_HEAD_MAX_BYTES, ADMIN_NICE, ADMIN_THREADS_MAX, ADMIN_WRITERS_MAX,
};
use crate::server::Observed;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pages::Around;
use socket::{Bound, Listening};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};

/// A socket that nobody is served at yet: who connects waits.
pub struct Admin(Bound);

/// The endpoint at work; it ends when this is dropped.
pub struct Serving {
    /// Dropped first: it tells the thread to end.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    address: AdminAddress,
}

impl Admin {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// [`BindError`]: another has it, or it cannot be had.
    pub fn bind(address: &AdminAddress) -> Result<Admin, BindError> {
        Bound::new(address).map(Admin)
    }

    /// Begins to answer, from a thread of its own with the cores of this one.
    ///
    /// # Errors
    ///
    /// No thread or no runtime can be made.
    pub fn serve(self, observed: Observed) -> io::Result<Serving> {
        let address = self.0.address.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("luge-admin-write")
            .max_blocking_threads(ADMIN_THREADS_MAX)
            .on_thread_start(be_nice)
            .build()?;
        let listening = {
            let _guard = runtime.enter();
            self.0.listen()?
        };
        let (stop, stopped) = oneshot::channel();
        let around = Around {
            observed,
            writers: Arc::new(Semaphore::new(ADMIN_WRITERS_MAX)),
        };
        let serve = move || {
            // Connections that are open, and those to come, end with the runtime.
            runtime.spawn(accept_all(listening, around));
            drop(runtime.block_on(stopped));
            // Who writes a long page may go on with it until the process ends: nobody reads it.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("luge-admin".into())
            .spawn(serve)?;
        Ok(Serving {
            stop: Some(stop),
            thread: Some(thread),
            address,
        })
    }
}

impl Serving {
    /// Where it is reached; a port of the kernel's choice is known by now.
    #[must_use]
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            tracing::error!("the admin endpoint has panicked");
        }
    }
}

/// Checks that the endpoint has no tenant's port.
///
/// # Errors
///
/// Whose port it is.
pub fn check(spec: &Spec, settings: &Settings) -> Result<(), Problems> {
    let Some(AdminAddress::Tcp(address)) = &settings.admin else {
        return Ok(());
    };
    let mut tenants = spec.tenants.iter();
    let owner = tenants.find(|tenant| tenant.port == address.port() && tenant.port != 0);
    owner.map_or(Ok(()), |tenant| {
        let mut rows = settings.rows.iter();
        let row = rows.find(|row| row.name == "admin");
        let at = row.map_or("--admin".to_owned(), |row| row.source.to_string());
        let problem = format!("is the port of tenant {:?}", tenant.name);
        let remedy = "another port: a tenant's clients must not reach it";
        Err(Problem::of_setting(at, &address.to_string(), problem, remedy).into())
    })
}

/// Has the calling thread give way to those that serve.
fn be_nice() {
    // On Linux a thread's own, not the process's.
    if let Err(error) = rustix::process::setpriority_process(None, ADMIN_NICE) {
        tracing::warn!(%error, "the admin endpoint's threads do not give way to those that serve");
    }
}

async fn accept_all(listening: Listening, around: Around) -> Infallible {
    let room = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let permit = room.clone().acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        let around = around.clone();
        let accepted = match &listening {
            Listening::Tcp(socket) => socket.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    converse(stream, around).await;
                    drop(permit);
                })
            }),
            Listening::Unix(socket, _) => socket.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    converse(stream, around).await;
                    drop(permit);
                })
            }),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "the admin endpoint cannot accept a connection");
            tokio::time::sleep(ADMIN_ACCEPT_AGAIN).await;
        }
    }
}

/// One request and its answer.
async fn converse<S>(stream: S, around: Around)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let around = around.clone();
        async move { Ok::<_, Infallible>(pages::answer(&around, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_HEAD_MAX)
        .keep_alive(false)
        .half_close(true)
        .max_buf_size(ADMIN_HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(ADMIN_CONNECTION_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Given;
    use crate::config::{LoadOptions, load_from};
    use std::collections::BTreeMap;
    use std::path::Path;

    #[test]
    fn a_tenants_port_is_none_for_operators() {
        let text =
            r#"[{"name": "one", "port": 10010, "routes": [{"route": "/", "path": "a.wat"}]}]"#;
        let found = |path: &Path| Ok(path.to_owned());
        let options = LoadOptions::default();
        let spec = load_from(text, Path::new("spec.json"), options, found)
            .expect("right")
            .spec;
        for (admin, is_right) in [
            ("127.0.0.1:10010", false),
            ("[::1]:10010", false),
            ("127.0.0.1:10011", true),
            ("127.0.0.1:0", true),
            ("unix:/tmp/10010", true),
            ("off", true),
        ] {
            let given: Given = [("admin", admin.to_owned())].into_iter().collect();
            let settings = Settings::resolve(&given, &BTreeMap::new(), &[0]).expect("right");
            let checked = check(&spec, &settings);
            assert_eq!(checked.is_ok(), is_right, "{admin}");
            if let Err(Problems(problems)) = checked {
                assert_eq!((&*problems[0].at, &*problems[0].value), ("--admin", admin));
            }
        }
    }
}
