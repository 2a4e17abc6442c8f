//! The command line: arguments -> a command and its exit status.

pub mod check;
pub mod demo;
pub mod explain;
mod figures;
pub mod images;
pub mod import_squid;
mod inquiry;
pub mod ls;
mod output;
mod pinned;
pub mod purge;
pub mod scrub;
pub mod serve;
pub mod status;
pub mod visit;
pub mod warm;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use output::Output;

/// Exit status when `scrub` found bad records.
const BAD_RECORDS: u8 = 3;

pub use self::inquiry::{InquiryError, ReportError};

/// Exit status when whoever reads the output has enough, as `head` has: that of a program that the signal ends.
const READER_LEFT: u8 = 128 + 13;

/// Exit status when somebody at the terminal has had enough: likewise.
const INTERRUPTED: u8 = 128 + 2;

/// Exit status for a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

/// A caching proxy tier for immutable, content-addressed objects.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = false)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file; without one, built-in defaults serve this machine's clients only
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve requests (the default)
    Serve(serve::Options),
    /// Read the configuration, print what it comes to, start nothing
    Check,
    /// Hash everything in the disk tier anew while no daemon uses it; exits with 3 if anything was bad
    Scrub,
    /// Ask a running program how it does; exit status 1 when something needs attention
    Status(status::Options),
    /// Let a running program drop what is stored of an object or a document; it must have a token (`token_file` in [admin])
    Purge(purge::Options),
    /// Tell what would become of a request, and why; exit status 1 when it would be refused
    Explain(explain::Options),
    /// Turn a configuration of squid or frontier-squid into one of this program
    ImportSquid(import_squid::Options),
    /// Bring what is under a path of a repository into the tier; exit status 1 when not all of it could be
    Warm(warm::Options),
    /// List a directory of a repository, and how much of it is in the tier
    Ls(ls::Options),
    /// List the container images of a repository, and how much of each is in the tier
    Images(images::Options),
    /// Show on this machine alone what the tier does: strata, caches, jobs, faults
    Demo(demo::Options),
}

/// Runs the command.
pub fn run(arguments: Arguments) -> ExitCode {
    let config = arguments.config.as_deref();
    match arguments.command.unwrap_or_else(|| Command::Serve(serve::Options::default())) {
        Command::Serve(options) => match serve::run(&options, config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Check => match check::run(config, &mut Output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ check::CheckError::Config(_)) => fail(&error, BAD_CONFIGURATION),
            Err(error) => fail(&error, 1),
        },
        Command::Scrub => match scrub::run(config, &mut Output) {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(BAD_RECORDS),
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Status(options) => match status::run(&options, config, &mut Output) {
            Ok(status::Verdict::Well) => ExitCode::SUCCESS,
            Ok(status::Verdict::Trouble) => ExitCode::FAILURE,
            Err(error @ ReportError::Config(_)) => fail(&error, BAD_CONFIGURATION),
            Err(error) => fail(&error, 1),
        },
        Command::Purge(options) => match purge::run(&options, config, &mut Output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ ReportError::Config(_)) => fail(&error, BAD_CONFIGURATION),
            Err(error) => fail(&error, 1),
        },
        Command::Explain(options) => match explain::run(&options, config, &mut Output) {
            Ok(explain::Verdict::Served) => ExitCode::SUCCESS,
            Ok(explain::Verdict::Refused) => ExitCode::FAILURE,
            Err(error @ explain::ExplainError::Config(_)) => fail(&error, BAD_CONFIGURATION),
            Err(error) => fail(&error, 1),
        },
        Command::ImportSquid(options) => match import_squid::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        },
        Command::Warm(options) => match warm::run(&options, config, &mut Output) {
            Ok(warm::Verdict::Warm) => ExitCode::SUCCESS,
            Ok(warm::Verdict::NotAll) => ExitCode::FAILURE,
            Ok(warm::Verdict::BrokenOff) => ExitCode::from(INTERRUPTED),
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Ls(options) => match ls::run(&options, config, &mut Output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Images(options) => match images::run(&options, config, &mut Output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Demo(options) => match demo::run(&options) {
            Ok(demo::Verdict::Kept) => ExitCode::SUCCESS,
            Ok(demo::Verdict::Broken) => ExitCode::FAILURE,
            Err(error) => fail(&error, error.exit_code()),
        },
    }
}

fn fail(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    if output::reader_has_left(error) {
        return ExitCode::from(READER_LEFT);
    }
    eprintln!("substratum: {error}");
    ExitCode::from(code)
}
