//! The embedded demo: the example functions of `functions/`, compiled into the program, so that
//! `luge` without a spec serves something at once.

use crate::config::{Examined, LoadOptions, examine_text};
use std::net::SocketAddr;
use std::path::Path;

const SPEC: &str = include_str!("../functions/spec.json");

const MODULES: [(&str, &[u8]); 8] = [
    (
        "echo/echo.wasm",
        include_bytes!("../functions/echo/echo.wasm"),
    ),
    ("ekf/ekf.wasm", include_bytes!("../functions/ekf/ekf.wasm")),
    (
        "empty/empty.wasm",
        include_bytes!("../functions/empty/empty.wasm"),
    ),
    ("fib/fib.wasm", include_bytes!("../functions/fib/fib.wasm")),
    (
        "html/html.wasm",
        include_bytes!("../functions/html/html.wasm"),
    ),
    (
        "resize/resize.wasm",
        include_bytes!("../functions/resize/resize.wasm"),
    ),
    (
        "sha256/sha256.wasm",
        include_bytes!("../functions/sha256/sha256.wasm"),
    ),
    (
        "words/words.wasm",
        include_bytes!("../functions/words/words.wasm"),
    ),
];

/// The demo's spec: the file `functions/spec.json` as it is. A test holds that nothing is wrong with it.
pub fn spec(options: LoadOptions) -> Examined {
    examine_text(SPEC, Path::new("functions/spec.json"), options, |path| {
        let found = module(path).map(|_| path.to_owned());
        found.map_err(|error| error.to_string())
    })
}

/// The bytes of a module that the demo's spec names.
///
/// # Errors
///
/// There is no such module in it.
pub fn module(path: &Path) -> std::io::Result<Vec<u8>> {
    let found = MODULES.iter().find(|(name, _)| Path::new(name) == path);
    let (_, bytes) =
        found.ok_or_else(|| std::io::Error::other("is not among the embedded functions"))?;
    Ok(bytes.to_vec())
}

/// What to try, for people.
pub fn try_these(address: SocketAddr) -> String {
    format!(
        "try:\n  \
         curl 'http://{address}/fib?30'\n  \
         curl http://{address}/html\n  \
         curl --data-binary @functions/resize/sample.jpg 'http://{address}/resize?200' > small.jpg\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wrong_with_the_spec() {
        assert_eq!(spec(LoadOptions::default()).into_result().err(), None);
    }
}
