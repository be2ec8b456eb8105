//! The suite with the engine of this crate.

mod extensions;

use super::SctpBackend;

const BACKEND: SctpBackend = SctpBackend::Own;

#[path = "suite/mod.rs"]
mod suite;
