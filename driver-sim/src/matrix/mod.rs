//! Two peers behind every kind of NAT: who connects without a relay, and by which candidates.
//!
//! A [`Case`] is two peers, a STUN server and what lies between them, as a [topology](crate::Topology); its [`Scene`] is that world, to look into. [`Report::run`] runs all cases with
//! several seeds and prints what happened:
//!
//! ```
//! use driver_sim::Probability;
//! use driver_sim::matrix::{Case, Outcome, Setting};
//! use driver_sim::network::Dependence;
//! use driver_sim::network::reachability::{CandidateKind, Layer};
//!
//! let port_restricted = Layer::nat(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
//! let symmetric = Layer::nat(Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent);
//! let cone = Layer::nat(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
//!
//! let case = Case::new("EP against PP", &Setting::new(vec![port_restricted], vec![symmetric]));
//! assert_eq!(case.run(1), Outcome::Unconnected);
//! let case = Case::new("EE against PP", &Setting::new(vec![cone], vec![symmetric]));
//! assert_eq!(case.run(1).to_string(), "s/p");
//! ```
//!
//! What is expected of a case is what the [model](crate::network::reachability) says, which knows neither the agent nor the [`Nat`](crate::network::Nat).

mod case;
mod report;
mod scene;

pub use case::{Case, PrivateAddresses, Row, Setting, extra_rows, hosts, table};
pub use report::{Disagreement, Report};
pub use scene::{Opener, Outcome, Scene};
