//! The command line: subcommands, the server's settings, the doctor, exit codes.
//!
//! What a command does is the caller's business; here it is only understood. Settings come from
//! flags, `LUGE_*`, SLEdge's variables and defaults, in this order (`resolve`).

pub mod doctor;
pub mod exit;
mod flags;
pub(crate) mod resolve;
pub mod run;
pub mod settings;
mod values;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use exit::Exit;
pub use flags::Given;
pub use run::Run;
pub use settings::Settings;
pub(crate) use values::Span;

/// The version of wasmtime that modules are compiled and run by.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// The command line of luge.
#[derive(Debug, Parser)]
#[command(
    name = "luge",
    version = version(),
    about = "Serves WebAssembly functions over HTTP, preemptively scheduled",
    long_about = "Serves WebAssembly functions over HTTP, preemptively scheduled.\n\n\
        Without a command, luge serves its embedded demo, with the options of \"luge serve\".",
    after_help = exit_codes(),
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do; none means [`Command::Serve`] without a spec.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given without a command.
    #[command(flatten)]
    pub given: Given,
}

/// What luge is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve functions (the default)
    Serve(Serve),
    /// Run a module or a function once, in a sandbox as the server's
    Run(Box<Run>),
    /// Check a spec and its modules without serving
    Check(Check),
    /// Compile the modules of a spec ahead, so that serving them starts at once
    Compile(Serve),
    /// Print the JSON Schema of spec files, for editors
    Schema,
    /// Say whether this machine is fit to serve, and what to do where it is not
    Doctor(Doctor),
    /// Simulate a scheduler under load, on virtual time
    Sim(Box<crate::sim::Args>),
    /// Load an HTTP/1.1 server, and say how long its answers took
    Bench(Box<crate::bench::Args>),
    /// Compare policies: run experiments on servers and in the simulator, and report what they show
    Lab(Box<crate::lab::Args>),
    /// Print a script for the completion of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `luge serve` and `luge compile`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// The spec file: a JSON array of tenants (see luge schema) [default: the embedded demo]
    pub spec: Option<PathBuf>,
    /// Settings given as flags.
    #[command(flatten)]
    pub given: Given,
}

/// `luge check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The spec file
    pub spec: PathBuf,
    /// How problems are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// `luge doctor`.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
}

impl Cli {
    /// The command, with the default filled in.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Serve {
            spec: None,
            given: self.given,
        }))
    }
}

/// Writes the completion script for `shell`.
pub fn write_completions(shell: Shell, out: &mut dyn io::Write) {
    clap_complete::generate(shell, &mut Cli::command(), "luge", out);
}

/// Prints what was asked for; a full disk is an error, a reader that has seen enough is not.
pub fn print(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("luge: standard output: {error}");
            Exit::Failure
        }
        _ => Exit::Ok,
    }
}

/// The versions of luge and wasmtime, and the commit if the build was told (`LUGE_COMMIT`).
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let commit = option_env!("LUGE_COMMIT").map(|commit| format!(", commit {commit}"));
        let luge = env!("CARGO_PKG_VERSION");
        format!(
            "{luge} (wasmtime {WASMTIME_VERSION}{})",
            commit.unwrap_or_default()
        )
    });
    &VERSION
}

fn exit_codes() -> String {
    let lines = Exit::TABLE.map(|(exit, meaning)| format!("  {}  {meaning}\n", exit.code()));
    format!("Exit codes:\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::error::ErrorKind> {
        let words = std::iter::once("luge").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.kind())?;
        Ok(cli.into_command())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving() {
        for (line, spec, workers) in [
            ("", None, None),
            ("serve", None, None),
            ("--workers 3", None, Some("3")),
            ("serve --workers=3", None, Some("3")),
            ("serve spec.json --workers 3", Some("spec.json"), Some("3")),
        ] {
            let Ok(Command::Serve(serve)) = parse(line) else {
                panic!("{line:?} does not serve");
            };
            assert_eq!(serve.spec, spec.map(PathBuf::from), "{line}");
            assert_eq!(serve.given.value("workers"), workers, "{line}");
        }
    }

    #[test]
    fn the_other_commands() {
        assert!(matches!(parse("schema"), Ok(Command::Schema)));
        assert!(matches!(
            parse("doctor --json"),
            Ok(Command::Doctor(Doctor { json: true }))
        ));
        assert!(matches!(
            parse("completions fish"),
            Ok(Command::Completions { shell: Shell::Fish })
        ));
        let Ok(Command::Check(check)) = parse("check a.json --format json") else {
            panic!("no check");
        };
        assert_eq!(
            (check.spec, check.format),
            (PathBuf::from("a.json"), Format::Json)
        );
    }

    #[test]
    fn misuse() {
        use clap::error::ErrorKind;
        for (line, kind) in [
            ("check", ErrorKind::MissingRequiredArgument),
            ("serve a b", ErrorKind::UnknownArgument),
            ("serve --worker-count 3", ErrorKind::UnknownArgument),
            ("serve --workers 3 --workers 4", ErrorKind::ArgumentConflict),
            ("serve --workers", ErrorKind::InvalidValue),
            ("completions csh", ErrorKind::InvalidValue),
            ("--workers 3 serve", ErrorKind::ArgumentConflict),
            ("frobnicate", ErrorKind::InvalidSubcommand),
            ("--version", ErrorKind::DisplayVersion),
            ("serve --help", ErrorKind::DisplayHelp),
        ] {
            assert_eq!(parse(line).map(|_| ()), Err(kind), "{line}");
        }
    }

    #[test]
    fn completions_know_the_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut out = Vec::new();
            write_completions(shell, &mut out);
            let script = String::from_utf8(out).expect("text");
            assert!(script.contains("quantum-us"), "{shell}");
        }
    }

    #[test]
    fn the_version_of_wasmtime_is_the_one_built_with() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!(
            "\nwasmtime = {{ version = \"={WASMTIME_VERSION}\""
        )));
        assert!(version().contains(WASMTIME_VERSION));
    }
}
