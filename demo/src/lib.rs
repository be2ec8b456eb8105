//! The program behind `cargo run --release`: a page in the browser talks to a peer written in Rust.
//!
//! [`Server`] serves the page and its signalling on one thread, and drives the peers of all browsers on another. [`stdio`] is a peer for scripts.
//!
//! ```
//! use demo::{Options, Server};
//!
//! let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! server.stop()?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod behaviour;
mod browser;
mod exchange;
mod http;
mod options;
mod pump;
mod report;
mod server;
mod session;
pub mod signal;
pub mod stdio;

pub use browser::MAX_CHANNELS;
pub use exchange::MAX_EARLY_CANDIDATES;
pub use options::{Command, DEFAULT_PORT, Options};
pub use report::MAX_SERVER_REPORTS;
pub use server::Server;
pub use session::MAX_BROWSERS;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadMe;
