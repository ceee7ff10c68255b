//! Loading a spec: the one place that touches files.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::check::Checker;
use super::env::Sources;
use super::json;
use super::keys::schema;
use super::problem::{Cursor, Notice, Position, Problem, Problems};
use super::read::Reader;
use super::spec::Spec;
use crate::limits::ENV_BYTES_MAX;

/// Bytes of a spec file at most.
const SPEC_BYTES_MAX: u64 = 16 << 20;

/// What a caller may allow beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Port 0, any number of times: the kernel chooses, the caller finds out.
    pub allow_port_zero: bool,
}

/// A spec that can be served, and what its owner should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What is served.
    pub spec: Spec,
    /// Remarks that do not hinder.
    pub notices: Vec<Notice>,
}

/// A spec as far as it could be read, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// Tenants and routes without those that cannot be understood.
    pub loaded: Loaded,
    /// None: it can be served.
    pub problems: Problems,
}

impl Examined {
    /// The spec, if nothing is wrong with it.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn into_result(self) -> Result<Loaded, Problems> {
        self.problems.or(self.loaded)
    }
}

impl From<(&Path, Problems)> for Examined {
    /// A file of which nothing could be read.
    fn from((file, problems): (&Path, Problems)) -> Self {
        let spec = Spec {
            file: file.to_owned(),
            tenants: Vec::new(),
        };
        let notices = Vec::new();
        Self {
            loaded: Loaded { spec, notices },
            problems,
        }
    }
}

/// Reads and checks the spec file at `path`; modules are looked for relative to its folder, and
/// not opened further than to see that they can be.
///
/// # Errors
///
/// Every problem of the file, sorted by place.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    load_with(path, LoadOptions::default())
}

/// As [`load`], with options.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(path: &Path, options: LoadOptions) -> Result<Loaded, Problems> {
    examine(path, options).into_result()
}

/// As [`load_with`], and gives what could be read even if something is wrong, so that what else is wrong
/// with it can be told at the same time.
pub fn examine(path: &Path, options: LoadOptions) -> Examined {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(problems) => return (path, problems).into(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    examine_text(&text, path, options, |module| {
        let module = folder.join(module);
        readable(&module)?;
        Ok(module)
    })
}

/// Checks a spec that is in memory already. `file` is the name for messages; `resolve` answers,
/// for a path of the spec (`.wasm` or `.wat`), where that module is, or what is wrong with it as
/// the rest of a sentence, such as "does not exist".
///
/// # Errors
///
/// As [`load`].
pub fn load_from(
    text: &str,
    file: &Path,
    options: LoadOptions,
    resolve: impl Fn(&Path) -> Result<PathBuf, String>,
) -> Result<Loaded, Problems> {
    examine_text(text, file, options, resolve).into_result()
}

/// As [`load_from`], and gives what could be read even if something is wrong.
pub fn examine_text(
    text: &str,
    file: &Path,
    options: LoadOptions,
    resolve: impl Fn(&Path) -> Result<PathBuf, String>,
) -> Examined {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match json::parse(text) {
        Ok(root) => root,
        Err((position, reason)) => {
            let problem = not_json(file, text, position, &reason);
            return (file, problem.into()).into();
        }
    };
    let mut schema = schema();
    if options.allow_port_zero {
        schema["items"]["properties"]["port"]["minimum"] = 0.into();
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let sources = Sources {
        file: &|path| read_secret(&folder.join(path)),
        variable: &variable,
    };
    let mut checker = Checker {
        reader: Reader::new(file, text),
        schema: &schema,
        resolve,
        sources,
        path_offsets: Vec::new(),
    };
    let mut tenants = checker.tenants(root);
    let mut cursor = Cursor::new(text);
    let routes = tenants.iter_mut().flat_map(|tenant| &mut tenant.routes);
    for (route, offset) in routes.zip(checker.path_offsets) {
        route.path_position = offset.map(|offset| cursor.at(offset));
    }
    let (problems, notices) = checker.reader.finish();
    let spec = Spec {
        file: file.to_owned(),
        tenants,
    };
    Examined {
        loaded: Loaded { spec, notices },
        problems,
    }
}

fn read_text(path: &Path) -> Result<String, Problems> {
    let unreadable = |problem: String, remedy: &str| Problem::in_file(path, "$", problem, remedy);
    let cannot = |error: std::io::Error| unreadable(format!("the file {}", says(&error)), A_FILE);
    let file = open(path).map_err(|why| unreadable(format!("the file {why}"), A_FILE))?;
    let mut bytes = Vec::new();
    file.take(SPEC_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > SPEC_BYTES_MAX {
        let problem = format!("the file has more than {SPEC_BYTES_MAX} bytes");
        return Err(unreadable(problem, "a smaller spec").into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let position = Position::of(&String::from_utf8_lossy(valid), valid.len());
        unreadable(
            "the file is not UTF-8".to_owned(),
            "JSON in UTF-8 (RFC 8259 §8.1)",
        )
        .with_position(Some(position))
        .into()
    })
}

const A_FILE: &str = "the path of a spec file: a JSON array of tenants";

fn not_json(file: &Path, text: &str, position: Position, reason: &str) -> Problem {
    // With the variables of a function there may be secrets in it.
    let line = text.lines().nth(position.line - 1).unwrap_or_default();
    let remedy =
        "JSON (RFC 8259): no comments, no comma after the last entry, strings in double quotes";
    Problem::in_file(file, "$", format!("not JSON: {reason}"), remedy)
        .with_value(if text.contains("env\"") { "" } else { line })
        .with_position(Some(position))
}

/// Whether `path` is a file that can be opened; if not, why, as the rest of a sentence.
fn readable(path: &Path) -> Result<(), String> {
    open(path).map(drop)
}

/// Whether `path` is a directory that can be read; if not, why, as the rest of a sentence.
pub(super) fn directory(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| says(&error))?;
    if !metadata.is_dir() {
        return Err("is no directory".to_owned());
    }
    fs::read_dir(path).map(drop).map_err(|error| says(&error))
}

/// Opens a regular file. Anything else is refused unopened: opening a pipe would wait.
fn open(path: &Path) -> Result<File, String> {
    let metadata = fs::metadata(path).map_err(|error| says(&error))?;
    if metadata.is_dir() {
        return Err("is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    File::open(path).map_err(|error| says(&error))
}

/// The text of a file that is put into a variable; else why not, as the rest of a sentence.
fn read_secret(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    open(path)?
        .take(ENV_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| says(&error))?;
    if bytes.len() > ENV_BYTES_MAX {
        return Err(format!("has more than {ENV_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

/// A variable of this process.
fn variable(name: &str) -> Result<String, String> {
    // What is no name would panic.
    let is_name = !name.contains(['=', '\0']);
    let value = is_name.then(|| std::env::var_os(name)).flatten();
    let value = value.ok_or_else(|| "is not set".to_owned())?;
    value.into_string().map_err(|_| "is not UTF-8".to_owned())
}

fn says(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
