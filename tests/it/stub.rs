//! Servers that answer as a test says, on threads: what a load generator must tell apart.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What to do with a request.
pub enum Reply {
    /// Send this and wait for the next request.
    Whole(Vec<u8>),
    /// Send this a byte at a time.
    Drip(Vec<u8>),
    /// Send this and close.
    Last(Vec<u8>),
    /// Send this and close, and let nobody connect again.
    Farewell(Vec<u8>),
    /// Say nothing, and do not close.
    Silence,
}

/// What a request is, as far as tests ask.
pub struct Asked {
    /// Counts the server's requests.
    pub nth: usize,
    /// The request line.
    pub line: String,
    pub body: Vec<u8>,
}

type Behave = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running server.
pub struct Stub {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    behave: Box<Behave>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    /// Whether nobody is accepted any longer.
    closed: AtomicBool,
    listener: Mutex<Option<TcpListener>>,
}

impl Stub {
    /// Answers every request as `behave` says, which may take its time.
    pub fn start(behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let accepting = listener.try_clone().expect("it can be cloned");
        let shared = Arc::new(Shared {
            behave: Box::new(behave),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            listener: Mutex::new(Some(listener)),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(accepting, &shared)
        });
        Stub {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// The same, always with this.
    pub fn always(answer: &'static [u8]) -> Stub {
        Stub::start(move |_| Reply::Whole(answer.to_vec()))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.close(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("accepting does not panic");
        }
    }
}

impl Shared {
    /// Closes both descriptors of the listening socket: this one, and that of the acceptor, which a connection wakes.
    fn close(&self, address: SocketAddr) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            drop(self.listener.lock().expect("nobody panics with it").take());
            drop(TcpStream::connect(address));
        }
    }
}

/// Ends, and closes the socket, when the server is closed.
fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let stream = stream.expect("there is memory");
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        // It ends with its client.
        std::thread::spawn(move || serve(stream, &shared));
    }
}

/// Whatever the client does to the connection is its business.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let asked = read_request(&mut reader, shared)?;
        match (shared.behave)(&asked) {
            Reply::Whole(answer) => stream.write_all(&answer).ok()?,
            Reply::Drip(answer) => {
                for byte in answer {
                    stream.write_all(&[byte]).ok()?;
                }
            }
            Reply::Last(answer) => return stream.write_all(&answer).ok(),
            Reply::Farewell(answer) => {
                shared.close(stream.local_addr().ok()?);
                wait_until_refused(stream.local_addr().ok()?);
                return stream.write_all(&answer).ok();
            }
            Reply::Silence => {}
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, shared: &Shared) -> Option<Asked> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        nth: 1 + shared.requests.fetch_add(1, Ordering::SeqCst),
        line: head[0].trim_end().to_owned(),
        body,
    })
}

fn wait_until_refused(address: SocketAddr) {
    crate::harness::wait_until("nobody listens", || TcpStream::connect(address).is_err());
}

/// Takes so long, at least.
pub fn take(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
