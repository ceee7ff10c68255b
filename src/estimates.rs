//! The file in which a server leaves what it has learnt of its routes, for the next one: read at start, written at the
//! end of the drain.
//!
//! Nothing depends on it: a file that is missing, damaged or of another version is a cold start, and said.

use crate::server::Learnt;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of the file at most: all routes that there can be, each with all runs, take less.
const BYTES_MAX: u64 = 512 << 20;

/// Another form of the file gets another number.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    routes: Learnt,
}

/// What a server has left at `path`; nothing if there is no such file.
///
/// # Errors
///
/// It cannot be read, or is not what [`write()`] writes.
pub fn read(path: &Path) -> io::Result<Learnt> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Learnt::default()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    let content: Content = serde_json::from_slice(&text)?;
    match content.version {
        VERSION => Ok(content.routes),
        version => Err(io::Error::other(format!(
            "is of version {version}, not {VERSION}"
        ))),
    }
}

/// Leaves it at `path`, whole or not at all.
///
/// # Errors
///
/// It cannot be written; what was there is still there.
pub fn write(path: &Path, learnt: &Learnt) -> io::Result<()> {
    let content = Content {
        version: VERSION,
        routes: learnt.clone(),
    };
    let text = serde_json::to_vec(&content)?;
    let new = beside(path);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    renamed.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// In the same folder, so that it can take the other's place at once.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Runs;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_an_error() {
        let folder = std::env::temp_dir().join(format!("luge-estimates-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("learnt.json");
        assert_eq!(read(&path).expect("no file"), Learnt::default());
        let runs = [
            ("a/b".to_owned(), Runs::LastNs(vec![3, u64::MAX])),
            ("c/".to_owned(), Runs::Weights(vec![(7, 9)])),
        ];
        let learnt = Learnt(runs.into_iter().collect());
        write(&path, &learnt).expect("written");
        assert_eq!(read(&path).expect("read"), learnt);
        let files = fs::read_dir(&folder).expect("a folder").count();
        assert_eq!(files, 1, "nothing is left beside it");
        let text = fs::read(&path).expect("a file");
        for end in 0..text.len() {
            fs::write(&path, &text[..end]).expect("written");
            read(&path).expect_err("a part");
        }
        for damaged in [
            r#"{"version":2,"routes":{}}"#,
            r#"{"version":1,"routes":{"a":{"last-ns":[-1]}}}"#,
            r#"{"version":1,"routes":{"a":{"weights":[[70000,1]]}}}"#,
            r#"{"version":1,"routes":[]}"#,
        ] {
            fs::write(&path, damaged).expect("written");
            read(&path).expect_err(damaged);
        }
        write(&folder, &learnt).expect_err("a folder is in the way");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
