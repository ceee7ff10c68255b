//! Replays the committed fuzz corpora through the fuzz targets' own checks, on a stable toolchain.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

fn check(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        println!("{}", path.display());
        check(&fs::read(path).expect("a corpus file can be read"));
        files += 1;
    }
    assert!(files >= 12, "{}: {files} files", folder.display());
}

#[test]
fn http_head() {
    check("http_head", fuzz::check_connection);
}

#[test]
fn cgi_response() {
    check("cgi_response", fuzz::check_cgi);
}

#[test]
fn http_body() {
    check("http_body", fuzz::check_body);
}
