//! Two peers behind every kind of NAT: who connects, with a relay and without, and by which candidates.
//!
//! A [`Case`] is two peers, their STUN and TURN servers and what lies between them, as a [topology](crate::Topology); its [`Scene`] is that world, to look into. [`Report::run`] runs all cases with
//! several seeds and prints what happened:
//!
//! ```
//! use driver_sim::Probability;
//! use driver_sim::matrix::{Case, Outcome, Setting};
//! use driver_sim::network::Dependence;
//! use driver_sim::network::reachability::{Layer, Relay};
//!
//! let port_restricted = Layer::nat(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
//! let symmetric = Layer::nat(Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent);
//! let cone = Layer::nat(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
//!
//! let setting = Setting::new(vec![port_restricted], vec![symmetric]);
//! assert_eq!(Case::new("EP against PP", &setting).run(1), Outcome::Unconnected);
//! let case = Case::new("EP against PP with a relay", &setting.with_relay(Relay::Udp));
//! assert!(case.run(1).is_relayed());
//! let case = Case::new("EE against PP", &Setting::new(vec![cone], vec![symmetric]));
//! assert_eq!(case.run(1).to_string(), "s/p");
//! ```
//!
//! What is expected of a case is what the [model](crate::network::reachability) says, which knows neither the agent nor the [`Nat`](crate::network::Nat).

mod case;
mod report;
mod scene;
mod setting;

pub use case::{Case, Row, extra_rows, hosts, table};
pub use report::{Disagreement, Report};
pub use scene::{Opener, Outcome, Scene};
pub use setting::{PrivateAddresses, Setting};
