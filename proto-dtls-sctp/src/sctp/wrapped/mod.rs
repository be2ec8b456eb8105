//! The crate `sctp-proto` as engine: what was there before ours, kept as a second opinion.

mod established;
mod first_data;
mod guard;
mod opening;
mod outgoing;
mod received;
mod resets;

pub(super) use established::Established;
