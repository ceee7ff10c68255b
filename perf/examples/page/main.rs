//! Writes a page with charts of every kind to the file that its argument names: what reports look like, to be looked at
//! after a change. The numbers are made up, though not implausible.

mod sample;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: page FILE.html");
        return ExitCode::from(2);
    };
    match std::fs::write(&path, sample::page().html()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
