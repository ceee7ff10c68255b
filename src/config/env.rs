//! A route's own variables: names, values, and the secrets that values refer to.
//!
//! A value may hold `${file:PATH}`, the contents of a file (relative to the spec's folder, without one newline at the
//! end), and `${env:NAME}`, a variable of the server's own environment. `$$` is one dollar sign; a dollar before
//! anything else stands for itself. What is put in is not looked at again.
//!
//! Values are secret, however they came about: they are in no message and no `Debug`. Not here: reading files and
//! the environment, which [`Sources`] does.

use std::fmt;
use std::path::Path;

use serde_json::value::RawValue;

use super::json::{self, Kind};
use super::read::Reader;
use crate::limits::{ENV_BYTES_MAX, ENV_VARIABLES_MAX};

/// Variables that a request sets, beside those that begin with `HTTP_`. A route cannot have its own of these names.
pub const CGI_VARIABLES: [&str; 19] = [
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "X_FULL_URL",
    "X_MATCHED_ROUTE",
    "X_RAW_PATH_INFO",
];

/// The variables of a function by name, in the order of the spec. Its `Debug` tells the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub Vec<(String, String)>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

/// Where secrets come from. Errors are the rest of a sentence, such as "does not exist".
pub(super) struct Sources<'s> {
    /// The contents of a file.
    pub(super) file: &'s dyn Fn(&Path) -> Result<String, String>,
    /// The value of a variable of the server's environment.
    pub(super) variable: &'s dyn Fn(&str) -> Result<String, String>,
}

/// What is wrong with a value: the part of it that is at fault, why, and what would be right.
struct Fault {
    part: String,
    problem: String,
    remedy: &'static str,
}

const REFERENCE: &str =
    "${file:PATH}, or ${env:NAME}; for a dollar sign and a brace themselves $${";
const NAME: &str =
    "a letter or _, then letters, digits and _; for a variable that the request does not set";

/// Reads the object `value` at the JSON path `at`; what is wrong becomes problems of the reader's.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    at: &str,
    value: &'a RawValue,
    sources: &Sources<'_>,
) -> Environment {
    let mut environment = Environment::default();
    if Kind::of(value) != Kind::Object {
        return environment;
    }
    let entries = match json::entries(value) {
        Ok(entries) => entries,
        Err(_) => {
            reader.secret(at, value, "has a name that is no valid Unicode", NAME);
            return environment;
        }
    };
    if entries.len() > ENV_VARIABLES_MAX {
        let problem = format!("has {} variables", entries.len());
        let remedy = format!("at most {ENV_VARIABLES_MAX}");
        reader.secret(at, value, problem, remedy);
        return environment;
    }
    let mut bytes = 0;
    for (name, value) in entries {
        let at = json::member(at, &name);
        if let Some(problem) = unfit(&name, &environment) {
            reader.secret(at, value, problem, NAME);
            continue;
        }
        match resolve(value, sources) {
            Ok(text) => {
                bytes += name.len() + text.len();
                environment.0.push((name, text));
            }
            Err(fault) => reader.part(at, value, &fault.part, fault.problem, fault.remedy),
        }
    }
    if bytes > ENV_BYTES_MAX {
        let problem = format!("the variables have {bytes} bytes together");
        reader.secret(at, value, problem, format!("at most {ENV_BYTES_MAX} bytes"));
    }
    environment
}

/// What is wrong with a name.
fn unfit(name: &str, earlier: &Environment) -> Option<&'static str> {
    let mut bytes = name.bytes();
    let first = bytes.next();
    let begins = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !begins || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Some("is no name of a variable")
    } else if name.starts_with("HTTP_") || CGI_VARIABLES.contains(&name) {
        Some("the request sets this variable")
    } else if earlier.0.iter().any(|(known, _)| known == name) {
        Some("the name is there already")
    } else {
        None
    }
}

