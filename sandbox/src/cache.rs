//! A folder of compiled code, so that a module is compiled once and not at every start.
//!
//! One file for one module, under the name of its key, which is a digest of the module's bytes and
//! of all that decides how they are compiled. In front of the code stands what it must be:
//!
//! ```text
//!   0        8         12      44        52          84
//!   │ magic  │ version │ key   │ length  │ checksum  │ code …
//! ```
//!
//! Compiled code is trusted as the program itself is, so that a file counts only if nobody but this
//! user can have written it: it is a plain file of this user's (a symbolic link is not followed),
//! nobody else may write to it, and its checksum is right. It is opened once; all that is known of
//! it, its contents included, comes from that one descriptor, and what is run is a private copy
//! ([`crate::Artifact`]). Anything else is left alone with a warning, and compiled again. The
//! checksum finds accidents, not attacks: who can write as this user can also write a right one,
//! and can replace the program itself, or read and write its memory (`ptrace`). The folder gives
//! such an attacker nothing new, and anybody else nothing at all.
//!
//! A file is written under a name of its own and renamed when it is whole: whoever reads sees all
//! of it or nothing, and of several who write the same, the last stays. It is not synced; what a
//! power failure leaves is caught by the checksum. Nothing is ever deleted here.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::bulk;
use crate::limits::CACHED_BYTES_MAX;

/// A folder of compiled code. See [`crate::Compiler`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

/// Why a folder or a file of it is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made, opened, read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder where a file belongs, or the other way round.
    #[error("is not a plain {expected}")]
    Kind {
        /// `file` or `folder`.
        expected: &'static str,
    },
    /// Somebody else's.
    #[error("belongs to user {owner}, not to {user}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        user: u32,
    },
    /// Others may write to it.
    #[error("may be written by others (mode {mode:04o})")]
    Mode {
        /// The permissions.
        mode: u32,
    },
    /// Not a file of this cache, of another version, or for another key.
    #[error("is not what its name says")]
    Header,
    /// Longer or shorter than it should be.
    #[error("has {bytes} bytes")]
    Length {
        /// How long it is.
        bytes: u64,
    },
    /// The code is not what was written.
    #[error("has a wrong checksum")]
    Checksum,
}

/// Names a module together with the way in which it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; DIGEST_BYTES]);

const MAGIC: [u8; 8] = *b"lugecode";
const VERSION: u32 = 1;
const DIGEST_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 4 + DIGEST_BYTES + 8 + DIGEST_BYTES;

/// Permissions to write that others may not have.
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Cache {
    /// Opens the folder, and makes it, for this user alone, if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be made, or others may write to it.
    pub fn open(folder: &Path) -> Result<Cache, CacheError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let metadata = std::fs::metadata(folder)?;
        if !metadata.is_dir() {
            return Err(CacheError::Kind { expected: "folder" });
        }
        check_owner(&metadata)?;
        Ok(Cache {
            folder: folder.to_owned(),
        })
    }

    /// The code of `key`, if there is some that can be trusted.
    pub(crate) fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        match read(&path, key) {
            Ok(code) => Some(code),
            Err(CacheError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), "compiled code is ignored: it {error}");
                None
            }
        }
    }

    /// Keeps the code of `key`. That this fails is no reason not to go on.
    pub(crate) fn write(&self, key: &Key, code: &[u8]) {
        if let Err(error) = self.replace(key, code) {
            let folder = self.folder.display();
            tracing::warn!(%folder, "compiled code cannot be kept: {error}");
        }
    }

    fn replace(&self, key: &Key, code: &[u8]) -> Result<(), CacheError> {
        let unique = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let temporary = self.folder.join(format!(".{}.{unique:016x}", key.name()));
        let written = write(&temporary, key, code)
            .and_then(|()| Ok(std::fs::rename(&temporary, self.path(key))?));
        if written.is_err() {
            // It may not be there, and if it is, it is nobody's.
            std::fs::remove_file(&temporary).ok();
        }
        written
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.name())
    }
}

impl Key {
    pub(crate) fn new(engine: &Engine, wasm: &[u8]) -> Key {
        // wasmtime's version, the target, and every setting that changes the code.
        let mut environment = Digester(Sha256::new());
        engine
            .precompile_compatibility_hash()
            .hash(&mut environment);
        let mut digest = Sha256::new();
        digest.update(environment.0.finalize());
        digest.update(bulk::VERSION.to_le_bytes());
        digest.update(wasm);
        Key(digest.finalize().into())
    }

    fn name(&self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}.code")
    }
}

/// Takes what is hashed in the standard library's way. Its 64-bit hash is of no use here.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken instead")
    }
}

fn header(key: &Key, code: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let length = code.len() as u64;
    let checksum: [u8; DIGEST_BYTES] = Sha256::digest(code).into();
    let fields: [&[u8]; 5] = [
        &MAGIC,
        &VERSION.to_le_bytes(),
        &key.0,
        &length.to_le_bytes(),
        &checksum,
    ];
    let mut at = 0;
    for field in fields {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    header
}

/// Where the checksum begins: what stands before can be told without looking at the code.
const CHECKSUM_AT: usize = HEADER_BYTES - DIGEST_BYTES;

fn read(path: &Path, key: &Key) -> Result<Vec<u8>, CacheError> {
    // Not to wait for whoever would open a pipe's other end.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(CacheError::Kind { expected: "file" });
    }
    check_owner(&metadata)?;
    let bytes = metadata.len();
    let length = bytes
        .checked_sub(HEADER_BYTES as u64)
        .filter(|length| *length <= CACHED_BYTES_MAX)
        .ok_or(CacheError::Length { bytes })?;
    let mut found = [0; HEADER_BYTES];
    file.read_exact(&mut found)?;
    let mut code = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut code)?;
    // Of code that was cut, the length differs here.
    let expected = header(key, &code);
    if found[..CHECKSUM_AT] != expected[..CHECKSUM_AT] {
        return Err(CacheError::Header);
    }
    match found == expected {
        true => Ok(code),
        false => Err(CacheError::Checksum),
    }
}

fn write(path: &Path, key: &Key, code: &[u8]) -> Result<(), CacheError> {
    if code.len() as u64 > CACHED_BYTES_MAX {
        let bytes = code.len() as u64;
        return Err(CacheError::Length { bytes });
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&header(key, code))?;
    file.write_all(code)?;
    Ok(())
}

fn check_owner(metadata: &std::fs::Metadata) -> Result<(), CacheError> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(CacheError::Owner { owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    match mode & WRITABLE_BY_OTHERS {
        0 => Ok(()),
        _ => Err(CacheError::Mode { mode }),
    }
}

#[cfg(test)]
mod tests;
