//! Figures of this stack beside those of others, in one run.
//!
//! A [`Stack`](stack::Stack) is one endpoint of a stack without input and output of its own; `stacks` has an adapter for each. A [`Workload`](workloads::Workload) drives two
//! of them, in virtual time or over the loopback interface, and returns figures. A [`suite`] runs many workloads, each in a process of its own, the stacks taking turns;
//! a [`table`] shows what came of it. README.md says what the workloads are.

mod instructions;
pub mod link;
pub mod memory;
pub mod message;
pub mod meter;
pub mod pair;
pub mod report;
mod sctp;
pub mod sizes;
pub mod stack;
pub mod stacks;
pub mod suite;
pub mod table;
pub mod udp;
pub mod workloads;
