//! The program behind `cargo run --release`: serves a page that talks to a peer written in Rust. See `--help`.

use std::sync::mpsc;

use anyhow::Context;
use clap::Parser;
use demo::{Options, Server};

/// What a shell reports for a program that was interrupted (128 + SIGINT).
const INTERRUPTED: i32 = 130;

#[expect(clippy::print_stdout, reason = "the address is what the program is run for")]
fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (interrupt, interrupted) = mpsc::sync_channel(1);
    // The first Ctrl-C ends cleanly. Whoever presses it again does not want to wait for that.
    ctrlc::set_handler(move || {
        if interrupt.try_send(()).is_err() {
            std::process::exit(INTERRUPTED);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    let server = Server::start(&options)?;
    println!("{}", server.announcement());
    let _whoever_sends_is_never_dropped = interrupted.recv();
    server.stop()
}
