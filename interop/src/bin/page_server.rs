//! The demo's page in a process of its own, for tests that kill it. Prints the page's address, and ends with its stdin.

use std::io::Read;

use demo::{Options, Server};

#[expect(clippy::print_stdout, reason = "the address is what the test waits for")]
fn main() -> anyhow::Result<()> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    server.stop()
}
