//! What `demo stdio` is, as a program that the tests of this crate can name.

use std::process::ExitCode;

use clap::Parser;
use demo::stdio::{self, StdioOptions};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: StdioOptions,
}

fn main() -> anyhow::Result<ExitCode> {
    stdio::run(&Arguments::parse().options)
}
