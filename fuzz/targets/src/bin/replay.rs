//! Runs inputs through a target without a fuzzer: `cargo run -p fuzz-targets --bin replay -- TARGET FILE...`.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

use std::io::{Error, ErrorKind};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = fuzz_targets::TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = fuzz_targets::TARGETS.iter().map(|target| target.name).collect();
        return Err(Error::new(ErrorKind::InvalidInput, format!("usage: replay TARGET FILE...; targets: {names:?}")));
    };
    for file in arguments {
        (target.run)(&std::fs::read(&file)?);
        println!("{file}: fine");
    }
    Ok(())
}
