//! The program behind `cargo run --release`: serves a page that talks to a peer written in Rust, or is a peer for scripts. See `--help`.

use std::process::ExitCode;
use std::sync::mpsc;

use anyhow::Context;
use clap::Parser;
use demo::{Command, Options, Server, stdio};

/// What a shell reports for a program that was interrupted (128 + SIGINT).
const INTERRUPTED: i32 = 130;

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match &options.command {
        Some(Command::Stdio(options)) => stdio::run(options),
        None => serve(&options).map(|()| ExitCode::SUCCESS),
    }
}

#[expect(clippy::print_stdout, reason = "the address is what the program is run for")]
fn serve(options: &Options) -> anyhow::Result<()> {
    let (interrupt, interrupted) = mpsc::sync_channel(1);
    // The first Ctrl-C ends cleanly. Whoever presses it again does not want to wait for that.
    ctrlc::set_handler(move || {
        if interrupt.try_send(()).is_err() {
            std::process::exit(INTERRUPTED);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    let server = Server::start(options)?;
    println!("{}", server.announcement());
    let _whoever_sends_is_never_dropped = interrupted.recv();
    server.stop()
}
