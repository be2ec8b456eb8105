//! Tests of proto-sdp by topic.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod answers;
mod bundle;
mod candidates;
mod common;
mod errors;
mod fixtures;
mod limits;
mod offers;
mod properties;
mod renegotiation;
mod signaling;
mod torture;
mod transports;
mod trickle;
mod values;
