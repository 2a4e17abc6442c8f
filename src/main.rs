//! Arguments -> a command -> an exit status.

use std::process::ExitCode;

use clap::Parser;
use substratum::cli::{self, Arguments};

// Frees and reuses the buffers of large bodies without returning them to the system each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
