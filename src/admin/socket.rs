//! Where the admin endpoint listens: a loopback port, or a socket in the file system that only this user can reach.
//!
//! A server that was killed leaves its socket's file behind. Whether somebody listens there is found out by connecting:
//! nobody, and the file is replaced; somebody, and it is an error. What is no socket is never touched.

use crate::cli::settings::AdminAddress;
use crate::limits::ADMIN_BACKLOG;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// Why there is no admin endpoint.
#[derive(Debug, thiserror::Error)]
#[error("admin: cannot listen on {address}: {source}")]
pub struct BindError {
    /// Where.
    pub address: AdminAddress,
    /// Why not.
    pub source: io::Error,
}

/// A socket that listens.
pub(super) struct Bound {
    /// With the port that it has got.
    pub address: AdminAddress,
    socket: Socket,
    file: Option<SocketFile>,
}

/// The same under a runtime; the file goes with the socket.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "dropping it is its use")] SocketFile,
    ),
}

/// A socket's file, removed in the end unless it is another's by then.
pub(super) struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Bound {
    pub fn new(address: &AdminAddress) -> Result<Bound, BindError> {
        let bound = match address {
            AdminAddress::Tcp(address) => bind_tcp(*address),
            AdminAddress::Unix(path) => bind_unix(path),
        };
        bound.map_err(|source| BindError {
            address: address.clone(),
            source,
        })
    }

    /// Makes it the current runtime's.
    pub fn listen(self) -> io::Result<Listening> {
        self.socket.set_nonblocking(true)?;
        match self.file {
            None => TcpListener::from_std(self.socket.into()).map(Listening::Tcp),
            Some(file) => {
                let socket = UnixListener::from_std(self.socket.into())?;
                Ok(Listening::Unix(socket, file))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(ADMIN_BACKLOG)?;
    let got = socket.local_addr()?.as_socket();
    Ok(Bound {
        address: AdminAddress::Tcp(got.unwrap_or(address)),
        socket,
        file: None,
    })
}

fn bind_unix(path: &Path) -> io::Result<Bound> {
    let bound = match private_socket(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            private_socket(path)
        }
        bound => bound,
    };
    let (socket, file) = bound?;
    socket.listen(ADMIN_BACKLOG)?;
    Ok(Bound {
        address: AdminAddress::Unix(path.to_owned()),
        socket,
        file: Some(file),
    })
}

/// The file has the mode of the socket from its first moment on (Linux: `unix_bind`): there is none in which
/// others could connect.
fn private_socket(path: &Path) -> io::Result<(Socket, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    let metadata = path.symlink_metadata()?;
    let file = SocketFile {
        path: path.to_owned(),
        device_and_inode: (metadata.dev(), metadata.ino()),
    };
    Ok((socket, file))
}

/// Removes the file of a socket at which nobody listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.file_type().is_socket() {
        let what = "there is something that is no socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // So that it does not wait for somebody who is slow to accept: that is somebody, too.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Ok(()) => Err(in_use()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(in_use()),
        Err(error) => Err(error),
    }
}

fn in_use() -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, "another process listens there")
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode);
        if is_ours && let Err(error) = std::fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the admin endpoint's socket is left behind");
        }
    }
}

impl fmt::Debug for SocketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A folder of its own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("luge-admin-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).expect("it is new");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("it is ours");
        }
    }

    fn bind(path: &Path) -> Result<Bound, String> {
        let address = AdminAddress::Unix(path.to_owned());
        Bound::new(&address).map_err(|error| error.to_string())
    }

    #[test]
    fn a_socket_is_this_users_and_goes_with_its_server() {
        let folder = Folder::new("own");
        let path = folder.0.join("socket");
        let bound = bind(&path).expect("binds");
        let mode = path.symlink_metadata().expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("somebody listens");
        let error = bind(&path).err().expect("it is another's");
        assert!(error.contains("another process listens there"), "{error}");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_servers_socket_is_replaced_and_nothing_else() {
        let folder = Folder::new("stale");
        let path = folder.0.join("socket");
        std::mem::forget(bind(&path).expect("binds").file);
        assert!(path.exists(), "left behind");
        let second = bind(&path).expect("replaces it");
        // Whoever comes third has the name by now: that is not removed.
        std::fs::remove_file(&path).expect("it is there");
        let third = bind(&path).expect("binds");
        drop(second);
        UnixStream::connect(&path).expect("the third's");
        drop(third);
        std::fs::write(&path, "precious").expect("a file");
        let error = bind(&path).err().expect("no socket");
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
        let long = folder.0.join("x".repeat(200));
        assert!(bind(&long).is_err(), "longer than an address may be");
        assert!(bind(&folder.0.join("none/socket")).is_err());
    }

    #[test]
    fn a_port_is_had_once() {
        let loopback = |port| AdminAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        let bound = Bound::new(&loopback(0)).expect("any port");
        let AdminAddress::Tcp(address) = &bound.address else {
            panic!("a port");
        };
        assert_ne!(address.port(), 0);
        let error = Bound::new(&bound.address).err().expect("it is another's");
        assert_eq!(error.source.kind(), ErrorKind::AddrInUse, "{error}");
    }
}