fn resolve(value: &RawValue, sources: &Sources<'_>) -> Result<String, Fault> {
    let fault = |problem: &str, remedy| Fault {
        part: String::new(),
        problem: problem.to_owned(),
        remedy,
    };
    let kind = Kind::of(value);
    if kind != Kind::String {
        let problem = format!("is {}, not a string", kind.name());
        return Err(fault(&problem, "a string"));
    }
    let text = serde_json::from_str::<String>(value.get())
        .map_err(|_| fault("is no valid Unicode", "surrogates only in pairs"))?;
    let text = expand(&text, sources)?;
    match text.contains('\0') {
        true => Err(fault(
            "has a NUL in it, which would end it",
            "text without NUL",
        )),
        false => Ok(text),
    }
}

fn expand(text: &str, sources: &Sources<'_>) -> Result<String, Fault> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if rest.starts_with("${") {
            let end = rest.find('}').ok_or_else(|| Fault {
                // What follows may be a secret.
                part: "${".to_owned(),
                problem: "a reference does not end".to_owned(),
                remedy: REFERENCE,
            })?;
            let (reference, after) = rest.split_at(end + 1);
            expanded.push_str(&refer(reference, sources)?);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// What `${…}` stands for.
fn refer(reference: &str, sources: &Sources<'_>) -> Result<String, Fault> {
    let fault = |problem| Fault {
        part: reference.to_owned(),
        problem,
        remedy: REFERENCE,
    };
    let inner = reference.trim_start_matches("${").trim_end_matches('}');
    match inner.split_once(':') {
        Some(("file", path)) if !path.is_empty() => {
            let contents = (sources.file)(Path::new(path));
            let contents = contents.map_err(|why| fault(format!("the file {why}")))?;
            let line = contents.strip_suffix('\n').unwrap_or(&contents);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        Some(("env", name)) if !name.is_empty() => {
            (sources.variable)(name).map_err(|why| fault(format!("the variable {why}")))
        }
        _ => Err(fault("is no reference that is known".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let sources = Sources {
            file: &|path| match path.to_str() {
                Some("lines") => Ok("a\nb\n\n".to_owned()),
                Some("dos") => Ok("a\r\n".to_owned()),
                Some("secret") => Ok("${env:A}$$".to_owned()),
                _ => Err("does not exist".to_owned()),
            },
            variable: &|name| match name {
                "A" => Ok("1".to_owned()),
                _ => Err("is not set".to_owned()),
            },
        };
        let result = expand(text, &sources);
        result.map_err(|fault| format!("{} {}", fault.part, fault.problem))
    }

    #[test]
    fn references() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let got = expanded(text);
            let got = got.as_ref().map(|it| &**it).map_err(|it| &**it);
            assert_eq!(got, expected, "{text}");
        };
        check("", Ok(""));
        check("plain", Ok("plain"));
        check("${env:A}", Ok("1"));
        check("<${env:A}${env:A}>", Ok("<11>"));
        check("${file:lines}", Ok("a\nb\n"));
        check("${file:dos}", Ok("a"));
        // What is put in is not looked at again.
        check("${file:secret}", Ok("${env:A}$$"));
        check("$", Ok("$"));
        check("a$b $1 $", Ok("a$b $1 $"));
        check("$2b$10$abc", Ok("$2b$10$abc"));
        check("$$", Ok("$"));
        check("$${env:A}", Ok("${env:A}"));
        check("$$${env:A}", Ok("$1"));
        check("${env:B}", Err("${env:B} the variable is not set"));
        check("${file:x}", Err("${file:x} the file does not exist"));
        check("${A}", Err("${A} is no reference that is known"));
        check("${env:}", Err("${env:} is no reference that is known"));
        check("${File:x}", Err("${File:x} is no reference that is known"));
        check("hunter2${env:A", Err("${ a reference does not end"));
    }

    #[test]
    fn names() {
        let check = |name: &str, expected: bool| {
            let earlier = Environment(vec![("TWICE".to_owned(), String::new())]);
            assert_eq!(unfit(name, &earlier).is_none(), expected, "{name}");
        };
        for fit in ["A", "_", "a1_B", "PATH", "HTTPS", "X_OTHER"] {
            check(fit, true);
        }
        for unfit in [
            "",
            "1",
            "A=B",
            "A-B",
            "A B",
            "\u{e9}",
            "A\0",
            "TWICE",
            "HTTP_",
            "HTTP_PROXY",
        ] {
            check(unfit, false);
        }
        CGI_VARIABLES.iter().for_each(|name| check(name, false));
    }
}
