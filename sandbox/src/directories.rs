//! The directories of a function: which of the host's it sees, under which names, and its private one.
//!
//! The host's directories are opened once for each worker: one that is renamed or replaced while the server
//! runs stays what it was. The context of wasmtime-wasi that holds a sandbox's descriptors is made when its
//! guest first looks at a file. Without a private directory that takes no system call, for all sandboxes
//! share the open directories; with one, it is made on another thread, and the sandbox waits.
//!
//! What may be reached from a directory is wasmtime-wasi's to say: on Linux each path is resolved by the
//! kernel (`openat2` with `RESOLVE_BENEATH`), so that neither `..` nor a symbolic link, whoever made it and
//! when, leads out. What a guest may open and write is bounded in `wasi::files`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use tokio::runtime::Handle;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiView};

use crate::runtime::FunctionConfig;
use crate::scratch::{Root, Scratch};

/// A directory of the host that a function's guests see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub host: PathBuf,
    /// What it is called in the guest, as a rule an absolute path.
    pub guest: String,
    /// Guests may change what is in it; else every call that would is `EPERM`.
    pub writable: bool,
}

/// A function's directories.
pub(crate) struct Directories {
    kind: Kind,
    /// The guest's names of all, in the order of their descriptors, which begin with 3.
    names: Vec<String>,
}

enum Kind {
    /// The same for every sandbox.
    Shared(WasiFilesystemCtx),
    /// With one more, each sandbox's own.
    Private(Arc<Private>),
}

struct Private {
    hosts: Vec<(File, Directory)>,
    guest: String,
    root: Arc<Root>,
}

/// What a sandbox gets of them.
pub(crate) struct Opened {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) scratch: Option<Hold>,
}

/// A sandbox's private directory: removed on another thread where there is one to do so.
pub(crate) struct Hold(Option<Scratch>);

impl Directories {
    /// Opens what `config` names; none if it names none.
    pub(crate) fn open(config: &FunctionConfig) -> Result<Option<Directories>, String> {
        let guests = config.directories.iter().map(|directory| &directory.guest);
        let names: Vec<_> = guests.chain(&config.scratch).cloned().collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut hosts = Vec::new();
        for directory in &config.directories {
            let failed = |cause| format!("{}: {cause}", directory.host.display());
            let file = open(&directory.host).map_err(failed)?;
            hosts.push((file, directory.clone()));
        }
        let kind = match config.scratch.clone() {
            None => {
                let mut builder = builder(&hosts).map_err(|cause| format!("{cause:#}"))?;
                Kind::Shared(builder.build().filesystem().clone())
            }
            Some(guest) => {
                let root = Root::of_process();
                let root = root.map_err(|cause| format!("scratch directories: {cause}"))?;
                Kind::Private(Arc::new(Private { hosts, guest, root }))
            }
        };
        Ok(Some(Directories { kind, names }))
    }

    /// The guest's names of the directories, in the order of their descriptors.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// A sandbox's own context.
    pub(crate) async fn context(&self) -> Result<Opened, String> {
        match &self.kind {
            Kind::Shared(filesystem) => {
                let mut wasi = WasiCtxBuilder::new().build_p1();
                *wasi.ctx().ctx.filesystem() = filesystem.clone();
                let scratch = None;
                Ok(Opened { wasi, scratch })
            }
            Kind::Private(private) => {
                let private = private.clone();
                let made = tokio::task::spawn_blocking(move || private.context()).await;
                let made = made.map_err(|cause| cause.to_string())?;
                made.map_err(|cause| format!("no scratch directory: {cause:#}"))
            }
        }
    }
}

impl Private {
    fn context(&self) -> wasmtime::Result<Opened> {
        let mut builder = builder(&self.hosts)?;
        let scratch = self.root.scratch()?;
        builder.preopened_dir(scratch.path(), &self.guest, FsPerms::ReadWrite)?;
        Ok(Opened {
            wasi: builder.build_p1(),
            scratch: Some(Hold(Some(scratch))),
        })
    }
}

fn open(host: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(host, flags, Mode::empty())?.into())
}

/// A context's builder with these open directories: the very same, whatever is at their paths now.
fn builder(hosts: &[(File, Directory)]) -> wasmtime::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    for (file, directory) in hosts {
        let perms = match directory.writable {
            true => FsPerms::ReadWrite,
            false => FsPerms::ReadOnly,
        };
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        builder.preopened_dir(opened, &directory.guest, perms)?;
    }
    Ok(builder)
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Whoever drops the closure removes the directory, even if it never runs.
        let scratch = self.0.take();
        match Handle::try_current() {
            Ok(reactor) => drop(reactor.spawn_blocking(move || drop(scratch))),
            Err(_) => drop(scratch),
        }
    }
}
