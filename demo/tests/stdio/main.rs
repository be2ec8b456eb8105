//! `demo stdio` as scripts use it: two processes, wired together over their pipes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

mod channels;
mod connection;
mod input;
mod script;
mod support;
