//! The program `luge`: understands the command line and hands over.

use clap::Parser;
use luge::cli::{Cli, Command, Doctor, Exit, doctor, print, write_completions};
use luge::{bench, compile, config, lab, run, serve, sim};
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match Cli::parse().into_command() {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Run(arguments) => return run::run(&arguments),
        Command::Check(arguments) => serve::check(&arguments),
        Command::Compile(arguments) => compile::compile(&arguments),
        Command::Schema => print(&format!("{:#}\n", config::schema())),
        Command::Doctor(arguments) => examine(&arguments),
        Command::Sim(arguments) => match sim::run(&arguments) {
            Ok(()) => Exit::Ok,
            Err(error) => {
                eprintln!("luge sim: {error}");
                Exit::Failure
            }
        },
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Lab(arguments) => lab::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            write_completions(shell, &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    exit.into()
}

fn examine(arguments: &Doctor) -> Exit {
    let mut findings = doctor::machine::findings(&doctor::machine::read);
    findings.extend(doctor::ring::findings(listener::probe()));
    findings.extend(doctor::sandbox::findings());
    let text = match arguments.json {
        true => doctor::json(&findings),
        false => doctor::table(&findings, std::io::stdout().is_terminal()),
    };
    match (print(&text), doctor::verdict(&findings)) {
        (Exit::Ok, doctor::State::Ok | doctor::State::Warn) => Exit::Ok,
        _ => Exit::Failure,
    }
}
