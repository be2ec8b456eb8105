//! The agent against itself, against servers, and against attackers, in virtual time. Test names refer to the numbered list in the layer document of ICE.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test stop it at the first surprise, as the tests do"
)]

mod lone;
mod messages;
mod world;

mod attacks;
mod candidates;
mod connecting;
mod consent;
mod credentials;
mod data;
mod determinism;
mod ending;
mod hostile;
mod mappings;
mod nomination;
mod order;
mod pairs;
mod rebinding;
mod relay;
mod roles;
mod servers;
mod table;
mod verdicts;
