//! The suite with `sctp-proto`.

use super::SctpBackend;

const BACKEND: SctpBackend = SctpBackend::SctpProto;

#[expect(clippy::duplicate_mod, reason = "the same tests, with another constant above them")]
#[path = "suite/mod.rs"]
mod suite;
