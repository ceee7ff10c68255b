//! Private directories of sandboxes, each made when its guest first looks at a file, and removed with it.
//!
//! ```text
//!   $TMPDIR/luge-scratch-UID/    this user's alone
//!     4711-0/                    a process's, locked (flock) while that process lives
//!       0/ 1/ 2/ …               a sandbox's each
//! ```
//!
//! A sandbox's directory goes with its value, however the sandbox ends. What a killed process left is
//! removed by the next that makes such a directory at all: a folder of a process that nobody has locked
//! is nobody's. Process numbers are only names here; what counts is the lock, which the kernel gives up
//! with the process.
//!
//! What is in a directory is a guest's, and not trusted: nothing is followed, and it is taken apart level by
//! level, so that a chain of directories thousands deep needs two descriptors and no stack.
//!
//! How much a guest may write is bounded where it writes (`wasi::files`), not here.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, openat, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::limits::{FILE_ENTRIES_MAX, SCRATCH_SWEEPS_MAX};

/// Permissions to write that others may not have.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// This process's folder.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    _lock: File,
    next: AtomicU64,
}

/// A sandbox's directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _root: Arc<Root>,
}

impl Root {
    /// The folder of this process, one for all workers; made with the first, removed with the last.
    ///
    /// # Errors
    ///
    /// It cannot be made, or others may write to the folder that it is in.
    pub(crate) fn of_process() -> io::Result<Arc<Root>> {
        static ROOT: Mutex<Weak<Root>> = Mutex::new(Weak::new());
        let mut root = ROOT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = root.upgrade() {
            return Ok(root);
        }
        let user = rustix::process::geteuid().as_raw();
        let folder = std::env::temp_dir().join(format!("luge-scratch-{user}"));
        let made = Root::within(&folder)?;
        *root = Arc::downgrade(&made);
        Ok(made)
    }

    /// A folder within `folder`, after what others have left there is gone.
    fn within(folder: &Path) -> io::Result<Arc<Root>> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        check_owner(folder)?;
        sweep(folder)?;
        for number in 0_u64.. {
            let path = folder.join(format!("{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            // Another process may be just about to remove what it finds unlocked.
            if let Some(lock) = lock(&path)? {
                return Ok(Arc::new(Root {
                    path,
                    _lock: lock,
                    next: AtomicU64::new(0),
                }));
            }
        }
        unreachable!("a number is free")
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// The file system is full, or the like.
    pub(crate) fn scratch(self: &Arc<Self>) -> io::Result<Scratch> {
        let number = self.next.fetch_add(1, Relaxed);
        let path = self.path.join(number.to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch {
            path,
            _root: self.clone(),
        })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Still locked, and empty: its directories have held it.
        if let Err(error) = std::fs::remove_dir(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "left behind");
        }
    }
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a scratch directory is left behind");
        }
    }
}

fn check_owner(folder: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(folder)?;
    let user = rustix::process::geteuid().as_raw();
    let is_ours = metadata.is_dir() && metadata.uid() == user;
    if !is_ours || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        let what = format!("{} is not a folder of this user alone", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(())
}

/// Removes the folders of processes that are no more.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // What cannot be opened or removed is in nobody's way.
        let swept = lock(&path).and_then(|lock| lock.map_or(Ok(()), |_lock| remove(&path)));
        if let Err(error) = swept {
            tracing::warn!(path = %path.display(), %error, "left behind by a server that has ended");
        }
    }
    Ok(())
}

/// Locks a directory, unless somebody else has, or has removed it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => File::from(opened?),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let is_there = fstat(&file)?.st_nlink > 0;
    Ok(is_there.then_some(file))
}

/// A directory itself, no link to one.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes a directory with all that is in it. A guest's last call may still be under way on another
/// thread and make one thing more: then it is done again.
fn remove(path: &Path) -> io::Result<()> {
    let directory = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
    for _ in 0..SCRATCH_SWEEPS_MAX {
        empty(directory.as_fd())?;
        match std::fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => return removed,
        }
    }
    Err(io::ErrorKind::DirectoryNotEmpty.into())
}

