//! What the fuzz targets do with their input, as plain functions: libFuzzer calls them from `fuzz_targets`, the tests of this crate call them with every file of the corpora.
//!
//! A target panics if its input breaks a property, and only then. Everything in it follows from the input: time is virtual, seeds are numbers, and keys come from
//! `Entropy::Simulated`. The one exception is [`dcep`], whose hostile side is the bare DTLS library with keys of its own.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target fails by panicking, and what is unwrapped here holds whatever the input"
)]

mod bounded;
mod candidate;
mod connection;
mod dcep;
mod forged_packet;
mod hostile_association;
mod hostile_checks;
mod input;
mod lone_peer;
mod offer_answer;
mod peers;
mod sctp;
mod session_description;
mod stun;
mod world;

pub mod seeds;

pub use candidate::candidate;
pub use connection::connection;
pub use dcep::dcep;
pub use lone_peer::peer;
pub use offer_answer::offer_answer;
pub use sctp::sctp;
pub use session_description::session_description;
pub use stun::stun;

/// A target: a name, which is also that of its folders, and what it does with an input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics if the input breaks a property.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 8] = [
    Target { name: "session_description", run: session_description },
    Target { name: "candidate", run: candidate },
    Target { name: "stun", run: stun },
    Target { name: "dcep", run: dcep },
    Target { name: "sctp", run: sctp },
    Target { name: "peer", run: peer },
    Target { name: "connection", run: connection },
    Target { name: "offer_answer", run: offer_answer },
];
