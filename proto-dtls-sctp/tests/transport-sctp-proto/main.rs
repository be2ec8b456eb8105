//! The tests of `tests/transport`, with `sctp-proto` as backend: `common` chooses it by the name of this program.

#[cfg(test)]
#[path = "../transport/channels.rs"]
mod channels;
#[cfg(test)]
#[path = "../transport/closing.rs"]
mod closing;
#[cfg(test)]
#[path = "../transport/common.rs"]
mod common;
#[cfg(test)]
#[path = "../transport/described.rs"]
mod described;
#[cfg(test)]
#[path = "../transport/flow.rs"]
mod flow;
#[cfg(test)]
#[path = "../transport/gate.rs"]
mod gate;
#[cfg(test)]
#[path = "../transport/hostile.rs"]
mod hostile;
#[cfg(test)]
#[path = "../transport/interop.rs"]
mod interop;
#[cfg(test)]
#[path = "../transport/laws.rs"]
mod laws;
#[cfg(test)]
#[path = "../transport/loss.rs"]
mod loss;
#[cfg(test)]
#[path = "../transport/opening.rs"]
mod opening;
#[cfg(test)]
#[path = "../transport/raw.rs"]
mod raw;
#[cfg(test)]
#[path = "../transport/reuse.rs"]
mod reuse;
#[cfg(feature = "simulation")]
#[cfg(test)]
#[path = "../transport/simulation.rs"]
mod simulation;