/// Empties a directory: what is two levels down is lifted by one before its parent goes.
fn empty(directory: BorrowedFd<'_>) -> io::Result<()> {
    let mut lifted = 0;
    // Each round takes away a level.
    for _ in 0..=FILE_ENTRIES_MAX {
        let names = names(directory)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if !unlink(directory, &name)? {
                continue;
            }
            let below = openat(directory, &*name, DIRECTORY, Mode::empty())?;
            for inner in self::names(below.as_fd())? {
                if unlink(below.as_fd(), &inner)? {
                    lift(below.as_fd(), &inner, directory, &mut lifted)?;
                }
            }
            unlinkat(directory, &*name, AtFlags::REMOVEDIR)?;
        }
    }
    Err(io::ErrorKind::DirectoryNotEmpty.into())
}

/// Removes what is no directory; `true`: it is one.
fn unlink(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR | Errno::PERM) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Moves a directory one level up, under a name that is free there.
fn lift(
    from: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    to: BorrowedFd<'_>,
    lifted: &mut u64,
) -> io::Result<()> {
    loop {
        *lifted += 1;
        let lifted = format!(".luge-{lifted}");
        match renameat(from, name, to, lifted) {
            // A guest had the idea, too.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            moved => return Ok(moved?),
        }
    }
}

fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A folder of a test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("luge-scratch-test-{name}-{}", std::process::id());
            Folder(std::env::temp_dir().join(name))
        }

        fn count(&self) -> usize {
            fs::read_dir(&self.0).expect("there").count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_directory_goes_with_its_value_whatever_is_in_it() {
        let folder = Folder::new("value");
        let root = Root::within(&folder.0).expect("a root");
        let outside = folder.0.join("outside");
        fs::create_dir(&outside).expect("made");
        fs::write(outside.join("kept"), "kept").expect("written");

        let scratch = root.scratch().expect("a directory");
        let other = root.scratch().expect("another");
        assert_ne!(scratch.path(), other.path());
        let mut deep = File::open(scratch.path()).expect("open");
        for level in 0..1500 {
            let name = ["a", ".luge-1", ".luge-2"][level % 3];
            rustix::fs::mkdirat(&deep, name, Mode::RWXU).expect("made");
            let below = openat(&deep, name, DIRECTORY, Mode::empty());
            deep = File::from(below.expect("opened"));
        }
        fs::write(scratch.path().join("file"), "x").expect("written");
        fs::write(scratch.path().join(".luge-4"), "x").expect("written");
        symlink(&outside, scratch.path().join("link")).expect("linked");
        symlink(&outside, scratch.path().join("a/link")).expect("linked");

        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
        assert!(other.path().exists());
        assert!(outside.join("kept").exists());
        drop(other);
        drop(root);
        // Only what is not ours is left.
        assert_eq!(folder.count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = Folder::new("left");
        let living = Root::within(&folder.0).expect("a root");
        let scratch = living.scratch().expect("a directory");
        let left = folder.0.join("1-0");
        fs::create_dir_all(left.join("0/sub")).expect("made");
        fs::write(left.join("0/sub/file"), "x").expect("written");
        fs::write(folder.0.join("stranger"), "x").expect("written");

        let next = Root::within(&folder.0).expect("a root");
        assert!(!left.exists());
        assert!(scratch.path().exists());
        assert!(folder.0.join("stranger").exists());
        assert_ne!(living.path, next.path);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = Folder::new("others");
        fs::create_dir(&folder.0).expect("made");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(&folder.0, mode).expect("set");
        let error = Root::within(&folder.0).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);

        let link = Folder::new("link");
        symlink(&folder.0, &link.0).expect("linked");
        assert!(Root::within(&link.0).is_err());
        fs::remove_file(&link.0).expect("removed");
    }
}
